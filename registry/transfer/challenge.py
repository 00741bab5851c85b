"""Answers a registry's question who asks: Basic, or a bearer token from the place that it names."""

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import httpx
import orjson

from registry.transfer.errors import AnswerInvalid
from registry.transfer.login import Login

_PARAMETER = re.compile(r'([A-Za-z_]+)="((?:[^"\\]|\\.)*)"')
_TOKEN = re.compile(r"[!-~]{1,65536}")
_SECONDS = 60  # what a token lives where nothing is said (distribution's token specification)
_LONGEST = 24 * 3600


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def choose(cls, headers: Iterable[str]) -> Self | None:
        """The challenge that can be answered, tokens before passwords."""
        found: dict[str, Self] = {}
        for header in headers:
            scheme = header.partition(" ")[0].lower()
            found.setdefault(scheme, cls(scheme, dict(_PARAMETER.findall(header))))
        return found.get("bearer") or found.get("basic")

    def token_url(self, scope: str) -> httpx.URL:
        """Where the token is to be had.

        Raises:
            AnswerInvalid: nowhere.
        """
        try:
            url = httpx.URL(self.parameters.get("realm", ""))
        except httpx.InvalidURL as error:
            raise AnswerInvalid("the registry names no place to get a token from") from error
        query = [("scope", each) for each in scope.split()]
        if "service" in self.parameters:
            query.insert(0, ("service", self.parameters["service"]))
        return url.copy_with(params=httpx.QueryParams([*url.params.multi_items(), *query]))


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    until: float


@dataclass(slots=True)
class Keyring:
    """What a registry has accepted so far, by scope; safe for threads."""

    login: Login | None
    _basic: bool = False
    _tokens: dict[str, _Token] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def header(self, scope: str) -> str | None:
        """What to send along, if anything is known to help."""
        with self._lock:
            token = self._tokens.get(scope)
            if token is not None and token.until > time.monotonic():
                return token.header
            return self.login.header if self._basic and self.login is not None else None

    def use_basic(self) -> bool:
        """From now on send the password itself; False where there is none, or it was sent and refused."""
        with self._lock:
            fresh = self.login is not None and not self._basic
            self._basic = fresh or self._basic
            return fresh

    def keep(self, scope: str, body: bytes) -> None:
        """Remember the token in an answer.

        Raises:
            AnswerInvalid: there is none in it.
        """
        try:
            document = orjson.loads(body)
            token = document.get("token") or document.get("access_token")
            seconds = min(float(document.get("expires_in") or _SECONDS), _LONGEST)
        except (ValueError, AttributeError, TypeError) as error:
            raise AnswerInvalid("the answer to a request for a token is none") from error
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise AnswerInvalid("the answer to a request for a token holds none")
        with self._lock:
            self._tokens[scope] = _Token(f"Bearer {token}", time.monotonic() + 0.8 * seconds)
