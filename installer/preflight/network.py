"""Who listens on a machine, and which networks it has, out of /proc/net."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from installer.preflight.processes import Process

_LISTENING = "0A"
# Interfaces that a cluster of ours makes: their networks are no conflict with ours.
_OURS = ("cali", "vxlan.calico", "kube-", "cni", "veth", "tunl0", "lo")


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port that is taken, and by whom, as far as that can be seen."""

    address: IPv4Address | IPv6Address
    port: int
    process: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A network that is reached over an interface."""

    network: IPv4Network | IPv6Network
    interface: str

    @property
    def is_default(self) -> bool:
        return self.network.prefixlen == 0

    @property
    def is_foreign(self) -> bool:
        """Whether it was here before a cluster."""
        return not self.interface.startswith(_OURS)


def read_listeners(proc: Path, processes: Sequence[Process]) -> tuple[Listener, ...]:
    """Every TCP port that somebody listens on."""
    owners = {inode: process for process in processes for inode in process.inodes}
    return tuple(_listeners(proc / "net" / "tcp", owners)) + tuple(_listeners(proc / "net" / "tcp6", owners))


def _listeners(table: Path, owners: dict[int, Process]) -> Iterator[Listener]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTENING:
            address, _, port = words[1].partition(":")
            owner = owners.get(int(words[9]))
            name, command = (owner.name, owner.command) if owner else ("", "")
            yield Listener(_address(address), int(port, 16), name, command)


def _address(text: str) -> IPv4Address | IPv6Address:
    """The kernel writes words of 32 bits, each in the machine's own order."""
    packed = b"".join(
        int(text[at : at + 8], 16).to_bytes(4, "little" if socket.htons(1) != 1 else "big")
        for at in range(0, len(text), 8)
    )
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def read_routes(table: str, table6: str) -> tuple[Route, ...]:
    """The routes of /proc/net/route and /proc/net/ipv6_route."""
    return (*_routes(table), *_routes6(table6))


def _routes(table: str) -> Iterator[Route]:
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 7:
            destination, mask = _address(words[1]), _address(words[7])
            yield Route(IPv4Network(f"{destination}/{mask}", strict=False), words[0])


def _routes6(table: str) -> Iterator[Route]:
    for line in table.splitlines():
        words = line.split()
        rejected = len(words) > 9 and int(words[8], 16) & 0x200
        if len(words) > 9 and not rejected:
            network = IPv6Network((bytes.fromhex(words[0]), int(words[1], 16)), strict=False)
            if not network.is_link_local and not network.is_multicast:
                yield Route(network, words[9])
