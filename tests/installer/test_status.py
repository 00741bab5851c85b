"""`status` and `doctor` with a real registry and a stand-in for k0s: what is wrong is told, and what to do."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from bench.layout import chart
from installer import outline
from installer.host import Host
from installer.journal import JOURNAL
from installer.paths import STARTED_WITH
from installer.plan import apply, plan
from installer.settings_file import load_settings
from installer.status import Aspect, State, status
from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.images import publish
from tests.installer.sites import site
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import run
from tests.networks import isolated
from tests.registry.pki.certs import make

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("registry")
    store = Store.open([folder / "store"])
    publish(store, chart("k0rdent-enterprise", "1.2.3"), "charts/k0rdent-enterprise:1.2.3")
    store.close()
    with serving(
        "-s", folder / "store", "--workers", "2", log=folder / "log", ca=folder / "store/pki/ca.crt"
    ) as server:
        yield server


@pytest.fixture
def config(registry: Server, machine: Machine, tmp_path: Path) -> Path:
    """The registry's storage is a part of the machine."""
    (machine.root / "srv").mkdir()
    (machine.root / "srv/store").symlink_to(registry.log.parent / "store")
    file = tmp_path / "k0rdentd.yaml"
    file.write_text(yaml.safe_dump({"registry": {"port": registry.port, "storage": ["/srv/store"]}}))
    return file


def asked(command: str, config: Path, machine: Machine) -> tuple[int, dict[str, list[dict[str, str]]]]:
    options = ("--root", machine.root, "--own-address", "127.0.0.1", "--json")
    done = k0rdentd("-c", config, command, *options, env=machine.environment)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def states(shown: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {each["part"]: each["state"] for each in shown["parts"]}


def install(machine: Machine) -> Host:
    machine.script(looks=0, components=["kcm"])
    host = Host(machine.root, machine.environment, pace=0.01, own_address="127.0.0.1")
    list(apply(host, plan(host, outline.controller(site(machine)))))
    return host


def test_every_part_is_told_before_an_installation_after_it_and_when_k0s_stops(
    config: Path, machine: Machine, host: Host
) -> None:
    settings = load_settings(config, {}, required=True).settings
    host = replace(host, own_address="127.0.0.1")
    assert {each.part: each.state for each in status(host, settings)} == {
        "k0rdentd": "ok",
        "registry": "ok",
        "k0s": "absent",
    }
    install(machine)
    found: list[Aspect] = []
    for _ in range(20):  # k0rdent comes up while it is looked at
        found = [*status(host, settings)]
        if all(each.state is State.OK for each in found):
            break
    assert {each.part: each.state for each in found} == dict.fromkeys(
        ("k0rdentd", "registry", "k0s", "node", "k0rdent"), State.OK
    )
    run(machine, "k0s", "stop")
    troubled = {each.part: each.fix for each in status(host, settings) if each.state is State.TROUBLE}
    assert set(troubled) == {"k0s"}
    assert all(troubled.values())
    assert [each.what for each in status(host, settings) if each.state is State.UNKNOWN] == [
        "k0s does not answer, so not looked at: node, k0rdent, credentials"
    ]


def test_a_registry_that_does_not_answer_is_told_and_the_rest_looked_at(config: Path, machine: Machine) -> None:
    config.write_text("registry: {port: 1}\n")
    code, shown = asked("status", config, machine)
    assert (code, states(shown)["registry"], states(shown)["k0s"]) == (1, "trouble", "absent")
    text = k0rdentd("-c", config, "status", "--root", machine.root, env=machine.environment).stdout
    assert [line.split()[:2] for line in text.splitlines() if line[:1] != " "][1:] == [
        ["registry", "trouble"],
        ["k0s", "absent"],
    ]


def test_a_registry_that_is_named_needs_no_address_of_this_node(config: Path, machine: Machine) -> None:
    config.write_text(yaml.safe_dump({"airgap": {"registry": {"address": "192.0.2.7:5000"}}}))
    with isolated() as network, network.entered():
        text = k0rdentd("-c", config, "status", "--root", machine.root, env=machine.environment).stdout
    assert "registry 192.0.2.7 is another machine" in text
    assert "set k0s.api.address" not in text


def test_the_doctor_finds_certificates_that_end_and_images_that_were_asked_for_in_vain(
    config: Path, machine: Machine, registry: Server
) -> None:
    host = install(machine)
    httpx.get(f"{registry.url}/v2/library/gone/manifests/1?ns=docker.io", verify=registry.trust)
    now = datetime.now(UTC)
    for name, days in (("old.crt", -1), ("soon.crt", 5), ("good.crt", 300)):
        made = make(name, begin=now - timedelta(days=30), end=now + timedelta(days=days)).pem
        host.write(Path("/var/lib/k0s/pki") / name, [made], 0o600)
    found: list[dict[str, str]] = []
    for _ in range(50):  # the registry writes its last two seconds down in a moment
        code, shown = asked("doctor", config, machine)
        found = shown["findings"]
        if any(each["check"] == "images" for each in found):
            break
        time.sleep(0.2)
    told = {(each["check"], each["severity"]) for each in found if each["check"] in ("certificates", "images")}
    assert told == {("certificates", "fatal"), ("certificates", "warning"), ("images", "warning")}
    assert code == 1
    assert any("docker.io/library/gone:1" in each["what"] for each in found)
    assert not any("good.crt" in each["what"] for each in found)


def test_the_doctor_finds_files_that_somebody_changed_or_took_away(config: Path, machine: Machine) -> None:
    host = install(machine)
    changed, gone = "etc/k0s/certs.d/quay.io/hosts.toml", "usr/local/share/ca-certificates/k0rdentd-registry.crt"
    (machine.root / changed).write_text("# mine\n")
    (machine.root / gone).unlink()
    found = files_told(config, machine)
    assert set(found) == {f"/{changed} is not as the installation wrote it", f"/{gone} is gone since the installation"}
    assert all("'k0rdentd install'" in fix for fix in found.values())
    list(apply(host, plan(host, outline.controller(site(machine)))))
    assert files_told(config, machine) == {}
    host.write(JOURNAL / "half.json", [b"{"], 0o600)
    (told,) = files_told(config, machine)
    assert told.startswith(f"{JOURNAL}/half.json is no record of an installation")
    host.remove(JOURNAL / "half.json")
    for word in ("stop", "reset"):  # by hand
        run(machine, "k0s", word)
    code, shown = asked("status", config, machine)
    assert (code, states(shown)["k0s"]) == (1, "trouble")
    host.remove(STARTED_WITH)
    assert set(files_told(config, machine)) == {"an installation began here and was not finished"}


def files_told(config: Path, machine: Machine) -> dict[str, str]:
    """What the doctor says of files, and the way out."""
    _, shown = asked("doctor", config, machine)
    return {each["what"].partition(":")[0]: each["fix"] for each in shown["findings"] if each["check"] == "files"}
