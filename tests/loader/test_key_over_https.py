"""A public key behind a URL that the operator names: over TLS that is trusted, of a key's size, or not at all."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader.errors import KeyUnusable
from loader.signer import Signer
from tests.signing import KeyPair, key_pair, openssl


class Answers(http.server.BaseHTTPRequestHandler):
    """The key, or something else."""

    key = b""

    def do_GET(self) -> None:
        status = {"/moved": 302, "/none": 404}.get(self.path, 200)
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(bytes(1_000_000) if self.path == "/large" else self.key)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return key_pair(tmp_path)


@pytest.fixture
def url(tmp_path: Path, pair: KeyPair) -> Iterator[str]:
    certificate = tmp_path / "tls.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    openssl("req", "-x509", "-key", pair.private, *names, "-out", certificate)
    Answers.key = pair.public.read_bytes()
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, pair.private)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust it
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def _trusted(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.pem"))


@pytest.mark.usefixtures("_trusted")
def test_a_key_behind_a_trusted_url_is_the_one_in_the_file(url: str, pair: KeyPair) -> None:
    assert Signer.load(f"{url}/cosign.pub").fingerprint == Signer.load(str(pair.public)).fingerprint


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize(("path", "said"), [("none", "answers 404"), ("moved", "answers 302"), ("large", "too large")])
def test_anything_else_is_no_key(url: str, path: str, said: str) -> None:
    with pytest.raises(KeyUnusable, match=said):
        Signer.load(f"{url}/{path}")


def test_a_server_that_is_not_trusted_gives_no_key(url: str) -> None:
    with pytest.raises(KeyUnusable, match="cannot get the public key from"):
        Signer.load(f"{url}/cosign.pub")


def test_without_a_network_the_way_out_is_a_file() -> None:
    with pytest.raises(KeyUnusable, match="without a network, name a file"):
        Signer.load("https://127.0.0.1:1/cosign.pub")


@pytest.mark.parametrize(
    "address", ["https://u:s3c@127.0.0.1:1/k", "http://u:s3c@h/k", "https://u@x:s3c@127.0.0.1:1/k"]
)
def test_a_password_in_the_address_is_told_to_nobody(address: str) -> None:
    with pytest.raises(KeyUnusable, match=r"https?://(127\.0\.0\.1:1|h)/k") as caught:
        Signer.load(address)
    assert "s3c" not in str(caught.value)
