"""The registry's own CA: made once, kept for ever, and what it signs is always good."""

import multiprocessing
import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from cryptography import x509

from registry.pki.authority import OwnAuthority
from registry.pki.errors import AuthorityUnusable
from registry.pki.issue import names_of
from registry.pki.names import DnsName, SubjectName
from registry.storage.errors import StorageUnusable
from registry.storage.layout import Layout
from tests.registry.pki.certs import DAY, LOCAL, NOW, make, openssl_accepts, rsa_key, umask


class Machine:
    """A CA on a machine whose names the test decides."""

    def __init__(self, root: Path, names: Iterable[SubjectName] = LOCAL) -> None:
        self.layout = Layout(root)
        self.names = frozenset(names)
        self.authority = OwnAuthority(self.layout, machine=lambda: self.names)

    @property
    def served(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.layout.server_certificate.read_bytes())

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.layout.pki.iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_openssl_accepts_what_is_made(machine: Machine) -> None:
    machine.names |= {DnsName("registry.example.com"), DnsName("*.site.lan"), IPv6Address("fd00::2")}
    machine.authority.establish(NOW)
    ca, server = machine.layout.ca_certificate, machine.layout.server_certificate
    for host in ("localhost", "registry.example.com", "a.site.lan"):
        openssl_accepts(ca, server, "-verify_hostname", host)
    for address in ("127.0.0.1", "fd00::2"):
        openssl_accepts(ca, server, "-verify_ip", address)


def test_the_ca_can_sign_nothing_but_servers_certificates(machine: Machine) -> None:
    machine.authority.establish(NOW)
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", machine.layout.ca_certificate],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "CA:TRUE, pathlen:0" in text
    assert "Key Usage: critical\n                Certificate Sign, CRL Sign\n" in text


def test_keys_are_for_their_owner_and_the_ca_for_everybody(machine: Machine) -> None:
    with umask(0o077):
        machine.authority.establish(NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in machine.layout.pki.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "server.pem": 0o600}


def test_a_second_start_changes_nothing(machine: Machine) -> None:
    machine.authority.establish(NOW)
    before = machine.content()
    machine.authority.establish(NOW + DAY)
    machine.authority.renew(NOW + DAY)
    assert machine.content() == before


def _establish(root: Path, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    Machine(root).authority.establish(NOW)


def test_several_processes_make_one_ca(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)
    processes = [context.Process(target=_establish, args=(tmp_path, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 8
    layout = Layout(tmp_path)
    assert sorted(os.listdir(layout.pki)) == ["ca.crt", "ca.key", "server.pem"]
    openssl_accepts(layout.ca_certificate, layout.server_certificate)


def test_it_is_renewed_with_a_third_of_its_life_left_and_the_ca_stays(machine: Machine) -> None:
    machine.authority.establish(NOW)
    first, ca = machine.served, machine.layout.ca_certificate.read_bytes()
    machine.authority.renew(NOW + 255 * DAY)
    assert machine.served == first
    machine.authority.renew(NOW + 270 * DAY)
    assert machine.served.serial_number != first.serial_number
    assert machine.served.public_key() != first.public_key()
    assert machine.served.not_valid_after_utc > NOW + 600 * DAY
    assert machine.layout.ca_certificate.read_bytes() == ca
    later = int((NOW + 270 * DAY).timestamp())
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate, "-attime", str(later))


def test_ten_years_pass_and_every_day_has_a_good_certificate(machine: Machine) -> None:
    machine.authority.establish(NOW)
    ca, seen = machine.layout.ca_certificate.read_bytes(), set()
    for day in range(0, 3700, 10):
        machine.authority.renew(NOW + day * DAY)
        assert machine.served.not_valid_before_utc <= NOW + day * DAY
        assert machine.served.not_valid_after_utc > NOW + (day + 120) * DAY
        seen.add(machine.served.serial_number)
    assert machine.layout.ca_certificate.read_bytes() == ca
    assert len(seen) < 20


def test_a_new_name_is_covered_and_a_lost_one_changes_nothing(machine: Machine) -> None:
    machine.authority.establish(NOW)
    machine.names |= {IPv4Address("10.0.0.7")}
    machine.authority.renew(NOW)
    assert names_of(machine.served) == machine.names
    serial = machine.served.serial_number
    machine.names = LOCAL
    machine.authority.renew(NOW)
    assert machine.served.serial_number == serial


def test_what_the_operator_adds_is_covered(tmp_path: Path) -> None:
    Machine(tmp_path).authority.establish(NOW)
    more: frozenset[SubjectName] = frozenset({DnsName("registry.example.com")})
    OwnAuthority(Layout(tmp_path), more, lambda: LOCAL).establish(NOW)
    assert names_of(Machine(tmp_path).served) == LOCAL | more


@pytest.mark.parametrize("wrong", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 20, tzinfo=UTC)])
def test_a_clock_that_was_wrong_at_first_costs_no_client_its_ca(machine: Machine, wrong: datetime) -> None:
    machine.authority.establish(wrong)
    ca = machine.layout.ca_certificate.read_bytes()
    assert machine.served.not_valid_before_utc < wrong < machine.served.not_valid_after_utc
    machine.authority.renew(NOW)
    assert machine.served.not_valid_before_utc < NOW < machine.served.not_valid_after_utc
    assert machine.layout.ca_certificate.read_bytes() == ca
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate)


