"""Who may pull and push: challenges, tokens, passwords, and an htpasswd file that changes."""

import base64
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import bcrypt
import httpx
import pytest

from registry.api import tokens
from registry.api.passwords import Passwords
from registry.api.tokens import Tokens, open_key
from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conformance.repository import Repository, refused
from tests.conftest import Server, free_port, k0rdentd, serving
from tests.images import publish, small_image

ALICE, WRONG, NOBODY = ("alice", "right: pässword"), ("alice", "wrong"), ("nobody", "right: pässword")
PUSH = "/v2/app/blobs/uploads/"
PULL = "/v2/app/manifests/1"


@dataclass(frozen=True)
class Guarded:
    """A registry that has users."""

    server: Server
    client: httpx.Client
    folder: Path

    def token(self, user: tuple[str, str] | None = None) -> str:
        token: str = self.client.get("/token", auth=user).raise_for_status().json()["token"]
        return token

    def bearer(self, token: str, method: str = "POST", path: str = PUSH) -> httpx.Response:
        return self.client.request(method, path, headers={"Authorization": f"Bearer {token}"})


def entry(user: str, password: str, rounds: int = 6) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()}\n"


def guarded(folder: Path, *options: str) -> Iterator[Guarded]:
    store = Store.open([folder / "store"])
    publish(store, small_image(), "app:1")
    store.close()
    (folder / "htpasswd").write_text("# users\n\n" + entry(*ALICE))
    arguments: tuple[str | Path, ...] = (
        "-s",
        folder / "store",
        "--htpasswd",
        folder / "htpasswd",
        "--workers",
        "2",
        *options,
    )
    with (
        serving(*arguments, log=folder / "log") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield Guarded(server, client, folder)
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def users_push(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Anybody pulls and users push, as it is with `--htpasswd` alone."""
    yield from guarded(tmp_path_factory.mktemp("push"))


@pytest.fixture(scope="module")
def users_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Reading is closed too."""
    yield from guarded(tmp_path_factory.mktemp("closed"), "--pull", "authenticated")


def assert_challenged(answer: httpx.Response, host: str, scope: str = "") -> None:
    challenge = f'Bearer realm="http://{host}/token",service="{host}"'
    assert answer.headers["WWW-Authenticate"] == (f'{challenge},scope="{scope}"' if scope else challenge)
    if answer.request.method != "HEAD":
        refused(answer, 401, "UNAUTHORIZED")
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_ping_is_challenged_so_that_clients_log_in(users_push: Guarded, method: str, path: str) -> None:
    assert_challenged(users_push.client.request(method, path), users_push.server.host)
    assert users_push.client.request(method, path, auth=ALICE).status_code == 200
    assert users_push.bearer(users_push.token(), method, path).status_code == 200
    assert users_push.bearer(users_push.token(ALICE), method, path).status_code == 200


@pytest.mark.parametrize("path", [PULL, "/v2/app/tags/list", "/v2/_catalog", f"/v2/app/referrers/{Digest.of(b'')}"])
def test_anybody_pulls(users_push: Guarded, path: str) -> None:
    assert users_push.client.get(path).status_code == 200
    assert users_push.bearer(users_push.token(), "GET", path).status_code == 200
    assert users_push.client.get(path, auth=ALICE).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PUSH),
        ("PATCH", PUSH + "x"),
        ("PUT", PUSH + "x"),
        ("PUT", PULL),
        ("DELETE", PULL),
        ("DELETE", f"/v2/app/blobs/{Digest.of(b'')}"),
        ("DELETE", PUSH + "x"),
    ],
)
def test_a_push_without_credentials_is_challenged(users_push: Guarded, method: str, path: str) -> None:
    scope = "repository:app:pull,push"
    assert_challenged(users_push.client.request(method, path), users_push.server.host, scope)
    assert_challenged(users_push.bearer(users_push.token(), method, path), users_push.server.host, scope)
    assert users_push.client.get(PULL).status_code == 200


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_users_push_and_delete(users_push: Guarded, scheme: str) -> None:
    basic = base64.b64encode(":".join(ALICE).encode()).decode()
    headers = {"Authorization": f"Basic {basic}" if scheme == "basic" else f"Bearer {users_push.token(ALICE)}"}
    content = os.urandom(1000)
    answer = users_push.client.post(f"{PUSH}?digest={Digest.of(content)}", content=content, headers=headers)
    assert answer.status_code == 201
    assert users_push.client.delete(answer.headers["Location"], headers=headers).status_code == 202


