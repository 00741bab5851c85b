"""Values of the configuration file that cannot be wrong once they are there: versions, addresses, durations."""

import ipaddress
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, PlainSerializer, SecretStr, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from registry.config import DEFAULT_PORT

_K0S = re.compile(r"v?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)(?:[+_-]k0s\.(\d+))?")
_SEMVER = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_URL = re.compile(r"^https?://\S+$")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
# Kubernetes ends names at 253; what belongs to a credential is called NAME-identity-resource-template.
_NAME_LENGTH = 253 - len("-identity-resource-template")
_PLACEHOLDER = re.compile(r"\$\{\w+\}")


class _Text(str):
    """Text that `parse` has seen; pydantic takes it from text only."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema())


class K0sVersion(_Text):
    """A version of k0s as its own command prints it, such as `v1.32.8+k0s.0`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """With or without `v`; image tags write `-k0s.0`.

        Raises:
            ValueError: the text is no such version.
        """
        match = _K0S.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no version of k0s; they look like v1.32.8+k0s.0")
        return cls(f"v{match[1]}+k0s.{match[2] or 0}")

    @property
    def minor(self) -> tuple[int, int]:
        """`(1, 32)`."""
        first, second, _ = self.removeprefix("v").split(".", 2)
        return int(first), int(second)


class ChartVersion(_Text):
    """A full semantic version without `v`, such as `1.2.3`: k0s writes it unquoted into YAML."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1.2.3` or `v1.2.3`.

        Raises:
            ValueError: the text is no full version.
        """
        match = _SEMVER.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no full version such as 1.2.3")
        return cls(match[1])


class HostPort(_Text):
    """`host:port`, without a scheme or a path; an IPv6 address in brackets."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Without a port, it is the registry's usual one.

        Raises:
            ValueError: host or port cannot be.
        """
        host, colon, port = text.rpartition(":")
        if not colon or (host.startswith("[") and not host.endswith("]")):
            host, port = text, str(DEFAULT_PORT)
        if not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r}: the port is a number from 1 to 65535")
        return cls(f"{_bracketed(Host.parse(host.removeprefix('[').removesuffix(']')))}:{int(port)}")

    @property
    def host(self) -> str:
        """Without brackets."""
        return self.rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


class Host(_Text):
    """A DNS name, in lower case, or an address."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read either.

        Raises:
            ValueError: it is neither.
        """
        try:
            return cls(ipaddress.ip_address(text))
        except ValueError:
            pass
        name = text.lower().removesuffix(".")
        if not _HOST.fullmatch(name) or name.rpartition(".")[2].isdigit():
            raise ValueError(f"{text!r} is neither a host name nor an address")
        return cls(name)


class ObjectName(_Text):
    """A name that Kubernetes takes, short enough for what is named after it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one.

        Raises:
            ValueError: Kubernetes would refuse it.
        """
        if len(text) > _NAME_LENGTH or not _NAME.fullmatch(text):
            raise ValueError(f"{text!r}: lower-case letters, digits, '-' and '.', up to {_NAME_LENGTH} characters")
        return cls(text)


def check_web_address(text: str) -> str:
    """Where a service of the web answers.

    Raises:
        ValueError: it is no such address; it may hold a password, so it is not told.
    """
    if not _URL.fullmatch(text):
        raise ValueError("must begin with https:// or http://, and have no spaces")
    return text


def parse_network(value: object) -> object:
    """`10.244.0.0/16`, as a network begins.

    Raises:
        ValueError: it is no network.
    """
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no network ({error}); they look like 10.244.0.0/16") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine, and no pod on it, reaches itself under that name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_placeholder(secret: SecretStr | str | None) -> bool:
    """Whether somebody hoped that `${NAME}` would be replaced."""
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret or ""
    return bool(_PLACEHOLDER.fullmatch(text.strip()))


def parse_duration(value: object) -> object:
    """`1h30m`, `45m` or `90s`, as Go writes them; a bare number is seconds.

    Raises:
        ValueError: it is no such duration.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    match = _DURATION.fullmatch(f"{value}s" if isinstance(value, int) else value)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not hours + minutes + seconds:
        raise ValueError(f"{value!r} is no duration; they look like 45m or 1h30m")
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """As Go reads it; in whole hours or minutes where it is such."""
    seconds = int(duration.total_seconds())
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0)
    return f"{seconds // size}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$"}),
]


WebAddress = Annotated[
    str, AfterValidator(check_web_address), WithJsonSchema({"type": "string", "pattern": _URL.pattern})
]
"""As text, since it is written out again."""

Addresses = Annotated[IPv4Network | IPv6Network, BeforeValidator(parse_network)]
"""All of a network."""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
