"""The configuration file: earlier ones load, what cannot work is told, and all mistakes at once."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from installer.settings import Settings
from installer.settings_file import Loaded, SettingsInvalid, load_settings, parse_settings
from installer.settings_types import HostPort, K0sVersion, format_duration, parse_duration

FILE = Path("k0rdentd.yaml")

# Every key that the earlier tool knew, with the values of its examples.
EARLIER = """
k0s:
  version: "v1.27.4+k0s.0"
  api: {address: "0.0.0.0", port: 6443}
  network: {provider: calico, podCIDR: 10.244.0.0/16, serviceCIDR: 10.96.0.0/12}
  storage: {type: etcd, etcd: {peerAddress: 127.0.0.1}}
k0rdent:
  version: v0.1.0
  helm: {chart: k0rdent/k0rdent, namespace: kcm-system, values: {replicaCount: 1, service: {port: 80}}}
credentials:
  aws: [{name: a, region: r, accessKeyID: "${AWS_ACCESS_KEY_ID}", secretAccessKey: s, sessionToken: t}]
  azure: [{name: b, subscriptionID: s, clientID: c, clientSecret: s, tenantID: t}]
  openstack:
    - {name: c, authURL: "https://o:5000/v3", region: R, applicationCredentialID: i, applicationCredentialSecret: s}
    - {name: d, authURL: "https://o:5000/v3", region: R, username: u, password: p, projectName: q, domainName: e}
airgap:
  registry: {address: "localhost:5000", insecure: true}
  bundlePath: /opt/airgap-bundle-1.2.3.tar.gz
debug: false
logLevel: warn
"""
# As its join export writes it: what was not said is there, and empty.
EARLIER_EXPORT = """
k0s:
  version: v1.32.8+k0s.0
  api: {address: "", port: 0}
  network: {provider: "", podCIDR: "", serviceCIDR: ""}
  storage: {type: "", etcd: {peerAddress: ""}}
k0rdent: {version: "", helm: {chart: "", namespace: ""}}
airgap: {registry: {address: "192.168.1.10:5000", insecure: true}, bundlePath: ""}
join: {mode: worker, server: 192.168.1.10, token: abc}
logLevel: info
"""


def parse(text: str) -> Loaded:
    return parse_settings(yaml.safe_load(text), FILE)


def remarked(text: str) -> set[str]:
    return {remark.path for remark in parse(text).remarks}


def problems(text: str) -> dict[str, str]:
    with pytest.raises(SettingsInvalid) as told:
        parse(text)
    return {problem.path: str(problem) for problem in told.value.problems}


def test_an_empty_file_is_all_defaults() -> None:
    assert parse("{}").settings == Settings()
    assert parse("k0s:\nk0rdent:\nairgap:\n").settings == Settings()


def test_an_earlier_file_loads_and_what_cannot_work_is_told() -> None:
    loaded = parse(EARLIER)
    assert {remark.path for remark in loaded.remarks} == {
        "credentials",
        "k0s.api.address",
        "k0s.storage.etcd.peerAddress",
        "k0rdent.helm.chart",
        "k0rdent.credentials.aws[0].accessKeyID",
        "airgap.registry.address",
        "airgap.registry.insecure",
    }
    settings = loaded.settings
    assert (settings.k0s.api.address, settings.k0s.storage.etcd.peer_address) == (None, None)
    assert (settings.registry_address, settings.airgap.registry.port) == (None, 5000)
    assert [each.name for each in settings.k0rdent.credentials.all] == ["a", "b", "c", "d"]
    assert settings.log_level == "warning"


def test_what_an_earlier_export_leaves_empty_was_not_said() -> None:
    settings = parse(EARLIER_EXPORT).settings
    assert settings.k0s.network == Settings().k0s.network
    assert settings.k0rdent == Settings().k0rdent
    assert settings.join is not None
    assert settings.join.secret_token() == "abc"
    assert parse("join: {mode: '', server: '', token: ''}").settings.join is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("k0rdent: {helm: {timeout: 45}}", "k0rdent.helm.timeout"),
        ("k0rdent: {helm: {namespace: other}}", "k0rdent.helm.namespace"),
        ("k0rdent: {helm: {values: {controller: {globalRegistry: 'localhost:5000'}}}}", "controller.globalRegistry"),
        ("k0rdent: {helm: {values: {controller: {templatesRepoURL: 'http://a/b'}}}}", "controller.templatesRepoURL"),
        ("airgap: {registry: {address: 'http://10.0.0.1:5000'}}", "airgap.registry.address"),
        ("airgap: {images: {pullPolicy: Never}}", "airgap.images.pullPolicy"),
    ],
)
def test_what_cannot_work_is_a_remark(text: str, path: str) -> None:
    assert [each for each in remarked(text) if each.endswith(path)]


def test_never_pulling_becomes_pulling_unless_images_are_preloaded() -> None:
    assert parse("airgap: {images: {pullPolicy: Never}}").settings.airgap.images.pull_policy == "IfNotPresent"
    preloaded = parse("airgap: {images: {pullPolicy: Never, preload: true}}")
    assert (preloaded.settings.airgap.images.pull_policy, preloaded.remarks) == ("Never", ())


def test_a_joining_node_looks_for_the_registry_at_its_controller() -> None:
    join = "join: {mode: worker, server: 10.0.0.1, token: t}\n"
    assert parse(join).settings.registry_address == HostPort("10.0.0.1:5000")
    there = parse(join + "airgap: {registry: {address: 'reg.site:5001'}}")
    assert there.settings.registry_address == HostPort("reg.site:5001")
    v6 = parse("join: {mode: worker, server: 'fd00::1', token: t}")
    assert v6.settings.registry_address == HostPort("[fd00::1]:5000")


def test_all_mistakes_are_found_at_once_and_named_by_their_path() -> None:
    found = problems("""
