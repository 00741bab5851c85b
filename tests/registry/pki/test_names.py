"""Names for certificates: how they are read, and which of them this machine has."""

import json
import socket
import subprocess
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from registry.pki.addresses import machine_addresses
from registry.pki.errors import HostNameInvalid
from registry.pki.names import machine_names, parse_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Registry.Example.COM", "registry.example.com"),
        ("node-1", "node-1"),
        ("node_1.local.", "node_1.local"),
        ("*.example.com", "*.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("10.0.0.1", IPv4Address("10.0.0.1")),
        ("FD00::0:1", IPv6Address("fd00::1")),
    ],
)
def test_names_and_addresses_are_told_apart(text: str, name: object) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a", "a-", "a b", "http://a", "a:5000", "a/b", "10.0.0.256", "10.0.0.0/8", "*", "a.*.b"),
        *("ü.de", "a" * 64, "a." * 127 + "ab", "a\n", "[::1]"),
    ],
)
def test_what_no_certificate_can_name_is_refused(text: str) -> None:
    with pytest.raises(HostNameInvalid, match="neither a DNS name nor an address"):
        parse_name(text)


def test_the_machine_has_its_names_and_the_loopback() -> None:
    names = machine_names()
    assert {"localhost", parse_name(socket.gethostname()), IPv4Address("127.0.0.1"), IPv6Address("::1")} <= names
    assert machine_addresses() <= names


def test_the_kernel_tells_the_addresses_that_ip_shows() -> None:
    shown = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True).stdout)
    own = {ip_address(each["local"]) for interface in shown for each in interface["addr_info"]}
    assert machine_addresses() == {address for address in own if not address.is_link_local}


def test_names_come_from_files_and_nothing_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Node1")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("resolved"))
    (tmp_path / "hosts").write_text(
        "127.0.1.1 node1.site.local Node1 # node1.comment\n0.0.0.0 blocked.example\n\n"
        "10.0.0.9 other Node1 bad..name\n9\n"
    )
    (tmp_path / "resolv.conf").write_text("; search no\nsearch site.lan corp.lan\nnameserver 10.0.0.1\n")
    names = {str(name) for name in machine_names(tmp_path / "hosts", tmp_path / "resolv.conf")}
    assert {"node1", "node1.site.local", "other", "node1.site.lan", "node1.corp.lan"} <= names
    assert not {"blocked.example", "node1.comment", "bad..name"} & names


def test_a_machine_without_files_or_a_proper_name_has_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "not a name")
    names = machine_names(tmp_path / "none", tmp_path / "none")
    assert {name for name in names if isinstance(name, str)} == {"localhost"}
    assert IPv4Address("127.0.0.1") in names
