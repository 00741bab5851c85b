"""How a site's registry lets us in: by a token where it gives them, by the password where it does not."""

import httpx

from bench.errors import BenchFailed
from registry.oci.errors import Failure
from registry.transfer.access import Access
from registry.transfer.challenge import Challenge, Keyring
from registry.transfer.login import Login
from registry.transfer.place import require_safe

_SCOPE = "registry:catalog:*"


def enter(client: httpx.Client, access: Access) -> str | None:
    """What requests have to carry, if anything; `client` carries it from now on. Ours gives tokens for five minutes.

    Raises:
        BenchFailed: nobody answers, or who we are is not accepted.
    """
    login = access.login_for(client.base_url.netloc.decode())
    client.headers.pop("Authorization", None)
    try:
        if login is not None:
            require_safe(client.base_url, insecure=access.security.insecure)
        asked = client.get("/v2/")
        challenge = Challenge.choose(asked.headers.get_list("WWW-Authenticate")) if asked.status_code == 401 else None
        if challenge is None:
            return None
        if challenge.scheme == "bearer":
            found = _token(client, challenge, login, insecure=access.security.insecure)
        elif login is None:
            raise BenchFailed(f"{client.base_url} asks for a password: give --username and --password-file")
        else:
            found = login.header
    except (httpx.HTTPError, Failure) as error:
        raise BenchFailed(f"{client.base_url} does not let us in: {reason(error)}") from error
    client.headers["Authorization"] = found
    return found


def reason(error: Exception) -> str:
    """In one line: httpx tells of a page on the internet too."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.url} answers {error.response.status_code}"
    return str(error)


def _token(client: httpx.Client, challenge: Challenge, login: Login | None, *, insecure: bool) -> str:
    place, keyring = challenge.token_url(_SCOPE), Keyring(login)
    if login is None:
        answer = client.get(place)
    else:
        require_safe(place, insecure=insecure)
        answer = client.get(place, headers={"Authorization": login.header})
    keyring.keep(_SCOPE, answer.raise_for_status().content)
    return keyring.header(_SCOPE) or ""
