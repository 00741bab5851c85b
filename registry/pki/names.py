"""What a certificate is good for: DNS names and addresses, and those of this machine."""

import re
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NewType

from registry.pki.addresses import machine_addresses
from registry.pki.errors import HostNameInvalid

DnsName = NewType("DnsName", str)
SubjectName = DnsName | IPv4Address | IPv6Address

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_HOSTS = Path("/etc/hosts")
_RESOLVER = Path("/etc/resolv.conf")


def parse_name(text: str) -> SubjectName:
    """A DNS name, in lower case, or an address.

    Raises:
        HostNameInvalid: it is neither.
    """
    try:
        return ip_address(text)
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    if not _DNS_NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise HostNameInvalid(
            f"{text!r} is neither a DNS name nor an address: a certificate names hosts such as registry.example.com"
        )
    return DnsName(name)


def machine_names(hosts: Path = _HOSTS, resolver: Path = _RESOLVER) -> frozenset[SubjectName]:
    """Every name and address under which this machine may be asked for.

    Nothing is resolved: a name server that does not answer would hold up the start for half a minute.
    """
    host = socket.gethostname()
    short = host.partition(".")[0]
    names = {"localhost", host, short, *_aliases(_lines(hosts), {host, short})}
    names |= {f"{short}.{domain}" for domain in _search_domains(_lines(resolver))}
    loopback = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
    return frozenset((*_valid(names), *loopback, *machine_addresses()))


def _valid(names: Iterable[str]) -> Iterator[SubjectName]:
    for name in names:
        try:
            yield parse_name(name)
        except HostNameInvalid:
            continue  # what a host calls itself need not be a DNS name


def _aliases(lines: Iterable[list[str]], own: set[str]) -> Iterator[str]:
    """Of the lines that name this machine only: others hold lists of what is to be blocked."""
    for _, *names in lines:
        if own.intersection(names):
            yield from names


def _search_domains(lines: Iterable[list[str]]) -> Iterator[str]:
    for keyword, *domains in lines:
        if keyword in ("search", "domain"):
            yield from domains


def _lines(path: Path) -> Iterator[list[str]]:
    """The words of each line, without comments; none if there is no such file."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        words = re.split(r"[#;]", line)[0].split()
        if words:
            yield words
