"""Networks of their own for tests: what this process starts inside of one reaches nothing else."""

import ctypes
import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET; Python offers setns and unshare only from 3.12 on
_MINE = Path("/proc/thread-self/ns/net")
_DNS = 53
_TRACED = ("strace", "-D", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg")
_ADDRESS = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\),.*?"
    r'(?:inet_addr\("(?P<four>[^"]+)"\)|inet_pton\(AF_INET6, "(?P<six>[^"]+)")'
)


@dataclass(frozen=True)
class Network:
    """A network namespace."""

    descriptor: int

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and every process that it starts meanwhile, is in it."""
        before = os.open(_MINE, os.O_RDONLY)
        try:
            _call("setns", self.descriptor, _NEW_NETWORK)
            yield
        finally:
            _call("setns", before, _NEW_NETWORK)
            os.close(before)

    def ip(self, *words: str) -> str:
        """What `ip` of iproute2 prints there."""
        with self.entered():
            return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout

    def join(self, other: "Network", own: str, others: str) -> None:
        """A cable between the two, with an address on either end; neither gets a route to anywhere else."""
        far = f"/proc/{os.getpid()}/fd/{other.descriptor}"
        self.ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", far)
        for network, address in ((self, own), (other, others)):
            network.ip("address", "add", address, "dev", "cable0")
            network.ip("link", "set", "cable0", "up")


@contextmanager
def isolated() -> Iterator[Network]:
    """A new network that has its loopback and nothing else; it goes with its last process."""
    if os.geteuid() != 0:
        pytest.skip("only root makes networks: run this test as root")
    before = os.open(_MINE, os.O_RDONLY)
    _call("unshare", _NEW_NETWORK)
    network = Network(os.open(_MINE, os.O_RDONLY))
    try:
        _call("setns", before, _NEW_NETWORK)
        network.ip("link", "set", "lo", "up")
        yield network
    finally:
        os.close(network.descriptor)
        os.close(before)


def traced(trace: Path) -> tuple[str, ...]:
    """What to put before a command to have all that it and its children ever address written to `trace`.

    The process that this starts is the command itself.
    """
    return (*_TRACED, "-o", str(trace))


def addressed(trace: Path) -> set[tuple[str, int]]:
    """The addresses and ports in it, whether they answered or not; Unix sockets have none."""
    found = _ADDRESS.finditer(trace.read_text())
    return {(match["four"] or match["six"], int(match["port"])) for match in found}


def outside(trace: Path) -> set[tuple[str, int]]:
    """Those of them that are not on this machine, and any name server: it would ask others."""
    return {
        (address, port)
        for address, port in addressed(trace)
        if port == _DNS or not ipaddress.ip_address(address).is_loopback
    }


def _call(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
