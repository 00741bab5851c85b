"""HTTPS and plain HTTP by one port: what plain connections are promised holds for encrypted ones too."""

import os
import random
import signal
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry.oci.digest import Digest
from registry.server.application import DRAIN_SECONDS
from registry.storage.layout import Layout
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.e2e.users import ALICE, write_htpasswd
from tests.images import publish, small_image
from tests.registry.pki.certs import Made, make
from tests.registry.server.encrypted import EncryptedClient

LARGE = 6_000_000
GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
REFUSED = b'{"errors":[{"code":"UNSUPPORTED"'


@dataclass(frozen=True)
class Stored:
    """A store with an image, `app:1`."""

    root: Path
    large: Digest
    """Its layer."""

    @property
    def ca(self) -> Path:
        """That of a registry with `--tls auto`."""
        return Layout(self.root).ca_certificate

    @property
    def get_large(self) -> bytes:
        return GET.format(f"/v2/app/blobs/{self.large}").encode()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    root = tmp_path_factory.mktemp("tls") / "store"
    store = Store.open([root])
    tree = small_image(size=LARGE)
    publish(store, tree, "app:1")
    store.close()
    return Stored(root, Digest.parse(tree.below[1].digest))


@pytest.fixture(scope="module")
def server(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with two threads and little patience."""
    log = tmp_path_factory.mktemp("server") / "log"
    few = ("--workers", "1", "--threads", "2", "--idle-timeout", "2", "--push", "anonymous")
    with serving("-s", stored.root, *few, log=log, ca=stored.ca) as running:
        yield running
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, verify=server.trust, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def trust(server: Server) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca)


def assert_serving(client: httpx.Client) -> None:
    assert client.get("/v2/app/manifests/1").status_code == 200


def memory(process: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Handshakes


def test_the_log_says_https(server: Server) -> None:
    assert f"Listening at: https://127.0.0.1:{server.port} " in server.log.read_text()


def test_a_handshake_may_come_byte_by_byte(server: Server, trust: ssl.SSLContext) -> None:
    with EncryptedClient(server.port, trust) as client:
        client.greet(1)
        client.sock.sendall(client.records(LAST))
        assert client.read_all().startswith(b"HTTP/1.1 200 OK")


def test_who_stops_anywhere_in_the_handshake_is_cut_off_and_holds_nobody_up(
    server: Server, trust: ssl.SSLContext, client: httpx.Client
) -> None:
    with ExitStack() as stack:
        stopped = []
        for sent in (0, 1, 3, 5, 100, None):
            for _ in range(10):
                each = stack.enter_context(EncryptedClient(server.port, trust))
                each.sock.sendall(each.hello()[:sent])
                stopped.append(each)
        assert_serving(client)
        for each in stopped:
            while each.sock.recv(65536):  # the server's part of the handshake, then the end
                pass


def test_a_record_that_trickles_in_is_cut_off(server: Server, trust: ssl.SSLContext) -> None:
    """The head of a request has its time in all, whatever the layer that it is held up in."""
    with EncryptedClient(server.port, trust) as client:
        record = client.greet().records(GET.format("/v2/").encode() + b"X" * 15_000)
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  # a reset or a broken pipe, as the packets fall
            for byte in record:
                client.sock.sendall(bytes([byte]))
                time.sleep(0.1)
                assert time.monotonic() - started < 20


def test_a_connection_may_rest_between_handshake_and_request(server: Server, trust: ssl.SSLContext) -> None:
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        time.sleep(1.2)
        record = client.records(LAST)
        client.sock.sendall(record[:20])
        time.sleep(1.2)
        client.sock.sendall(record[20:])
        assert client.read_all().startswith(b"HTTP/1.1 200 OK")


def test_garbage_behind_the_first_byte_of_tls_is_nobodys_trouble(
    server: Server, trust: ssl.SSLContext, client: httpx.Client
) -> None:
    before, rng = server.log.read_text(), random.Random(1)
    with EncryptedClient(server.port, trust) as other:
        hello = other.hello()
    broken = [hello[:at] + bytes([hello[at] ^ 0xFF]) + hello[at + 1 :] for at in range(1, len(hello), 7)]
    broken += [b"\x16" + rng.randbytes(size) for size in (1, 4, 5, 100, 17_000)]
    broken += [hello + rng.randbytes(300), hello + hello, b"\x16\x03\x01\x00\x00", LAST.replace(b"G", b"\x16")]
    for garbage in broken:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
            sock.sendall(garbage)
    assert_serving(client)
    assert server.log.read_text() == before  # a scan of ports must not fill the disk


def test_who_resets_the_connection_at_once_leaves_nothing_behind(server: Server, client: httpx.Client) -> None:
    files = Path(f"/proc/{server.workers[0]}/fd")
    assert_serving(client)
    before = len(list(files.iterdir()))
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(b"\x16")
    deadline = time.monotonic() + 10
    while len(list(files.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(list(files.iterdir())) <= before
    assert_serving(client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_today_is_spoken(server: Server, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = context.maximum_version = version
    assert httpx.get(f"{server.url}/v2/", verify=context).status_code == 200


def test_tls_of_yesterday_is_refused_and_told_so(server: Server) -> None:
    context = ssl.create_default_context(cafile=server.ca)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError, match=r"(?i)alert protocol version"):
        httpx.get(f"{server.url}/v2/", verify=context)


@pytest.mark.parametrize("order", ["ECDHE+AES128:ECDHE+CHACHA20", "ECDHE+CHACHA20:ECDHE+AES128"])
def test_the_client_knows_which_cipher_is_fast_on_its_machine(server: Server, order: str) -> None:
    context = ssl.create_default_context(cafile=server.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(order)
    with EncryptedClient(server.port, context) as client:
        chosen = client.greet().cipher
    assert ("CHACHA20" in chosen) == order.startswith("ECDHE+CHACHA20")


# Pulls


def test_a_hundred_slow_downloads_hold_no_thread_and_no_memory(
    server: Server, stored: Stored, trust: ssl.SSLContext, client: httpx.Client
) -> None:
    """With two threads, the third of them would stop everybody; read into memory, they would be 600 MB."""
    before = memory(server.workers[0])
    with ExitStack() as stack:
        slow = []
        for _ in range(100):
            each = stack.enter_context(EncryptedClient(server.port, trust, buffer=16384)).greet()
            each.sock.sendall(each.records(stored.get_large))
            slow.append(each)
        heads = [each.read() for each in slow]
        assert all(head.startswith(b"HTTP/1.1 200 ") for head in heads)
        assert_serving(client)
        assert client.get("/v2/_catalog").json()["repositories"][0] == "app"
        assert memory(server.workers[0]) - before < 30_000_000
        body = heads[0].partition(b"\r\n\r\n")[2]
        while len(body) < LARGE:
            body += slow[0].read()
        assert Digest.of(body) == stored.large


def test_one_connection_serves_whole_blobs_their_parts_and_heads(client: httpx.Client, stored: Stored) -> None:
    path = f"/v2/app/blobs/{stored.large}"
    body = client.get(path).content
    assert Digest.of(body) == stored.large
    for first, last in ((0, 0), (1, 100_000), (131_071, 4_000_001), (LARGE - 10, len(body) - 1)):
        part = client.get(path, headers={"Range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, body[first : last + 1])
    head = client.head(path)
    assert (head.content, int(head.headers["Content-Length"])) == (b"", len(body))
    assert client.get("/v2/app/blobs/sha256:" + "0" * 64).status_code == 404


def test_what_is_not_in_the_page_cache_is_sent_as_well(client: httpx.Client, stored: Stored) -> None:
    (path,) = (stored.root / "blobs").rglob(stored.large.hex)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert Digest.of(client.get(f"/v2/app/blobs/{stored.large}").content) == stored.large


@pytest.mark.parametrize("together", [True, False], ids=["one record", "records"])
@pytest.mark.parametrize("end", ["stays", "says goodbye", "shuts the socket"])
def test_requests_sent_at_once_are_answered_in_order(
    server: Server, stored: Stored, trust: ssl.SSLContext, end: str, *, together: bool
) -> None:
    paths = ["/v2/", "/v2/app/manifests/1", f"/v2/app/blobs/{stored.large}", "/v2/_catalog", "/v2/app/tags/list"]
    asked = [*(GET.format(path).encode() for path in paths), LAST]
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        sent = client.records(b"".join(asked)) if together else client.records(*asked)
        client.sock.sendall(sent + (client.goodbye() if end == "says goodbye" else b""))
        if end == "shuts the socket":
            client.sock.shutdown(socket.SHUT_WR)
        answers = client.read_all()
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    assert answers.index(b'"repositories"') < answers.index(b'"tags"')


def test_a_request_cut_into_many_records_is_one(server: Server, trust: ssl.SSLContext) -> None:
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        client.sock.sendall(client.records(*(LAST[at : at + 1] for at in range(len(LAST)))))
        assert client.read_all().startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("sent", [LAST, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"])
def test_the_end_is_said_as_tls_demands(server: Server, trust: ssl.SSLContext, sent: bytes) -> None:
    """Or a client could not tell it from an end that somebody forged: its read would fail here."""
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        client.sock.sendall(client.records(sent))
        assert client.read_all().startswith(b"HTTP/1.1 ")


# Pushes


def begin(client: httpx.Client) -> httpx.URL:
    return httpx.URL(client.post("/v2/pushed/blobs/uploads/").raise_for_status().headers["Location"])


@pytest.mark.parametrize("form", ["at once", "streamed", "in chunks"])
@pytest.mark.parametrize("size", [0, 16_384, 30_000_000])
def test_what_is_pushed_comes_back(client: httpx.Client, form: str, size: int) -> None:
    body = random.Random(size).randbytes(size)
    digest = {"digest": str(Digest.of(body))}
    pieces = [body[at : at + 7_000_000] for at in range(0, size, 7_000_000)]
    location = begin(client)
    if form == "at once":
        answer = client.put(location.copy_merge_params(digest), content=body)
    else:
        for part in [iter(pieces)] if form == "streamed" else pieces:
            assert client.patch(location, content=part).status_code == 202
        answer = client.put(location.copy_merge_params(digest))
    assert answer.status_code == 201
    assert Digest.of(client.get(f"/v2/pushed/blobs/{digest['digest']}").content) == Digest.of(body)


def test_a_request_behind_a_body_is_answered(server: Server, trust: ssl.SSLContext) -> None:
    content = b"x" * 300_000
    head = f"POST /v2/app/blobs/uploads/?digest={Digest.of(content)} HTTP/1.1\r\nHost: x\r\n"
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        asked = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content + LAST
        client.sock.sendall(client.records(asked))
        answers = client.read_all()
    assert answers.startswith(b"HTTP/1.1 201 ")
    assert answers.endswith(b"\r\n\r\n{}")


def test_a_client_that_expects_100_gets_it(server: Server, trust: ssl.SSLContext) -> None:
    head = f"POST /v2/app/blobs/uploads/?digest={Digest.of(b'abc')} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    with EncryptedClient(server.port, trust) as client:
        client.greet()
        client.sock.sendall(client.records(f"{head}Expect: 100-continue\r\n\r\n".encode()))
        assert client.read() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sock.sendall(client.records(b"abc"))
        assert client.read().startswith(b"HTTP/1.1 201 ")


def test_a_push_that_breaks_off_harms_nobody(server: Server, trust: ssl.SSLContext, client: httpx.Client) -> None:
    head = b"POST /v2/app/blobs/uploads/?digest=sha256:" + b"0" * 64 + b" HTTP/1.1\r\nHost: x\r\n"
    for _ in range(5):
        with EncryptedClient(server.port, trust) as other:
            record = other.greet().records(head + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000)
            other.sock.sendall(record[:-1000])
    assert_serving(client)


# Who may do without TLS


def exchange(address: str, port: int, sent: bytes) -> bytes:
    with socket.create_connection((address, port), timeout=20) as sock:
        sock.sendall(sent)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def own_address() -> str:
    """An address of this machine that others may know."""
    shown = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[3].partition("/")[0] for line in shown.splitlines()]
    address = next((each for each in found if not each.startswith("127.")), None)
    if address is None:
        pytest.skip("this machine has no address but those of the loopback")
    return address


@pytest.mark.parametrize(
    ("who", "loopback", "other"),
    [("loopback", b" 200 ", b" 400 "), ("any", b" 200 ", b" 200 "), ("off", b" 400 ", b" 400 ")],
)
def test_plain_http_is_for_whom_the_operator_says(
    stored: Stored, tmp_path: Path, who: str, loopback: bytes, other: bytes
) -> None:
    options = ("-H", "0.0.0.0", "--plain-http", who, "--workers", "1")
    with serving("-s", stored.root, *options, log=tmp_path / "log", ca=stored.ca) as server:
        assert httpx.get(f"{server.url}/v2/", verify=server.trust).status_code == 200
        for address, status in (("127.0.0.1", loopback), (own_address(), other)):
            answer = exchange(address, server.port, LAST)
            assert status in answer[:16]
            assert (REFUSED in answer) == (status == b" 400 ")


def test_without_tls_a_client_that_speaks_it_is_told_so(stored: Stored, trust: ssl.SSLContext, tmp_path: Path) -> None:
    options = ("--tls", "off", "--plain-http", "loopback", "-H", "0.0.0.0", "--workers", "1")
    with serving("-s", stored.root, *options, log=tmp_path / "log") as server:
        refused = exchange(own_address(), server.port, LAST)
        assert b" 400 " in refused[:16]
        assert b"for the registry's own machine" in refused
        assert b"HTTPS" not in refused
        with EncryptedClient(server.port, trust) as client:
            hello = client.hello()
        assert REFUSED in exchange("127.0.0.1", server.port, hello + b"\r\n\r\n")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"https://{server.host}/v2/")
        assert httpx.get(f"{server.url}/v2/").status_code == 200


# The operator's own certificates


def write_pair(folder: Path, made: Made) -> tuple[Path, Path]:
    """Each file appears whole, the key first."""
    paths = folder / "server.key", folder / "server.crt"
    for path, content in zip(paths, (made.key_pem, made.pem), strict=True):
        path.with_suffix(".new").write_bytes(content)
        path.with_suffix(".new").rename(path)
    return paths[1], paths[0]


def serial_shown(server: Server, authority: Made) -> int:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.check_hostname = False  # it is for localhost
    with EncryptedClient(server.port, context) as client:
        return x509.load_der_x509_certificate(client.greet().certificate).serial_number


def test_a_certificate_that_changes_on_disk_is_taken_up_while_a_download_goes_on(
    stored: Stored, tmp_path: Path
) -> None:
    authority = make("ca", ca=True)
    first, second = make("first", authority), make("second", authority)
    certificate, key = write_pair(tmp_path, first)
    options = ("--tls", "files", "--tls-cert", certificate, "--tls-key", key, "--workers", "2")
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.check_hostname = False  # the certificate is for localhost
    with serving("-s", stored.root, *options, log=tmp_path / "log") as server:
        assert serial_shown(server, authority) == first.certificate.serial_number
        with EncryptedClient(server.port, context, buffer=16384) as client:
            client.greet()
            client.sock.sendall(client.records(stored.get_large))
            body = client.read().partition(b"\r\n\r\n")[2]
            write_pair(tmp_path, second)
            deadline = time.monotonic() + 10
            while serial_shown(server, authority) != second.certificate.serial_number:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            while len(body) < LARGE:
                body += client.read()
            assert Digest.of(body) == stored.large
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_only_clients_with_a_certificate_of_the_operators_ca_get_in(stored: Stored, tmp_path: Path) -> None:
    staff, strangers = make("staff", ca=True), make("strangers", ca=True)
    (tmp_path / "staff.crt").write_bytes(staff.pem)
    options = ("--tls-client-ca", tmp_path / "staff.crt", "--workers", "1")
    with serving("-s", stored.root, *options, log=tmp_path / "log") as server:

        def status(name: str, issuer: Made | None) -> int:
            context = ssl.create_default_context(cafile=stored.ca)
            if issuer is not None:
                made = make(name, issuer, use=ExtendedKeyUsageOID.CLIENT_AUTH)
                (tmp_path / name).write_bytes(made.key_pem + made.pem)
                context.load_cert_chain(tmp_path / name)
            return httpx.get(f"https://{server.host}/v2/app/manifests/1", verify=context).status_code

        assert status("alice", staff) == 200
        for name, issuer, reason in (("nobody", None, "certificate required"), ("mallory", strangers, "unknown ca")):
            with pytest.raises(httpx.TransportError, match=rf"(?i)alert {reason}"):
                status(name, issuer)
    assert "Traceback" not in (tmp_path / "log").read_text()


# What else tells the transport


def test_tokens_are_fetched_over_https_and_every_request_is_logged(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K0RDENTD_LOG_LEVEL", "debug")
    options = ("--htpasswd", write_htpasswd(tmp_path), "--pull", "authenticated", "--workers", "1")
    with serving("-s", stored.root, *options, log=tmp_path / "log", ca=stored.ca) as server:
        with httpx.Client(base_url=server.url, verify=server.trust) as client:
            challenge = client.get("/v2/").headers["WWW-Authenticate"]
            assert f'realm="https://{server.host}/token"' in challenge
            token = client.get("/token", auth=(ALICE.name, ALICE.password)).json()["token"]
            body = client.get(f"/v2/app/blobs/{stored.large}", headers={"Authorization": f"Bearer {token}"}).content
        assert httpx.get(f"http://{server.host}/v2/").headers["WWW-Authenticate"].startswith('Bearer realm="http://')
    log = (tmp_path / "log").read_text()
    assert f'127.0.0.1 alice "GET /v2/app/blobs/{stored.large} HTTP/1.1" 200 {len(body)} ' in log
    assert '127.0.0.1 - "GET /v2/ HTTP/1.1" 401 ' in log


def test_a_stop_lets_a_download_finish(stored: Stored, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=stored.ca)
    with (
        serving("-s", stored.root, "--workers", "2", log=tmp_path / "log", ca=stored.ca) as server,
        EncryptedClient(server.port, trust, buffer=16384) as client,
    ):
        client.greet()
        client.sock.sendall(client.records(stored.get_large))
        body = client.read().partition(b"\r\n\r\n")[2]
        server.process.send_signal(signal.SIGTERM)
        while len(body) < LARGE:
            body += client.read()
        assert Digest.of(body) == stored.large
        assert server.process.wait(DRAIN_SECONDS) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
