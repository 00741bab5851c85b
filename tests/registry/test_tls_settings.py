"""How TLS is asked for: options, environment, the configuration file, and what does not go together."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509

from registry.config import RegistrySettings, SettingInvalid, TlsSettings
from registry.options import tls_options
from registry.pki.names import parse_name
from registry.serving_options import settings_from_environment
from tests.conftest import free_port, k0rdentd, serving
from tests.registry.pki.certs import DAY, NOW, make

SANS = (parse_name("registry.example.com"), parse_name("10.0.0.7"), parse_name("fd00::7"))
PREFIX = "K0RDENTD_REGISTRY_"


def asked(*arguments: str, environment: Mapping[str, str] | None = None) -> TlsSettings:
    """The settings that a command line and an environment make."""
    seen: list[TlsSettings] = []

    @click.command()
    @tls_options
    def command(
        tls: str, tls_cert: Path, tls_key: Path, tls_san: tuple[object, ...], tls_client_ca: Path, plain_http: str
    ) -> None:
        others = {"cert": tls_cert, "key": tls_key, "sans": tls_san, "client_ca": tls_client_ca}
        seen.append(TlsSettings.choose(tls, plain_http, **others))

    CliRunner().invoke(command, arguments, env=dict(environment or {}), standalone_mode=False, catch_exceptions=False)
    return seen[0]


def by_gunicorn(environment: Mapping[str, str]) -> RegistrySettings:
    """The settings of `gunicorn 'registry.wsgi:app()'` in an environment."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        return settings_from_environment()


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, TlsSettings("auto", plain_http="loopback")),
        ({"tls": "off"}, TlsSettings("off", plain_http="any")),
        ({"tls": "off", "plain-http": "loopback"}, TlsSettings("off", plain_http="loopback")),
        ({"plain-http": "off"}, TlsSettings("auto", plain_http="off")),
        (
            {"tls": "files", "tls-cert": "/c", "tls-key": "/k", "tls-client-ca": "/ca"},
            TlsSettings("files", Path("/c"), Path("/k"), client_ca=Path("/ca")),
        ),
    ],
)
def test_options_and_environment_say_the_same(options: dict[str, str], settings: TlsSettings) -> None:
    environment = {PREFIX + key.upper().replace("-", "_"): value for key, value in options.items()}
    assert asked(*(part for key, value in options.items() for part in (f"--{key}", value))) == settings
    assert asked(environment=environment) == settings
    assert by_gunicorn(environment).tls == settings


def test_several_names_are_repeated_or_listed() -> None:
    repeated = [part for name in SANS for part in ("--tls-san", str(name))]
    listed = {f"{PREFIX}TLS_SAN": "Registry.example.com, 10.0.0.7 fd00::7"}
    assert asked(*repeated).sans == asked(environment=listed).sans == SANS
    assert by_gunicorn(listed).tls.sans == SANS


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TLS": "on"}, "'--tls' (env var: 'K0RDENTD_REGISTRY_TLS'): 'on' is not one of"),
        ({"PLAIN_HTTP": "yes"}, "'yes' is not one of 'loopback'"),
        ({"TLS": "files"}, "needs --tls-cert and --tls-key"),
        ({"TLS": "files", "TLS_CERT": "/c"}, "needs --tls-cert and --tls-key"),
        ({"TLS_CERT": "/c"}, "are for '--tls files'"),
        ({"TLS": "files", "TLS_CERT": "/c", "TLS_KEY": "/k", "TLS_SAN": "a"}, "--tls-san is for"),
        ({"TLS": "off", "TLS_CLIENT_CA": "/ca"}, "--tls-client-ca needs TLS"),
        ({"TLS": "off", "PLAIN_HTTP": "off"}, "leave nothing to serve"),
    ],
)
def test_what_does_not_go_together_is_told(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingInvalid, match=re.escape(said)) as caught:
        by_gunicorn({PREFIX + key: value for key, value in environment.items()})
    assert caught.value.exit_code == 2


def test_a_name_that_is_none_is_told() -> None:
    with pytest.raises(SettingInvalid, match="a:5000"):
        by_gunicorn({f"{PREFIX}TLS_SAN": "a:5000"})
    done = k0rdentd("registry", "--tls-san", "a:5000")
    assert done.returncode == 2
    assert "'a:5000' is neither a DNS name nor an address" in done.stderr


def test_files_that_do_not_do_are_told_before_anything_is_started(tmp_path: Path) -> None:
    late = make("late", end=NOW - DAY / 2)
    (tmp_path / "crt").write_bytes(late.pem)
    (tmp_path / "key").write_bytes(late.key_pem)
    files = ("--tls", "files", "--tls-cert", tmp_path / "crt", "--tls-key", tmp_path / "key")
    done = k0rdentd("registry", *files, "-s", tmp_path / "s", "--push", "anonymous", "-p", str(free_port()))
    assert done.returncode == 2
    assert done.stderr.startswith(f"k0rdentd: {tmp_path / 'crt'} ended on ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_the_start_tells_the_ca_which_a_restart_keeps(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("registry:\n  tlsSan: registry.example.com\n")
    ca = tmp_path / "s" / "pki" / "ca.crt"
    served = []
    for name in ("log1", "log2"):
        arguments = ("-s", tmp_path / "s", "--push", "anonymous", "--workers", "2")
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("K0RDENTD_CONFIG_FILE", str(config))
            with serving(*arguments, log=tmp_path / name) as server:
                served.append(httpx.get(f"{server.url}/ca.crt").raise_for_status().content)
        command = ("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", ca)
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"the CA {ca}, SHA-256 {shown.strip().partition('=')[2]}" in (tmp_path / name).read_text()
    assert served == [ca.read_bytes()] * 2
    made = x509.load_pem_x509_certificate((tmp_path / "s" / "pki" / "server.pem").read_bytes())
    listed = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "registry.example.com" in listed.get_values_for_type(x509.DNSName)


def test_without_tls_there_is_no_ca(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("registry:\n  tls: off\n")
    arguments = ("-s", tmp_path / "s", "--push", "anonymous", "--workers", "1")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("K0RDENTD_CONFIG_FILE", str(config))
        with serving(*arguments, log=tmp_path / "log") as server:
            assert httpx.get(f"{server.url}/ca.crt").status_code == 404
    assert not (tmp_path / "s" / "pki").exists()
    assert "TLS" not in (tmp_path / "log").read_text()