def test_a_token_says_what_docker_wants_to_know(users_push: Guarded) -> None:
    asked = {"service": users_push.server.host, "scope": "repository:app:pull,push", "account": "alice"}
    answer = users_push.client.get("/token", params=asked, auth=ALICE)
    assert answer.headers["Cache-Control"] == "no-store"
    fields = answer.json()
    assert fields["token"] == fields["access_token"]
    assert fields["expires_in"] >= 60  # docker takes less for 60


@pytest.mark.parametrize("user", [WRONG, NOBODY, ("", ""), ("alice", ""), ("alice", "a\0b"), ("a" * 300, "b" * 300)])
def test_a_wrong_user_or_password_is_a_401_everywhere(users_push: Guarded, user: tuple[str, str]) -> None:
    for method, path in (("GET", "/v2/"), ("GET", PULL), ("POST", PUSH)):
        assert users_push.client.request(method, path, auth=user).status_code == 401
    answer = users_push.client.get("/token", auth=user)
    refused(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Digest username=alice",
        "Bearer",
        "Bearer .",
        "Bearer a.b",
        "Bearer bnVsbA.bnVsbA",
        "Bearer " + "x" * 5000,
        "Bearer \xff\xfe.\xff",
        "\xff",
    ],
)
def test_garbage_for_credentials_is_a_401(users_push: Guarded, value: str) -> None:
    for method, path in (("GET", "/v2/"), ("GET", PULL), ("POST", PUSH)):
        answer = users_push.client.request(method, path, headers=[(b"Authorization", value.encode("latin-1"))])
        refused(answer, 401, "UNAUTHORIZED")


def test_expired_forged_and_cut_tokens_are_a_401(users_push: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    key = open_key(users_push.folder / "store" / "pki" / "token.key")
    good = Tokens(key).issue("alice")
    assert users_push.bearer(good).status_code == 202
    claims, _, signature = good.partition(".")
    bad = [
        good[:-2],
        good[1:],
        claims,
        f".{signature}",
        f"{claims}x.{signature}",
        Tokens(os.urandom(32)).issue("alice"),
    ]
    bad.append(f"{Tokens(key).issue('bob').partition('.')[0]}.{signature}")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - tokens.SECONDS - 1)
    bad.append(Tokens(key).issue("alice"))
    for token in bad:
        assert_challenged(users_push.bearer(token), users_push.server.host, "repository:app:pull,push")


def test_the_key_of_the_tokens_is_for_its_owner_alone(users_push: Guarded) -> None:
    key = users_push.folder / "store" / "pki" / "token.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "alice" not in users_push.server.log.read_text()


def test_closed_reading_leaves_health_and_tokens_open(users_only: Guarded) -> None:
    for path in ("/healthz", "/readyz", "/token"):
        assert users_only.client.get(path).status_code == 200
    for path in (PULL, "/v2/app/tags/list", "/v2/_catalog", "/v2/", f"/v2/app/referrers/{Digest.of(b'')}", "/v2/x"):
        for method in ("GET", "HEAD"):
            assert users_only.client.request(method, path).status_code == 401
            assert users_only.bearer(users_only.token(), method, path).status_code == 401
            assert users_only.client.request(method, path, auth=ALICE).status_code in (200, 404)
            assert users_only.bearer(users_only.token(ALICE), method, path).status_code in (200, 404)
    assert_challenged(users_only.client.get(PULL), users_only.server.host, "repository:app:pull,push")


