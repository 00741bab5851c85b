"""Each check, on machines laid out on a real disk: a good one passes, and one defect is one finding with a fix."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from installer.errors import WillNot
from installer.preflight.checks import findings, require_fit
from installer.preflight.facts import Content, Facts, Space, measure_content
from installer.preflight.finding import Finding, Severity
from installer.preflight.network import read_listeners
from installer.preflight.processes import running_processes
from installer.settings import Settings
from installer.settings_file import parse_settings
from tests.conftest import k0rdentd
from tests.installer.preflight.machines import NOW, facts, lay_out, listen, remove, write

GIB = 1024**3
PLENTY = {Path("/var/lib/k0s"): Space(1, 100 * GIB), Path("/srv/store"): Space(1, 100 * GIB)}


def settings(**sections: object) -> Settings:
    return parse_settings(sections, Path("f")).settings


WORKER = settings(join={"mode": "worker", "server": "10.0.0.1", "token": "t"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_out(tmp_path)


def look(found: Facts, wanted: Settings | None = None) -> list[Finding]:
    roomy = replace(found, spaces=PLENTY) if found.spaces.keys() == PLENTY.keys() else found
    return list(findings(roomy, wanted or Settings()))


def fatal(found: list[Finding]) -> list[str]:
    return [each.check for each in found if each.severity is Severity.FATAL]


def test_nothing_is_said_of_a_good_machine(root: Path) -> None:
    assert look(facts(root)) == []
    assert look(facts(root), settings(k0s={"network": {"provider": "calico"}})) == []


def test_only_what_is_fatal_is_refused_and_all_of_it(root: Path) -> None:
    write(root, "proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n")
    assert [each.check for each in look(facts(root))] == ["swap"]
    require_fit(replace(facts(root), spaces=PLENTY), Settings())
    remove(root, "run/systemd")
    with pytest.raises(WillNot, match=r"name: 'localhost' .*\n    → hostnamectl") as refused:
        require_fit(replace(facts(root, host_name="localhost"), spaces=PLENTY), Settings())
    assert "systemd: " in str(refused.value)
    assert "swap" not in str(refused.value)


Defect = Callable[[Path], object]


@pytest.mark.parametrize(
    ("check", "severity", "defect"),
    [
        ("systemd", "fatal", lambda root: remove(root, "run/systemd")),
        ("cpu", "warning", lambda root: write(root, "proc/cpuinfo", "processor: 0\nprocessor: 1\nflags: fpu sse2\n")),
        ("memory", "fatal", lambda root: write(root, "proc/meminfo", "MemTotal: 1000000 kB\n")),
        ("memory", "warning", lambda root: write(root, "proc/meminfo", "MemTotal: 4000000 kB\n")),
        ("cgroups", "fatal", lambda root: remove(root, "sys/fs/cgroup/cgroup.controllers")),
        ("cgroups", "fatal", lambda root: write(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory pids")),
        ("modules", "fatal", lambda root: write(root, "lib/modules/6.1.0-13-amd64/modules.dep", "a/b.ko:\n")),
        ("modules", "warning", lambda root: remove(root, "lib")),
        ("route", "fatal", lambda root: write(root, "proc/net/route", "Iface\n")),
        ("name", "warning", lambda root: write(root, "etc/hosts", "127.0.0.1 localhost # node-1\n")),
        ("software", "fatal", lambda root: write(root, "etc/kubernetes/kubelet.conf", "")),
        ("software", "fatal", lambda root: listen(root, 10255, 7, "kubelet")),
        ("software", "note", lambda root: write(root, "run/docker.sock", "")),
        ("swap", "warning", lambda root: write(root, "proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n")),
        ("selinux", "warning", lambda root: write(root, "sys/fs/selinux/enforce", "1")),
        ("apparmor", "note", lambda root: write(root, "sys/module/apparmor/parameters/enabled", "Y\n")),
        ("ports", "fatal", lambda root: listen(root, 6443, 9, "nginx")),
    ],
)
def test_a_defect_is_one_finding_that_says_the_fix(root: Path, check: str, severity: str, defect: Defect) -> None:
    defect(root)
    (found,) = look(facts(root))
    assert (found.check, found.severity) == (check, severity)
    assert found.fix or found.severity is Severity.NOTE


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("root", {"user": 1000}),
        ("cpu", {"architecture": "riscv64"}),
        ("name", {"host_name": "my_node"}),
        ("name", {"host_name": "localhost"}),
        ("clock", {"now": NOW - timedelta(days=3650)}),
        ("clock", {"content": Content(made=NOW + timedelta(days=1))}),
    ],
)
def test_what_no_file_tells_counts_too(root: Path, check: str, said: dict[str, object]) -> None:
    assert fatal(look(facts(root, **said))) == [check]  # type: ignore[arg-type]


def test_who_takes_a_port_is_named_and_k0rdentd_and_k0s_may_have_theirs(root: Path) -> None:
    listen(root, 6443, 11, "haproxy")
    listen(root, 5000, 12, "docker-registry")
    listen(root, 2380, 13, "etcd")
    listen(root, 10250, 14, "kubelet")
    found = [str(each) for each in look(facts(root)) if each.check == "ports"]
    assert [("haproxy" in each, "docker-registry" in each) for each in found] == [(True, False), (False, True)]
    lay_out(root)
    remove(root, "proc/14")
    listen(root, 5000, 15, "python3", "/usr/bin/python3 /usr/bin/k0rdentd registry")
    assert look(facts(root)) == []


def test_a_worker_needs_fewer_ports_and_less_memory(root: Path) -> None:
    listen(root, 6443, 11, "haproxy")
    write(root, "proc/meminfo", "MemTotal: 2000000 kB\n")
    assert look(facts(root), WORKER) == []
    listen(root, 10250, 12, "other")
    assert fatal(look(facts(root), WORKER)) == ["ports"]


def test_a_cluster_network_that_the_site_has_is_told(root: Path) -> None:
    wanted = settings(k0s={"network": {"podCIDR": "192.168.0.0/16"}})
    (found,) = look(facts(root), wanted)
    assert (found.check, "192.168.1.0/24" in found.what, "podCIDR" in found.fix) == ("networks", True, True)


def test_networks_of_a_cluster_that_is_there_are_no_conflict(root: Path) -> None:
    line = "cni0\t0000F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"  # 10.244.0.0/24
    with (root / "proc/net/route").open("a") as table:
        table.write(line)
    assert look(facts(root)) == []
    with (root / "proc/net/route").open("a") as table:
        table.write(line.replace("cni0", "eth1"))
    assert fatal(look(facts(root))) == ["networks"]


def test_a_proxy_must_not_be_asked_for_the_cluster(root: Path) -> None:
    proxied = {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "10.244.0.0/16"}
    (found,) = look(facts(root, environment=proxied))
    assert (found.check, "10.96.0.0/12" in found.what, "10.244" in found.what) == ("proxy", True, False)
    assert look(facts(root, environment={**proxied, "no_proxy": "*"})) == []


def test_needs_on_one_filesystem_add_up_and_what_is_stored_needs_nothing(root: Path) -> None:
    bundle = Content(bundle=22 * GIB)
    tight = {path: Space(1, 40 * GIB) for path in PLENTY}
    apart = {path: Space(number, 40 * GIB) for number, path in enumerate(PLENTY)}
    assert fatal(look(replace(facts(root, bundle), spaces=apart))) == []
    machine = replace(facts(root, bundle), spaces=tight)
    assert [each.check for each in findings(machine, Settings())] == ["disk"]
    loaded = replace(machine, content=Content(bundle=22 * GIB, stored=21 * GIB))
    assert list(findings(loaded, Settings())) == []


def test_cgroups_v1_are_refused_where_the_kubelet_refuses_them(root: Path) -> None:
    remove(root, "sys/fs/cgroup/cgroup.controllers")
    for name in ("cpu,cpuacct", "cpuset", "memory", "pids", "devices", "freezer"):
        (root / "sys/fs/cgroup" / name).mkdir()
    names = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer")
    write(root, "proc/cgroups", "#name\n" + "".join(f"{name}\t1\t1\t1\n" for name in names))
    assert [each.severity for each in look(facts(root), settings(k0s={"version": "v1.32.8+k0s.0"}))] == ["warning"]
    assert fatal(look(facts(root), settings(k0s={"version": "v1.36.3+k0s.2"}))) == ["cgroups"]
    write(root, "proc/cgroups", "memory\t1\t1\t0\ncpu\t1\t1\t1\n")
    assert fatal(look(facts(root), settings(k0s={"version": "v1.32.8+k0s.0"}))) == ["cgroups"]


def test_the_store_and_the_bundle_are_measured_on_disk(tmp_path: Path) -> None:
    write(tmp_path, "store/blobs/sha256/aa/x", "x" * 100)
    write(tmp_path, "b.tar.gz", "y" * 150)
    content = measure_content(tmp_path / "b.tar.gz", [tmp_path / "store", tmp_path / "none"])
    assert (content.bundle, content.stored) == (150, 100)
    assert measure_content(tmp_path / "gone", []) == Content()


def test_a_real_listener_is_found_with_its_process() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = read_listeners(Path("/proc"), running_processes(Path("/proc")))
        (mine,) = [each for each in found if each.port == port]
    own = Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    assert (str(mine.address), mine.command) == ("127.0.0.1", own)


def test_the_command_tells_json_and_exits_with_1_when_something_is_fatal(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = tmp_path / "c.yaml"
        config.write_text(f"k0s: {{api: {{port: {taken.getsockname()[1]}}}}}\n")
        done = k0rdentd("-c", config, "preflight", "--json", env={**os.environ, "http_proxy": ""})
        assert done.returncode == 1, done.stderr
    shown = json.loads(done.stdout)
    assert shown["ok"] is False
    assert [each for each in shown["findings"] if each["check"] == "ports" and "Kubernetes API" in each["what"]]
    assert "fatal" in k0rdentd("-c", config, "preflight").stdout
