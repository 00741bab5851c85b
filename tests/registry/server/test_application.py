"""How gunicorn is set up."""

import runpy
from pathlib import Path

from registry.config import RegistrySettings
from registry.server.application import gunicorn_options

SHIPPED = Path(__file__).parents[3] / "config" / "gunicorn.conf.py"


def test_the_shipped_gunicorn_settings_are_ours() -> None:
    shipped = {key: value for key, value in runpy.run_path(str(SHIPPED)).items() if not key.startswith("__")}
    ours = gunicorn_options(RegistrySettings())
    assert {key: ours[key] for key in shipped} == shipped


def test_sendfile_is_left_alone() -> None:
    assert "sendfile" not in gunicorn_options(RegistrySettings())


def test_an_ipv6_address_is_bracketed() -> None:
    assert gunicorn_options(RegistrySettings(host="::1"))["bind"] == "[::1]:5000"
