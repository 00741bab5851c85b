"""The CA at `/ca.crt`, and challenges that send clients back the way they came."""

from pathlib import Path

import falcon.testing
import pytest

from registry.api.access import Access, Who
from registry.api.app import create_app
from registry.api.passwords import Passwords
from registry.api.tokens import Tokens
from registry.storage.store import Store
from tests.e2e.users import ALICE, write_htpasswd


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(Who.USERS, Who.USERS, Passwords(write_htpasswd(tmp_path)), Tokens(b"k" * 32))


@pytest.fixture
def ca() -> list[bytes | None]:
    """What the CA is at the moment."""
    return [b"-----BEGIN CERTIFICATE-----\n"]


@pytest.fixture
def client(store: Store, access: Access, ca: list[bytes | None]) -> falcon.testing.TestClient:
    return falcon.testing.TestClient(create_app(store, access, 1 << 22, 1 << 30, None, lambda: ca[0], None, None))


def test_the_ca_is_for_everybody(client: falcon.testing.TestClient, ca: list[bytes | None]) -> None:
    answer = client.simulate_get("/ca.crt")
    assert answer.status_code == 200
    assert answer.content == ca[0]
    assert answer.headers["Content-Type"] == "application/x-pem-file"
    head = client.simulate_head("/ca.crt")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.content))


def test_the_ca_is_the_one_of_now(client: falcon.testing.TestClient, ca: list[bytes | None]) -> None:
    ca[0] = b"another"
    assert client.simulate_get("/ca.crt").content == b"another"
    ca[0] = None
    assert client.simulate_get("/ca.crt").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_the_ca_cannot_be_changed_from_outside(client: falcon.testing.TestClient, method: str) -> None:
    assert client.simulate_request(method, "/ca.crt").status_code == 405


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1:5000", "registry.example.com", "[fd00::2]:5000"])
def test_a_token_is_fetched_by_the_scheme_and_host_of_the_request(
    client: falcon.testing.TestClient, scheme: str, host: str
) -> None:
    answer = client.simulate_get("/v2/", protocol=scheme, headers={"Host": host})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{scheme}://{host}/token",service="{host}"'


def test_a_token_fetched_over_tls_is_good(client: falcon.testing.TestClient) -> None:
    from httpx import BasicAuth, Request

    asked = Request("GET", "https://r/token")
    next(BasicAuth(ALICE.name, ALICE.password).sync_auth_flow(asked))
    headers = {"Authorization": asked.headers["Authorization"]}
    token = client.simulate_get("/token", protocol="https", headers=headers).json["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert client.simulate_get("/v2/", protocol="https", headers=bearer).status_code == 200
