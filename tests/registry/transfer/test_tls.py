"""Certificates: an unknown authority ends it at once, unless the operator names it or asks for none."""

import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from registry.oci.reference import RepositoryName
from registry.transfer.client import RegistryClient
from registry.transfer.errors import PlaceInvalid, RegistryUntrusted
from registry.transfer.patience import Endurance
from registry.transfer.place import Address
from registry.transfer.transport import Security
from tests.registry.transfer.scripted import Scripted, scripted


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for the loopback that signed itself, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "crt")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    path.write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return path


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def tags(script: Scripted, scheme: str, security: Security) -> list[str]:
    script.plays["GET /v2/app/tags/list"] = lambda handler: handler.answer(200, b'{"tags": ["1"]}')
    endurance = Endurance(threading.Event(), retries=2, pause=0.01)
    client = RegistryClient.connect(Address.parse(f"{scheme}://{script.host}"), security, None, endurance)
    try:
        return list(client.list_tags(RepositoryName("app")))
    finally:
        client.close()


@pytest.mark.parametrize("scheme", ["https", "docker"])
def test_an_unknown_authority_is_refused_and_nothing_is_asked(certificate: Path, scheme: str) -> None:
    with scripted(context(certificate)) as script:
        with pytest.raises(RegistryUntrusted, match="--ca-file"):
            tags(script, scheme, Security())
        assert script.seen == []


@pytest.mark.parametrize("scheme", ["https", "docker"])
def test_a_named_authority_is_trusted(certificate: Path, scheme: str) -> None:
    with scripted(context(certificate)) as script:
        assert tags(script, scheme, Security(ca_file=certificate)) == ["1"]


def test_insecure_asks_for_no_proof(certificate: Path) -> None:
    with scripted(context(certificate)) as script:
        assert tags(script, "https", Security(insecure=True)) == ["1"]


def test_an_address_that_leaves_the_protocol_open_is_asked_plainly_on_this_machine() -> None:
    with scripted() as script:
        assert tags(script, "docker", Security()) == ["1"]


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "nowhere.pem"):
        with scripted() as script, pytest.raises(PlaceInvalid, match="--ca-file"):
            tags(script, "https", Security(ca_file=path))
