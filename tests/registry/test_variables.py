"""Every option has an environment variable; a gunicorn of one's own takes those of the registry."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest

from bench.layout import oci_archive
from installer.command import root
from registry.config import RegistrySettings, SettingInvalid
from registry.serving_options import settings_from_environment
from registry.storage.store import Store
from tests.conftest import Server, free_port, k0rdentd, wait_until_answering
from tests.faults.processes import kill_session
from tests.images import publish, small_image, write_tar

PREFIX = "K0RDENTD_REGISTRY_"


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, as the root of all hands them out."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


def test_every_option_has_a_variable_that_its_help_tells() -> None:
    for path, command in commands(root):
        context = click.Context(command, info_name=" ".join(path), terminal_width=1000)
        shown = " ".join(command.get_help(context).split())
        for option in command.params:
            if isinstance(option, click.Option):
                assert isinstance(option.envvar, str), (path, option.opts)
                assert option.envvar.startswith(("K0RDENTD_", "K0RDENT_COSIGN_KEY"))
                assert option.hidden or f"env var: {option.envvar}" in shown, (path, option.opts)


def test_within_a_command_no_two_options_share_one() -> None:
    for path, command in commands(root):
        variables = [option.envvar for option in command.params if isinstance(option, click.Option)]
        assert len(variables) == len(set(map(str, variables))), path


@pytest.mark.parametrize("name", ["charts/a", "b"])
def test_variables_say_what_options_do_and_flags_beat_them(tmp_path: Path, name: str) -> None:
    bundle = write_tar(
        tmp_path / "b.tar", {f"{each}_1.tar": oci_archive(small_image(each)) for each in ("charts/a", "b")}
    )
    said = {"K0RDENTD_LOAD_INCLUDE": "charts/*", "K0RDENTD_LOAD_JOBS": "1", "K0RDENTD_LOAD_PROGRESS": "json"}
    flags = () if name == "charts/a" else ("--include", "b:*")
    done = k0rdentd("load", bundle, "-s", tmp_path / "s", *flags, env={**os.environ, **said})
    assert done.returncode == 0, done.stderr
    loaded = [line["image"] for line in map(json.loads, done.stdout.splitlines()) if line["outcome"] == "loaded"]
    assert loaded == [f"{name}:1"]
    listed = k0rdentd("store", "ls", "-s", tmp_path / "s", env={**os.environ, "K0RDENTD_STORE_LS_JSON": "1"})
    assert json.loads(listed.stdout)


def test_a_gunicorn_of_ones_own_is_told_all_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_from_environment() == RegistrySettings(verification=settings_from_environment().verification)
    for key, value in {"STORAGE": "/a:/b", "MAX_UPLOADS": "7", "PUSH": "anonymous", "FILES": "/f"}.items():
        monkeypatch.setenv(PREFIX + key, value)
    settings = settings_from_environment()
    assert settings.storage == (Path("/a"), Path("/b"))
    assert (settings.limits.uploads, settings.push, settings.files) == (7, "anonymous", Path("/f"))


def test_it_is_not_open_to_all_where_users_are_wanted_and_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PULL", "authenticated")
    with pytest.raises(SettingInvalid, match="--htpasswd"):
        settings_from_environment()
    monkeypatch.setenv(f"{PREFIX}HTPASSWD", "/users")
    assert settings_from_environment().push == "authenticated"


def test_a_gunicorn_of_ones_own_serves_all_roots(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    store = Store.open(roots)
    publish(store, small_image(), "app:1")
    store.close()
    port = free_port()
    settings = Path(__file__).parents[2] / "config" / "gunicorn.conf.py"
    command = [sys.executable, "-m", "gunicorn", "-c", str(settings), "-b", f"127.0.0.1:{port}", "registry.wsgi:app()"]
    environment = {**os.environ, f"{PREFIX}STORAGE": ":".join(map(str, roots)), f"{PREFIX}THREADS": "3"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        server = Server(process, port, tmp_path / "log")
        wait_until_answering(server, "/readyz")
        assert httpx.get(f"{server.url}/v2/app/manifests/1").status_code == 200
    finally:
        kill_session(process)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "one", "two"]
