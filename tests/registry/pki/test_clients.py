"""Real clients trust the registry's CA, and nothing else lets them in."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context

import pytest

from registry.config import RegistrySettings, TlsSettings
from registry.pki.certificates import Certificates
from registry.pki.names import parse_name
from registry.storage.store import Store
from registry.wsgi import open_app
from tests.e2e.clients import attempt, run
from tests.e2e.users import ALICE, write_htpasswd
from tests.images import publish, small_image
from tests.registry.pki.web import serving_tls


@dataclass(frozen=True)
class Secured:
    """A registry with users behind TLS."""

    port: int
    ca: Path
    folder: Path

    @property
    def cert_dir(self) -> Path:
        """As skopeo takes a CA."""
        folder = self.folder / "certs"
        folder.mkdir(exist_ok=True)
        (folder / "ca.crt").write_bytes(self.ca.read_bytes())
        return folder


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    tls = TlsSettings(sans=(parse_name("registry.example.com"),))
    settings = RegistrySettings(
        (folder / "store",), push="authenticated", pull="authenticated", htpasswd=write_htpasswd(folder), tls=tls
    )
    store = Store.open(settings.storage)
    publish(store, small_image(), "app:1")
    certificates = Certificates.open(settings.tls, settings.storage)
    assert certificates is not None
    assert certificates.ca_file is not None
    with serving_tls(open_app(settings, store, certificates), certificates) as port:
        yield Secured(port, certificates.ca_file, folder)
    store.close()


@pytest.mark.client
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_skopeo_logs_in_and_pulls_by_the_realm_that_it_is_told(secured: Secured, host: str) -> None:
    trust = ("--cert-dir", secured.cert_dir, "--creds", ALICE.credentials)
    shown = json.loads(run("skopeo", "inspect", *trust, f"docker://{host}:{secured.port}/app:1"))
    assert shown["RepoTags"] == ["1"]


@pytest.mark.client
def test_skopeo_refuses_without_the_ca(secured: Secured) -> None:
    done = attempt("skopeo", "inspect", "--creds", ALICE.credentials, f"docker://localhost:{secured.port}/app:1")
    assert done.returncode != 0
    assert "unknown authority" in done.stderr


@pytest.mark.client
@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max=1.2"])
def test_curl_reaches_every_name_that_the_certificate_has(secured: Secured, version: str) -> None:
    options = ("-sSf", "--cacert", str(secured.ca), *version.split("="))
    for host in ("127.0.0.1", "localhost", "registry.example.com"):
        to = ("--resolve", f"{host}:{secured.port}:127.0.0.1")
        assert run("curl", *options, *to, f"https://{host}:{secured.port}/healthz") == "ok\n"
    other = ("--resolve", f"other.example.com:{secured.port}:127.0.0.1")
    assert attempt("curl", *options, *other, f"https://other.example.com:{secured.port}/healthz").returncode == 60


def test_python_gets_the_ca_without_credentials_and_then_everything_with_it(secured: Secured) -> None:
    context = create_default_context(cafile=secured.ca)
    with urllib.request.urlopen(f"https://localhost:{secured.port}/ca.crt", context=context) as answer:
        assert answer.read() == secured.ca.read_bytes()
    request = urllib.request.Request(f"https://localhost:{secured.port}/v2/app/tags/list")
    request.add_header("Authorization", "Basic " + base64.b64encode(ALICE.credentials.encode()).decode())
    with urllib.request.urlopen(request, context=context) as answer:
        assert json.load(answer)["tags"] == ["1"]
