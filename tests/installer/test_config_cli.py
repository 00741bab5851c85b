"""`k0rdentd config`: the default file is what is in force without one, and mistakes are told all at once."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from installer.config_check import check_file
from installer.redaction import MASK, masked
from installer.settings import Settings
from installer.settings_base import Section
from installer.settings_file import SettingsInvalid, parse_settings
from registry.cli import registry
from tests.conftest import k0rdentd

SHIPPED = Path(__file__).parent.parent.parent / "config" / "k0rdentd.yaml"


def uncommented(text: str) -> str:
    """The same with every setting that a comment shows; a comment that says something is left out."""
    lines = [re.sub(r"^( *)# (?=[ -]*[a-z][A-Za-z0-9]*:( |$)| +\S)", r"\1", line) for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def keys(model: type[Section]) -> set[str]:
    """Of a section and those below it."""
    found = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for arm in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(arm, type) and issubclass(arm, Section):
                found |= keys(arm)
    return found


def test_the_default_file_is_the_shipped_one_and_changes_nothing() -> None:
    shown = k0rdentd("config", "default").stdout
    assert shown == SHIPPED.read_text()
    loaded = parse_settings(yaml.safe_load(shown), SHIPPED)
    assert loaded.settings == Settings(registry={})
    assert loaded.remarks == ()


def test_each_line_that_is_commented_out_would_do_and_shows_the_default(tmp_path: Path) -> None:
    text = uncommented(SHIPPED.read_text())
    settings = parse_settings(yaml.safe_load(text), SHIPPED).settings
    for said, default in (
        (settings.k0s.network, Settings().k0s.network),
        (settings.k0rdent.helm, Settings().k0rdent.helm),
    ):
        assert said == default
    assert (settings.airgap.mirrors, settings.airgap.images) == (Settings().airgap.mirrors, Settings().airgap.images)
    file = tmp_path / "c.yaml"
    file.write_text(text.replace("  tlsCert", "  # tlsCert").replace("  tlsKey", "  # tlsKey"))
    done = k0rdentd("config", "validate", file)
    assert done.returncode == 0, done.stderr


def test_every_setting_is_in_the_default_file() -> None:
    written = set(re.findall(r"([A-Za-z0-9]+):", SHIPPED.read_text()))
    inline = {key.removesuffix("File") for key in written if key.endswith("File")} | {"kine"}
    assert keys(Settings) <= written | inline


def test_the_schema_knows_every_section_and_no_others() -> None:
    schema = json.loads(k0rdentd("config", "schema").stdout)
    assert set(schema["properties"]) >= {"k0s", "k0rdent", "airgap", "join", "registry", "load", "logLevel"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["registry"]["properties"]["port"]["maximum"] == 65535
    assert schema["$defs"]["Network"]["properties"]["provider"]["enum"] == ["kuberouter", "calico", "custom"]


def test_view_shows_what_is_in_force_with_secrets_masked(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("""
k0rdent:
  credentials: {azure: [{name: b, clientID: c, clientSecret: planted-a, tenantID: t}]}
  helm: {values: {ui: {adminPassword: planted-b}, controller: {registryCertSecret: registry-ca}}}
registry: {port: 5001}
""")
    environment = {**os.environ, "K0RDENTD_K0S_VERSION": "1.32.8", "K0RDENTD_REGISTRY_HOST": "10.0.0.1"}
    done = k0rdentd("-c", file, "config", "view", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    assert "planted" not in done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert (shown["registry"]["port"], shown["registry"]["host"]) == (5001, "10.0.0.1")
    assert (shown["k0s"]["version"], shown["k0s"]["api"]["port"]) == ("v1.32.8+k0s.0", 6443)
    assert shown["k0rdent"]["helm"]["values"]["controller"]["registryCertSecret"] == "registry-ca"


def test_validate_tells_every_mistake_and_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("""
registry: {prot: 1, port: 99999, tls: off, plainHttp: off}
laod: {}
k0s: {versoin: 1, network: {provider: flannel}}
load: 4
""")
    done = k0rdentd("config", "validate", file, "--json")
    assert done.returncode == 2
    told = {each["path"]: each for each in json.loads(done.stdout)["errors"]}
    assert set(told) == {
        "laod",
        "registry.prot",
        "registry.port",
        "registry.tls",
        "load",
        "k0s.versoin",
        "k0s.network.provider",
    }
    assert "port?" in told["registry.prot"]["fix"]
    assert k0rdentd("config", "validate", file).stderr.count("error: ") == len(told)


def test_a_value_that_cannot_be_is_told_as_that_and_not_as_an_unknown_key(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("registry: {port: abc, workers: 0, storage: 5}\nload: {jobs: -1}\n")
    done = k0rdentd("config", "validate", file, "--json")
    told = {each["path"]: (each["what"], each["fix"]) for each in json.loads(done.stdout)["errors"]}
    assert set(told) == {"registry.port", "registry.workers", "registry.storage", "load.jobs"}
    assert told["registry.port"] == ("'abc' is no whole number", "")
    assert not [each for each in told.values() if "unknown" in each[0] or each[1]]


def test_one_round_tells_what_stands_behind_other_mistakes(tmp_path: Path) -> None:
    key, file = tmp_path / "key", tmp_path / "c.yaml"
    key.touch()
    key.chmod(0o640)
    file.write_text(f"""