@pytest.mark.parametrize("path", ["//v2/_catalog", "///v2/_catalog", "v2/_catalog", "//v2/app/tags/list", "//metrics"])
def test_no_spelling_of_a_path_is_a_way_around_credentials(users_only: Guarded, path: str) -> None:
    connection = HTTPConnection(users_only.server.host, timeout=10)
    try:
        connection.putrequest("GET", path)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status in (400, 401, 404), answer.read()
    finally:
        connection.close()


def test_an_unknown_user_takes_as_long_as_a_wrong_password(users_only: Guarded) -> None:
    (users_only.folder / "htpasswd").write_text(entry(*ALICE, rounds=10))

    def seconds(user: tuple[str, str]) -> float:
        taken = []
        for _ in range(5):
            begun = time.monotonic()
            assert users_only.client.get(PULL, auth=user).status_code == 401
            taken.append(time.monotonic() - begun)
        return median(taken)

    known, unknown = seconds(WRONG), seconds(NOBODY)
    assert unknown / 3 < known < unknown * 3
    assert min(known, unknown) > 0.01


@pytest.mark.slow
def test_a_changed_file_is_noticed_and_whom_it_lost_is_out(users_only: Guarded) -> None:
    path = users_only.folder / "htpasswd"

    def statuses(user: tuple[str, str]) -> set[int]:
        """Of both workers."""
        close = {"Connection": "close"}
        return {users_only.client.get(PULL, auth=user, headers=close).status_code for _ in range(8)}

    path.write_text(entry(*ALICE))
    assert statuses(ALICE) == {200}
    for lost in (entry("bob", "b"), ""):
        path.write_text(lost)
        assert statuses(ALICE) == {401}
        path.write_text(entry(*ALICE))
        assert statuses(ALICE) == {200}
    path.write_text(entry("bob", "b") + entry(*ALICE))
    assert statuses(ALICE) == statuses(("bob", "b")) == {200}


def test_a_file_that_is_gone_or_damaged_leaves_those_who_were_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "htpasswd"
    path.write_text(entry(*ALICE))
    passwords = Passwords(path)
    path.unlink()
    assert passwords.verify(*ALICE)
    for damage in ("alice:secret\n", entry("bob", "b") + "no colon\n", "alice:$2b$99$" + "a" * 53):
        path.write_text(damage)
        assert passwords.verify(*ALICE)
        assert not passwords.verify(*WRONG)
        assert not passwords.verify("bob", "b")
    assert len(caplog.messages) == 4
    assert all("known until now go on" in each for each in caplog.messages)
    path.write_text(entry("bob", "b"))
    assert not passwords.verify(*ALICE)
    assert passwords.verify("bob", "b")


@pytest.mark.parametrize("line", ["alice:secret", "alice:$apr1$x$y", "alice:$2b$99$" + "a" * 53, "alice", ":x"])
def test_a_file_that_is_damaged_at_the_start_is_told_at_once(tmp_path: Path, line: str) -> None:
    (tmp_path / "htpasswd").write_text(entry("bob", "b") + line)
    store = ("-s", tmp_path / "store", "-p", str(free_port()))
    ended = k0rdentd("registry", "--htpasswd", tmp_path / "htpasswd", *store)
    assert ended.returncode == 2
    assert "line 2" in ended.stderr
    assert "secret" not in ended.stderr


@pytest.mark.parametrize("option", ["--push", "--pull"])
def test_authenticated_needs_users(tmp_path: Path, option: str) -> None:
    ended = k0rdentd("registry", option, "authenticated", "-s", tmp_path / "store", "-p", str(free_port()))
    assert ended.returncode == 2
    assert "--htpasswd" in ended.stderr


def test_a_mount_is_a_push(users_push: Guarded) -> None:
    mounting = f"{PUSH}?mount={Digest.of(b'x')}&from=app"
    assert users_push.client.post(mounting).status_code == 401
    assert users_push.client.post(mounting, auth=ALICE).status_code == 202


def test_a_large_body_of_somebody_unknown_is_answered(users_push: Guarded) -> None:
    repository = Repository(users_push.server, users_push.client, "app")
    refused(repository.patch(PUSH + "x", bytes(5_000_000)), 401, "UNAUTHORIZED")