k0s: {versoin: x, version: 1.2, api: {address: abc, port: 70000}, network: {podCIDR: 10.0.0.0/8}, storage: {type: x}}
k0rdent: {version: "1.2", helm: [], credentials: {aws: [{nam: x}], openstack: 5}}
airgap: {registry: {address: "a b:1"}, images: {preload: sometimes}}
join: {mode: x, server: localhost}
""")
    assert "did you mean version?" in found["k0s.versoin"]
    assert "quotes" in found["k0s.version"]
    assert "overlap" in found["k0s.network"]
    assert "did you mean name?" in found["k0rdent.credentials.aws[0].nam"]
    assert found["k0rdent.credentials.aws[0].name"].endswith("is missing")
    assert set(found) >= {
        "k0s.api.address",
        "k0s.api.port",
        "k0s.storage.type",
        "k0rdent.version",
        "k0rdent.helm",
        "k0rdent.credentials.openstack",
        "airgap.registry.address",
        "airgap.images.preload",
        "join.mode",
    }


@pytest.mark.parametrize(
    "text",
    [
        "join: {mode: worker, server: 10.0.0.1}",
        "join: {mode: worker, server: localhost, token: t}",
        "k0rdent: {credentials: {aws: [{name: a, accessKeyID: i}]}}",
        "k0rdent: {credentials: {aws: [{name: a, accessKeyID: i, secretAccessKey: s, secretAccessKeyFile: /f}]}}",
        "k0rdent: {credentials: {aws: [{name: A_b, accessKeyID: i, secretAccessKey: s}]}}",
        "k0rdent: {credentials: {azure: [{name: a, clientID: c, tenantID: t}]}}",
        "k0rdent: {credentials: {openstack: [{name: a, authURL: 'https://o', region: r, username: u, password: p}]}}",
        "k0s: {network: {podCIDR: 'fd00::/64'}}",
    ],
)
def test_what_does_not_go_together_is_refused(text: str) -> None:
    assert problems(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("join: {mode: boss, server: 10.0.0.1}", {"join", "join.mode"}),
        ("k0rdent: {credentials: {aws: [{name: a, accessKeyID: 5}]}}", {"aws[0]", "aws[0].accessKeyID"}),
        (
            "k0rdent: {credentials: {openstack: [{name: a, authURL: x y, region: r}]}, helm: {chart: 5}}",
            {"openstack[0]", "openstack[0].authURL", "k0rdent.helm.chart"},
        ),
    ],
)
def test_a_wrong_value_hides_nothing_that_is_missing(text: str, wrong: set[str]) -> None:
    with pytest.raises(SettingsInvalid) as error:
        parse(text)
    assert {each.path.removeprefix("k0rdent.credentials.") for each in error.value.problems} == wrong
    assert error.value.remarks == ()  # of what was put in the place of a wrong value


def test_a_name_is_a_credential_s_alone_over_all_clouds() -> None:
    aws = "{name: x, accessKeyID: i, secretAccessKey: s}"
    azure = "{name: x, clientID: c, clientSecret: s, tenantID: t}"
    (told,) = problems(f"k0rdent: {{credentials: {{aws: [{aws}], azure: [{azure}]}}}}").items()
    assert told[0] == "k0rdent.credentials.azure[0].name"
    assert "'x'" in told[1]


def test_a_secret_is_never_shown_and_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("out-of-a-file\n")
    loaded = parse(f"""
