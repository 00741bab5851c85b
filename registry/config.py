"""The registry's settings: read once, from options or from the environment, into frozen types."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

DEFAULT_PORT = 5000
DEFAULT_HOST = "0.0.0.0"  # noqa: S104  # a registry serves the cluster; --host narrows it
DEFAULT_STORAGE = Path("/var/lib/k0rdentd/registry")
DEFAULT_THREADS = 16


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How much is logged, and as what."""

    level: str = "info"
    form: str = "text"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask for at most; sizes in bytes, times in seconds."""

    manifest: int = 4 * 1024 * 1024
    blob: int = 64 * 1024**3
    uploads: int = 10_000
    upload_age: int = 24 * 3600
    idle: int = 60


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What `k0rdentd registry` was told."""

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
    files: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """For `gunicorn 'registry.wsgi:app()'`."""
        storage = environment.get("K0RDENTD_REGISTRY_STORAGE")
        bundle = environment.get("K0RDENTD_AIRGAP_BUNDLE_PATH")
        files = environment.get("K0RDENTD_REGISTRY_FILES")
        return cls(
            storage=(Path(storage),) if storage else (DEFAULT_STORAGE,),
            bundle=Path(bundle) if bundle else None,
            files=Path(files) if files else None,
        )


def default_workers() -> int:
    """One process a core, but two at least, and four unless asked for more: disk or network fill first."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


def logging_config(settings: LogSettings) -> dict[str, Any]:
    """For `logging.config.dictConfig`, and for gunicorn, which has loggers of its own."""
    errors = {"level": settings.level.upper(), "handlers": ["stderr"], "propagate": False}
    requests = errors | {"level": "INFO" if settings.level == "debug" else "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
            "json": {"class": "registry.logs.JsonFormatter"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": settings.form}},
        "root": {"level": settings.level.upper(), "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": errors, "gunicorn.access": requests},
    }