registry: {{port: abc, htpasswd: /none/users, files: /none/files, tls: files, tlsCert: /none/cert, tlsKey: {key}}}
load: {{cosignKey: /none/cosign.pub}}
k0s: {{api: {{address: 0.0.0.0}}, network: {{provider: flannel, podCIDR: 10.96.0.0/16}}}}
k0rdent:
  helm: {{values: {{someFile: /none}}}}
  credentials:
    aws:
    - {{name: a, accessKeyID: 5, secretAccessKeyFile: /none/secret}}
    - {{name: b, accessKeyIDFile: {key}, secretAccessKey: x, sessionTokn: x}}
    azure:
    - {{name: a, tenantID: x}}
    - {{name: b, clientID: x, clientSecret: x, tenantID: x, x: x}}
    openstack:
    - {{name: b, authURL: 'https://x', region: r, username: u, password: x}}
join: {{mode: worker, server: localhost, tokenFile: token}}
""")
    shown = json.loads(k0rdentd("config", "validate", file, "--json").stdout)
    account = "k0rdent.credentials"
    assert {each["path"]: each["what"] for each in shown["errors"]} == {
        "registry.port": "'abc' is no whole number",
        "k0s.network.provider": "must be 'kuberouter', 'calico' or 'custom'",
        "k0s.network": "podCIDR 10.96.0.0/16 and serviceCIDR 10.96.0.0/12 overlap",
        f"{account}.aws[0].accessKeyID": "is a number and must be text",
        f"{account}.aws[1].sessionTokn": "unknown key",
        f"{account}.azure[0]": "needs either clientSecret or clientSecretFile",
        f"{account}.azure[0].clientID": "is missing",
        f"{account}.azure[1].x": "unknown key",
        f"{account}.azure[0].name": "another account is called 'a' too",
        f"{account}.azure[1].name": "another account is called 'b' too",
        f"{account}.openstack[0].name": "another account is called 'b' too",
        f"{account}.openstack[0]": "a username needs projectName and domainName",
        "join.server": "localhost is this machine: name a controller of the cluster to join",
    }
    told = {each["path"]: each["what"] for each in shown["warnings"]}
    assert {path for path, what in told.items() if what.startswith("there is no")} == {
        "registry.htpasswd",
        "registry.files",
        "registry.tlsCert",
        "load.cosignKey",
        f"{account}.aws[0].secretAccessKeyFile",
        "join.tokenFile",
    }
    open_files = {path for path, what in told.items() if "others may read it" in what}
    assert open_files == {"registry.tlsKey", f"{account}.aws[1].accessKeyIDFile", ""}
    assert set(told) - open_files >= {"k0s.api.address"}
    key.chmod(0o600)
    assert str(key) not in k0rdentd("config", "validate", file).stderr


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ({"airgap": {"mirrors": "quay.io"}}, "must be a list"),
        ({"airgap": {"images": {"preload": "maybe"}}}, "must be true or false"),
        ({"k0s": {"api": {"port": 70000}}}, "must be 65535 at most"),
        ({"k0s": {"network": {"podCIDR": "10.244.0.1/16"}}}, "'10.244.0.1/16' is no network (10.244.0.1/16 has host"),
        ({"k0s": {"network": {"serviceCIDR": 5}}}, "5 is no network"),
        ({"k0s": {"api": {"sans": [[]]}}}, "must be text"),
        ({"logLevel": "loud"}, "must be 'debug', 'info', 'warning' or 'error'"),
        ({"registry": {"push": "authenticated"}}, "'authenticated' needs users"),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path: Path, section: dict[str, object], what: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(section))
    (found,) = check_file(file, {"registry": registry}.get).errors
    assert found.what.startswith(what)


def test_mirrors_are_hosts() -> None:
    loaded = parse_settings({"airgap": {"mirrors": ["https://quay.io/", "10.0.0.1:5000", "[::1]:5000"]}}, SHIPPED)
    assert loaded.settings.airgap.mirrors == ("quay.io", "10.0.0.1:5000", "[::1]:5000")
    assert [each.path for each in loaded.remarks] == ["airgap.mirrors"]
    for wrong in ("quay.io/project", "../x", "https://"):
        with pytest.raises(SettingsInvalid, match=r"airgap\.mirrors"):
            parse_settings({"airgap": {"mirrors": [wrong]}}, SHIPPED)


@pytest.mark.parametrize("text", ["a: [\n", "[]: 1", "- a", "k0s: &a {api: *a}", "k0s: 2024-99-99"])
def test_what_is_no_file_of_sections_is_told_too(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    done = k0rdentd("config", "validate", tmp_path / "c.yaml")
    assert (done.returncode, str(tmp_path) in done.stderr) == (2, True)


def test_keys_that_are_said_twice_hide_nothing(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("""\
k0s: {versoin: 1, network: {provider: flannel, provider: cilium, provider: calico}}
registry: {port: abc}
load: {jobs: 2}
k0s:
  api: {port: 70000}
  network: {clusterDomain: 5}