k0rdent:
  credentials:
    aws: [{{name: a, accessKeyID: planted-id, secretAccessKeyFile: {tmp_path / "key"}}}]
    azure: [{{name: b, clientID: c, clientSecret: planted-secret, tenantID: t}}]
join: {{mode: worker, server: 10.0.0.1, token: planted-token}}
""")
    assert "planted" not in repr(loaded)
    assert "planted" not in loaded.settings.model_dump_json(by_alias=True)
    aws = loaded.settings.k0rdent.credentials.aws[0]
    assert (aws.secret("access_key_id"), aws.secret("secret_access_key")) == ("planted-id", "out-of-a-file")
    assert aws.secret("session_token") is None


def test_mistakes_beside_a_secret_do_not_show_it() -> None:
    aws = "{name: a, accessKeyID: planted, secretAccessKey: [planted], sessionTokn: planted}"
    found = problems(f"k0rdent: {{credentials: {{aws: [{aws}]}}}}")
    assert not [each for each in found.values() if "planted" in each]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("k0s: {version: v1.31.2+k0s.0, api: {port: 7443}}\n")
    environment = {"K0RDENTD_K0S_VERSION": "v1.32.8+k0s.0", "K0RDENTD_REGISTRY_ADDRESS": "10.0.0.9:5001"}
    settings = load_settings(file, environment, required=True).settings
    assert (settings.k0s.version, settings.k0s.api.port) == ("v1.32.8+k0s.0", 7443)
    assert settings.registry_address == "10.0.0.9:5001"
    with pytest.raises(SettingsInvalid, match=r"k0s\.version: .*; the environment says it, as K0RDENTD_K0S_VERSION"):
        load_settings(file, {"K0RDENTD_K0S_VERSION": "newest"}, required=True)


@pytest.mark.parametrize(
    ("text", "version", "minor"),
    [
        ("1.32.8", "v1.32.8+k0s.0", (1, 32)),
        ("v1.36.3-k0s.2", "v1.36.3+k0s.2", (1, 36)),
        ("v1.37.0-rc.1+k0s.0", "v1.37.0-rc.1+k0s.0", (1, 37)),
    ],
)
def test_versions_of_k0s_have_one_spelling(text: str, version: str, minor: tuple[int, int]) -> None:
    parsed = K0sVersion.parse(text)
    assert (parsed, parsed.minor) == (version, minor)


@given(st.integers(1, 100_000))
def test_a_duration_survives_being_written_for_go(seconds: int) -> None:
    duration = parse_duration(seconds)
    assert parse_duration(format_duration(duration)) == duration  # type: ignore[arg-type]


@given(st.one_of(st.ip_addresses().map(str), st.from_regex(r"[a-z][a-z0-9]{0,9}(\.[a-z]{1,9}){0,2}", fullmatch=True)))
def test_an_address_is_read_as_it_is_written(host: str) -> None:
    text = f"[{host}]:5001" if ":" in host else f"{host}:5001"
    parsed = HostPort.parse(text)
    assert (parsed.host, parsed.port, HostPort.parse(parsed)) == (str(host), 5001, parsed)
    assert HostPort.parse(text.removesuffix(":5001")).port == 5000