@pytest.mark.parametrize("wrong", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 20, tzinfo=UTC)])
def test_a_clock_that_jumps_and_comes_back_leaves_a_good_certificate(machine: Machine, wrong: datetime) -> None:
    for now in (NOW, wrong, NOW):
        machine.authority.establish(now)
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate)


def test_clients_whose_clocks_are_some_days_behind_accept_it(machine: Machine) -> None:
    machine.authority.establish(NOW)
    behind = int((NOW - 3 * DAY).timestamp())
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate, "-attime", str(behind))


def test_a_ca_made_again_from_its_key_is_the_same_to_clients(machine: Machine, tmp_path: Path) -> None:
    machine.authority.establish(NOW)
    known = tmp_path / "known.crt"
    known.write_bytes(machine.layout.ca_certificate.read_bytes())
    machine.layout.ca_certificate.unlink()
    machine.layout.server_certificate.unlink()
    machine.authority.establish(NOW)
    openssl_accepts(known, machine.layout.server_certificate)


def test_killed_while_it_was_made_it_is_made(machine: Machine) -> None:
    machine.layout.pki.mkdir()
    (machine.layout.pki / ".ca.key.partial").write_bytes(b"half")
    (machine.layout.pki / ".ca.crt.partial").write_bytes(b"half")
    machine.authority.establish(NOW)
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate)
    assert len(machine.content()) == 3


def test_a_running_registry_never_makes_a_second_ca(machine: Machine) -> None:
    machine.authority.establish(NOW)
    machine.layout.ca_certificate.unlink()
    machine.layout.ca_key.unlink()
    with pytest.raises(AuthorityUnusable, match=r"ca\.crt is missing or damaged"):
        machine.authority.renew(NOW + 300 * DAY)
    assert set(machine.content()) == {"server.pem"}


@pytest.mark.parametrize("damage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_server_certificate_is_replaced(machine: Machine, damage: bytes) -> None:
    machine.authority.establish(NOW)
    machine.layout.server_certificate.write_bytes(damage)
    machine.authority.renew(NOW)
    openssl_accepts(machine.layout.ca_certificate, machine.layout.server_certificate)


@pytest.mark.parametrize(
    ("name", "said"), [("ca.crt", "ca.crt is missing or damaged"), ("ca.key", "ca.key is missing")]
)
def test_a_damaged_ca_is_told_and_not_replaced(machine: Machine, name: str, said: str) -> None:
    machine.authority.establish(NOW)
    (machine.layout.pki / name).write_bytes(b"garbage")
    machine.layout.server_certificate.unlink()
    with pytest.raises(AuthorityUnusable, match=said):
        machine.authority.establish(NOW)
    assert (machine.layout.pki / name).read_bytes() == b"garbage"


def test_a_ca_key_that_is_kept_elsewhere_stops_nothing_while_the_certificate_lasts(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.authority.establish(NOW)
    machine.layout.ca_key.unlink()
    machine.authority.establish(NOW + DAY)
    assert not caplog.records
    machine.names |= {IPv4Address("10.0.0.7")}
    machine.authority.establish(NOW + DAY)
    assert "ca.key is missing" in caplog.text
    with pytest.raises(AuthorityUnusable, match=r"ca\.key is missing"):
        machine.authority.establish(NOW + 400 * DAY)


def test_a_key_of_another_ca_signs_nothing(machine: Machine, tmp_path: Path) -> None:
    machine.authority.establish(NOW)
    machine.layout.ca_key.write_bytes(make("other", ca=True).key_pem)
    with pytest.raises(AuthorityUnusable, match="is not the key of"):
        machine.authority.renew(NOW + 300 * DAY)


def test_a_ca_of_the_operator_signs_and_its_end_is_kept(machine: Machine) -> None:
    machine.authority.establish(NOW)
    other = make("company", ca=True, end=NOW + 30 * DAY, key=rsa_key())
    machine.layout.ca_key.write_bytes(other.key_pem)
    machine.layout.ca_certificate.write_bytes(other.pem)
    machine.authority.renew(NOW)
    assert machine.served.issuer == other.certificate.subject
    assert machine.served.not_valid_after_utc == NOW + 30 * DAY
    with pytest.raises(AuthorityUnusable, match="is not valid at"):
        machine.authority.renew(NOW + 31 * DAY)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("a file")
    with pytest.raises(StorageUnusable, match="pki"):
        Machine(tmp_path).authority.establish(NOW)