k0rdent:
  credentials:
    aws:
    - {name: A_b, accessKeyID: x, secretAccessKey: y}
    - {name: A_b, accessKeyID: x, secretAccessKey: y, name: C_d}
""")
    illegal = "lower-case letters, digits, '-' and '.', up to 226 characters"
    account = "k0rdent.credentials.aws"
    wanted = [
        ("k0s", "is said more than once (lines 1, 4)"),
        ("k0s.network.provider", "is said more than once (line 1)"),
        (f"{account}[1].name", "is said more than once (line 11)"),
        ("registry.port", "'abc' is no whole number"),
        ("k0s.versoin", "unknown key"),
        ("k0s.api.port", "must be 65535 at most"),
        ("k0s.network.clusterDomain", "is a number and must be text"),
        ("k0s.network.provider", "must be 'kuberouter', 'calico' or 'custom'"),
        (f"{account}[0].name", f"'A_b': {illegal}"),
        (f"{account}[1].name", f"'A_b': {illegal}"),
        (f"{account}[1].name", f"'C_d': {illegal}"),
        (f"{account}[1].name", "another account is called 'A_b' too"),
    ]
    done = k0rdentd("config", "validate", file, "--json")
    assert done.returncode == 2
    assert sorted((each["path"], each["what"]) for each in json.loads(done.stdout)["errors"]) == sorted(wanted)
    refused = k0rdentd("-c", file, "status")
    assert refused.returncode == 2
    assert f"{file}: k0s is said more than once (lines 1, 4); k0s.network.provider is said more" in refused.stderr


@pytest.mark.parametrize("secret", ["planted: x", "*planted", "!planted", '"planted', "planted: [", "@planted"])
def test_a_secret_that_lacks_its_quotes_is_not_shown(tmp_path: Path, secret: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"k0s: {{}}\njoin:\n  token: {secret}\n")
    for words in (("config", "validate", str(file)), ("-c", str(file), "status")):
        done = k0rdentd(*words)
        assert done.returncode == 2
        assert "planted" not in done.stdout + done.stderr
        assert "line 3" in done.stderr or "line 4" in done.stderr


def test_secrets_that_others_may_read_and_files_that_are_not_there_are_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("join: {mode: worker, server: 10.0.0.1, token: t}\nairgap: {bundlePath: /none.tar.gz}\n")
    file.chmod(0o644)
    warned = k0rdentd("config", "validate", file).stderr
    assert "airgap.bundlePath" in warned
    assert "chmod 0600" in warned
    file.chmod(0o600)
    assert "chmod" not in k0rdentd("config", "validate", file).stderr


def test_a_level_of_earlier_files_is_understood_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("logLevel: warn\ncredentials: {}\n")
    assert k0rdentd("-c", tmp_path / "c.yaml", "store", "--help").returncode == 0


def test_masking_keeps_names_and_paths() -> None:
    document = {"token": "x", "tokenFile": "/f", "list": [{"password": ["a"], "name": "n"}], "secretRef": "r"}
    assert masked(document) == {
        "token": MASK,
        "tokenFile": "/f",
        "list": [{"password": [MASK], "name": "n"}],
        "secretRef": "r",
    }
