"""The addresses of this machine, as the kernel tells them over rtnetlink (RFC 3549)."""

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, interface
_ATTRIBUTE = struct.Struct("=HH")  # length, type

_NETLINK_ROUTE, _GET_ADDRESS, _NEW_ADDRESS = 0, 22, 20
_ERROR, _DONE, _REQUEST_DUMP = 2, 3, 0x301
_IFA_ADDRESS, _IFA_LOCAL, _TEMPORARY = 1, 2, 0x01

# kube-proxy puts the address of every Service here; none of them is a way to the registry.
_SERVICES = "kube-ipvs0"


def machine_addresses() -> frozenset[IPv4Address | IPv6Address]:
    """Of all interfaces, those that stay: not link-local ones (each pod brings one), nor IPv6's temporary ones."""
    found = {address for address, interface in _interface_addresses() if interface != _SERVICES}
    return frozenset(address for address in found if not address.is_link_local)


def _interface_addresses() -> Iterator[tuple[IPv4Address | IPv6Address, str]]:
    for message in _dump():
        family, _, flags, _, index = _ADDRESS.unpack_from(message)
        attributes = dict(_attributes(message[_ADDRESS.size :]))
        packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)  # without LOCAL, ADDRESS is no peer's
        if packed is None or (family == socket.AF_INET6 and flags & _TEMPORARY):
            continue
        yield ip_address(packed), _interface(index)


def _dump() -> Iterator[bytes]:
    """The kernel's messages, one an address."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as kernel:
        kernel.settimeout(5)
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        kernel.send(_HEADER.pack(_HEADER.size + len(request), _GET_ADDRESS, _REQUEST_DUMP, 1, 0) + request)
        while True:
            answer, offset = kernel.recv(1 << 16), 0
            while offset < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, offset)
                if kind in (_DONE, _ERROR):
                    return
                if kind == _NEW_ADDRESS:
                    yield answer[offset + _HEADER.size : offset + length]
                offset += _aligned(length)


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(raw):
        length, kind = _ATTRIBUTE.unpack_from(raw, offset)
        yield kind, raw[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""  # it went away meanwhile
