"""The WSGI entry point, for `gunicorn -c config/gunicorn.conf.py 'registry.wsgi:app()'` and for our own server."""

import os

from registry.api.access import Access, Who
from registry.api.app import RegistryApp, create_app
from registry.api.passwords import Passwords
from registry.api.tokens import Tokens, open_key
from registry.config import RegistrySettings
from registry.storage.store import Store


def open_app(settings: RegistrySettings, store: Store) -> RegistryApp:
    """The application over an open store."""
    bundle = str(settings.bundle.resolve()) if settings.bundle else None
    limits = settings.limits
    return create_app(store, _access(settings, store), limits.manifest, limits.blob, bundle, settings.files)


def open_store(settings: RegistrySettings) -> Store:
    """The store; open it once in a process, after fork."""
    return Store.open(settings.storage, upload_limit=settings.limits.uploads)


def app() -> RegistryApp:
    """The application with settings from the environment."""
    settings = RegistrySettings.from_environment(os.environ)
    return open_app(settings, open_store(settings))


def _access(settings: RegistrySettings, store: Store) -> Access:
    pull, push = Who(settings.pull), Who(settings.push)
    if settings.htpasswd is None:
        return Access(pull, push)
    return Access(pull, push, Passwords(settings.htpasswd), Tokens(open_key(store.token_key)))
