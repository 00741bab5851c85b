"""The registry's settings: read once, from options or from the environment, into frozen types."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from registry.oci.errors import Failure
from registry.pki.names import SubjectName
from registry.verification import Verification

DEFAULT_PORT = 5000
DEFAULT_HOST = "0.0.0.0"  # noqa: S104  # a registry serves the cluster; --host narrows it
DEFAULT_STORAGE = Path("/var/lib/k0rdentd/registry")
DEFAULT_THREADS = 16
TLS_MODES = ("auto", "off", "files")
PLAIN_HTTP = ("loopback", "any", "off")


class SettingInvalid(Failure):
    """The registry was told something that cannot work."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and as what."""

    level: str = "info"
    form: str = "text"
    requests: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for at most; sizes in bytes, times in seconds."""

    manifest: int = 4 * 1024 * 1024
    blob: int = 64 * 1024**3
    uploads: int = 10_000
    upload_age: int = 24 * 3600
    idle: int = 60


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How the registry proves who it is (`auto`: with its own CA), and who may do without TLS.

    Raises:
        SettingInvalid: the parts do not go together.
    """

    mode: str = "auto"
    cert: Path | None = None
    key: Path | None = None
    sans: tuple[SubjectName, ...] = ()
    client_ca: Path | None = None
    plain_http: str = "loopback"

    def __post_init__(self) -> None:
        _require_choice("--tls", self.mode, TLS_MODES)
        _require_choice("--plain-http", self.plain_http, PLAIN_HTTP)
        given = self.cert is not None, self.key is not None
        if self.mode == "files" and not all(given):
            raise SettingInvalid("'--tls files' needs --tls-cert and --tls-key")
        if self.mode != "files" and any(given):
            raise SettingInvalid("--tls-cert and --tls-key are for '--tls files': add it, or leave them out")
        if self.mode != "auto" and self.sans:
            raise SettingInvalid("--tls-san is for the registry's own certificate: leave it out, or use '--tls auto'")
        if self.mode == "off" and self.client_ca is not None:
            raise SettingInvalid("--tls-client-ca needs TLS: leave it out, or choose another --tls")
        if self.mode == "off" and self.plain_http == "off":
            raise SettingInvalid("'--tls off' and '--plain-http off' leave nothing to serve: choose one of them")

    @classmethod
    def choose(cls, mode: str, plain_http: str | None = None, **others: Any) -> Self:
        """Where there is no TLS, everybody gets plain HTTP unless it is said otherwise.

        Raises:
            SettingInvalid: the parts do not go together.
        """
        return cls(mode, plain_http=plain_http or ("any" if mode == "off" else "loopback"), **others)


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What `k0rdentd registry` was told.

    Raises:
        SettingInvalid: it asks for users, and there are none.
    """

    storage: tuple[Path, ...] = (DEFAULT_STORAGE,)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    bundle: Path | None = None
    workers: int = 2
    threads: int = DEFAULT_THREADS
    background: bool = False
    log: LogSettings = field(default_factory=LogSettings)
    pull: str = "anonymous"
    push: str = "off"
    htpasswd: Path | None = None
    limits: Limits = field(default_factory=Limits)
    tls: TlsSettings = field(default_factory=TlsSettings)
    files: Path | None = None
    pid_file: Path | None = None
    verification: Verification = field(default_factory=Verification)

    def __post_init__(self) -> None:
        if self.htpasswd is None and "authenticated" in (self.push, self.pull):
            raise SettingInvalid("'authenticated' needs users: name a file of them with --htpasswd")


def _require_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingInvalid(f"{option} cannot be {value!r}: choose one of {', '.join(choices)}")


def inherits_sockets(environment: Mapping[str, str], process: int) -> bool:
    """Whether systemd, or the registry that this one takes over from, hands down a socket that listens already."""
    return "GUNICORN_FD" in environment or environment.get("LISTEN_PID") == str(process)


def default_workers() -> int:
    """One process a core, but two at least, and four unless asked for more: disk or network fill first."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


def logging_config(settings: LogSettings, handler: str = "logging.StreamHandler") -> dict[str, Any]:
    """For `logging.config.dictConfig`, and for gunicorn, which has loggers of its own."""
    errors = {"level": settings.level.upper(), "handlers": ["stderr"], "propagate": False}
    requests = errors | {"level": "INFO" if settings.requests else "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
            "json": {"class": "registry.logs.JsonFormatter"},
        },
        "filters": {"bounded": {"()": "registry.logs.Bounded"}},
        "handlers": {"stderr": {"class": handler, "formatter": settings.form, "filters": ["bounded"]}},
        "root": {"level": settings.level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": errors,
            "registry.access": requests,
            "httpx": {"level": "WARNING"},  # a line a request would drown the ones that count
        },
    }


def is_log_json() -> bool:
    """Whether `logging_config` was asked for JSON, and its log is in force."""
    from registry.logs import JsonFormatter  # noqa: PLC0415  # few commands log, and few of those JSON

    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)
