"""The WSGI entry point, for `gunicorn -c config/gunicorn.conf.py 'registry.wsgi:app()'` and for our own server."""

from collections.abc import Callable
from dataclasses import replace

from registry.api.access import Access, Who
from registry.api.app import RegistryApp, create_app
from registry.api.passwords import Passwords
from registry.api.tokens import Tokens, open_key
from registry.config import RegistrySettings
from registry.pki.certificates import Certificates
from registry.serving_options import settings_from_environment
from registry.storage.store import Store
from registry.text import spelled


def open_app(
    settings: RegistrySettings,
    store: Store,
    certificates: Certificates | None,
    read_metrics: Callable[[], bytes] | None = None,
) -> RegistryApp:
    """The application over an open store; `/metrics` only where its workers share what they count."""
    bundle = spelled(settings.bundle.resolve()) if settings.bundle else None
    limits = settings.limits

    def read_ca() -> bytes | None:
        return None if certificates is None else certificates.ca_pem

    access = _access(settings, store)
    return create_app(store, access, limits.manifest, limits.blob, bundle, read_ca, settings.files, read_metrics)


def open_store(settings: RegistrySettings) -> Store:
    """The store; open it once in a process, after fork."""
    return Store.open(settings.storage, upload_limit=settings.limits.uploads)


def app() -> RegistryApp:
    """The application with settings from the environment."""
    settings = settings_from_environment()
    store = open_store(settings)
    return open_app(settings, store, Certificates.open(settings.tls, settings.storage))


def _access(settings: RegistrySettings, store: Store) -> Access:
    access = Access(Who(settings.pull), Who(settings.push))
    if store.index.read_only:
        access = replace(access, push=Who.NOBODY, no_push="the registry's disk is read-only")
    if settings.htpasswd is None:
        return access
    return replace(access, passwords=Passwords(settings.htpasswd), tokens=Tokens(open_key(store.token_key)))
