"""HTTP as a careful client speaks it: logged in where asked, redirected without secrets, never more than was wanted."""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from registry.transfer.challenge import Challenge, Keyring
from registry.transfer.errors import (
    AnswerInvalid,
    Interrupted,
    PlaceInvalid,
    RegistryRefused,
    RegistryUntrusted,
)
from registry.transfer.login import Login
from registry.transfer.patience import Endurance
from registry.transfer.place import require_safe
from registry.transfer.text import printable

_REDIRECTS = 5
_EXCUSES = frozenset({408, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_ERROR_BYTES = 16 * 1024
_TOKEN_BYTES = 1024 * 1024
# A document, of a few MiB at most, must not trickle in for ever; blobs may, as long as they move.
_DOCUMENT_SECONDS = 300
_TIMEOUT = httpx.Timeout(60, connect=15)

Body = Callable[[], Iterable[bytes] | bytes]


@dataclass(frozen=True, slots=True)
class Security:
    """Whom to trust: the system's authorities, or those of a file; `insecure` asks for no proof at all."""

    ca_file: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """For all connections.

        Raises:
            PlaceInvalid: the file holds no certificates.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one, too
            raise PlaceInvalid(f"{self.ca_file} holds no certificates: name a PEM file with --ca-file") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Call:
    """A request; `scope` is what it needs to be allowed, `body` gives its bytes anew each time."""

    method: str
    url: httpx.URL
    scope: str
    expected: frozenset[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL


class Transport:
    """Connections to one registry, and to where it redirects; safe for threads."""

    def __init__(
        self, origin: httpx.URL, security: Security, login: Login | None, endurance: Endurance, connections: int = 32
    ) -> None:
        require_safe(origin, insecure=security.insecure)
        self.origin = origin
        self.endurance = endurance
        self._security = security
        self._keyring = Keyring(login)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # identity: sizes and digests are those of the bytes as they are sent
        headers = {"Accept-Encoding": "identity", "User-Agent": "k0rdentd"}
        self._client = httpx.Client(verify=security.context(), timeout=_TIMEOUT, limits=limits, headers=headers)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def fetch(self, call: Call, limit: int = _ERROR_BYTES) -> Answer:
        """A whole answer of at most `limit` bytes, tried again as often as the endurance says.

        Raises:
            RegistryUnavailable: there was none.
            RegistryRefused: it is not one of those expected.
            AnswerInvalid: it is longer.
        """
        return self.endurance.insist(lambda: self.fetch_once(call, limit))

    def fetch_once(self, call: Call, limit: int = _ERROR_BYTES) -> Answer:
        """As `fetch`, or Interrupted."""
        with self.open(call) as response:
            body = b"" if call.method == "HEAD" else _read(response, limit)
            return Answer(response.status_code, response.headers, body, response.url)

    @contextmanager
    def open(self, call: Call) -> Iterator[httpx.Response]:
        """An answer whose body is yet to be read.

        Raises:
            Interrupted: there is none, or one that may be better next time.
            RegistryRefused: it is not one of those expected.
        """
        with _interruptions(call.url), self._authorized(call) as response:
            if response.status_code in _EXCUSES:
                raise Interrupted(f"{_where(response)} answers {_reason(response)}", _retry_after(response))
            if response.status_code not in call.expected:
                raise RegistryRefused(f"{_where(response)} refuses: {_reason(response)}", response.status_code)
            yield response

    @contextmanager
    def _authorized(self, call: Call) -> Iterator[httpx.Response]:
        with self._redirected(call) as response:
            if response.status_code != httpx.codes.UNAUTHORIZED or not self._is_origin(response.url):
                yield response
                return
            challenge = Challenge.choose(response.headers.get_list("www-authenticate"))
            learned = challenge is not None and self._learn(challenge, call.scope)
            if not learned:
                yield response
                return
        with self._redirected(call) as response:
            yield response

    def _learn(self, challenge: Challenge, scope: str) -> bool:
        """Whether the challenge can be answered from now on."""
        if challenge.scheme == "basic":
            return self._keyring.use_basic()
        url = challenge.token_url(scope)
        require_safe(url, insecure=self._security.insecure)
        login = self._keyring.login
        headers = {} if login is None else {"Authorization": login.header}
        with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code in _EXCUSES:
                raise Interrupted(f"{_where(response)} answers {_reason(response)}", _retry_after(response))
            if response.status_code != httpx.codes.OK:
                raise RegistryRefused(f"{_where(response)} gives no token: {_reason(response)}", response.status_code)
            self._keyring.keep(scope, _read(response, _TOKEN_BYTES))
        return True

    @contextmanager
    def _redirected(self, call: Call) -> Iterator[httpx.Response]:
        url = call.url
        for _ in range(_REDIRECTS + 1):
            require_safe(url, insecure=self._security.insecure)
            with self._send(call, url) as response:
                if call.method not in ("GET", "HEAD") or response.status_code not in _MOVED:
                    yield response
                    return
                url = follow(response.url, response.headers.get("location", ""))
        raise AnswerInvalid(f"{_place(call.url)} redirects in circles")

    @contextmanager
    def _send(self, call: Call, url: httpx.URL) -> Iterator[httpx.Response]:
        headers = dict(call.headers)
        known = self._keyring.header(call.scope) if self._is_origin(url) else None
        if known is not None:
            headers["Authorization"] = known
        content = None if call.body is None else call.body()
        with self._client.stream(call.method, url, headers=headers, content=content) as response:
            yield response

    def _is_origin(self, url: httpx.URL) -> bool:
        """Whether our credentials are meant for it."""
        return (url.scheme, url.host, url.port) == (self.origin.scheme, self.origin.host, self.origin.port)


def follow(base: httpx.URL, location: str) -> httpx.URL:
    """Where a Location or Link header points.

    Raises:
        AnswerInvalid: nowhere.
    """
    try:
        url = base.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise AnswerInvalid(f"{_place(base)} points to {printable(location)!r}") from error
    if not location or url.scheme not in ("http", "https") or not url.host:
        raise AnswerInvalid(f"{_place(base)} points to {printable(location)!r}")
    return url


@contextmanager
def _interruptions(url: httpx.URL) -> Iterator[None]:
    """What goes wrong on the wire may go better next time, but for a certificate."""
    try:
        yield
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise RegistryUntrusted(
                f"the certificate of {url.netloc.decode()} is not to be trusted ({printable(str(error))}): "
                "name its authority with --ca-file"
            ) from error
        raise Interrupted(f"{_place(url)}: {printable(str(error)) or type(error).__name__}") from error
    except httpx.InvalidURL as error:
        raise AnswerInvalid(f"{_place(url)} points nowhere") from error


def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    deadline = time.monotonic() + _DOCUMENT_SECONDS
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit:
            raise AnswerInvalid(f"{_where(response)} answers with more than {limit} bytes")
        if time.monotonic() > deadline:
            raise AnswerInvalid(f"{_where(response)} does not come to the end of a small document")
    return bytes(body)


def _reason(response: httpx.Response) -> str:
    """What the registry says of its refusal, if that is short, and no page for a browser."""
    try:
        said = _read(response, _ERROR_BYTES).decode("utf-8", "replace").strip()
    except AnswerInvalid:
        said = ""
    is_page = said.startswith("<")
    return printable(f"{response.status_code} {response.reason_phrase if is_page or not said else said}")


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _where(response: httpx.Response) -> str:
    return f"{response.request.method} {_place(response.request.url)}"


def _place(url: httpx.URL) -> str:
    """An address without its query, which may hold secrets."""
    return printable(f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}{url.path}")
