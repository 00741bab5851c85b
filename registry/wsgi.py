"""The WSGI entry point, for `gunicorn -c config/gunicorn.conf.py 'registry.wsgi:app()'` and for our own server."""

import os

from registry.api.app import RegistryApp, create_app
from registry.config import RegistrySettings
from registry.storage.store import Store


def open_app(settings: RegistrySettings) -> RegistryApp:
    """The application over its store; call it once in a process, after fork."""
    return create_app(Store.open(settings.storage), str(settings.bundle.resolve()) if settings.bundle else None)


def app() -> RegistryApp:
    """The application with settings from the environment."""
    return open_app(RegistrySettings.from_environment(os.environ))
