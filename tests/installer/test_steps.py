"""What every step promises: planning changes nothing, applying does what was listed, and then nothing is left."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from installer import outline
from installer.changes import PlaceFile, Replaced, Run, Wait, WriteFile
from installer.errors import WillNot
from installer.host import Host
from installer.journal import has_begun_k0s, keep
from installer.paths import JOIN_TOKEN, K0S, K0S_UNITS, STARTED_WITH
from installer.plan import Planned, Step, apply, plan
from installer.settings_types import K0sVersion
from installer.site import ControllerSite
from installer.steps.containerd import Mirrors
from installer.steps.removal import K0sGone
from installer.uninstallation import check_clusters
from installer.versions import K0sHere, check_replacement
from tests.installer.sites import ADDRESS, host_of, site, tree
from tests.installer.standin.machine import Machine
from tests.installer.standin.token import create

TOKEN = create(None, "worker", "24h", {"address": "192.0.2.10"})  # type: ignore[arg-type]
KINDS: dict[str, Callable[[ControllerSite], Sequence[Step]]] = {
    "controller": outline.controller,
    "worker": lambda found: outline.worker(found, TOKEN),
}


def do(host: Host, planned: Sequence[Planned]) -> None:
    for _ in apply(host, planned):
        pass


def make(host: Host, steps: Sequence[Step]) -> list[Planned]:
    """Apply it, and tell what was done."""
    planned = plan(host, steps)
    do(host, planned)
    return planned


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_lists_what_it_does_and_leaves_nothing_to_do(machine: Machine, kind: str) -> None:
    machine.script(looks=0)
    host = host_of(machine)
    for step in KINDS[kind](site(machine)):
        before = tree(machine.root)
        listed = plan(host, [step])
        assert listed
        assert tree(machine.root) == before, f"{step.title}: planning changed the host"
        do(host, listed)
        assert plan(host, [step]) == [], step.title


@pytest.mark.slow
def test_an_installation_killed_at_every_change_ends_as_one_that_was_not(tmp_path: Path) -> None:
    with machine_at(tmp_path) as whole:
        whole.script(looks=0)
        make(host_of(whole), outline.controller(site(whole)))
        wanted = lasting(tree(whole.root))
    with machine_at(tmp_path) as killed:
        steps = outline.controller(site(killed))
        killed.script(looks=0)
        kill_at_every_change(killed, steps[:-1])
        kill_at_every_change(killed, steps[-1:])  # where each new look costs a dozen programs
        assert plan(host_of(killed), steps) == []
        assert lasting(tree(killed.root)) == wanted


@pytest.mark.slow
def test_a_removal_killed_on_the_way_leaves_the_host_as_it_was(machine: Machine) -> None:
    machine.script(looks=0)
    host, steps = host_of(machine), outline.removal(force=False)
    before = tree(machine.root)
    make(host, outline.controller(site(machine)))
    for more in (1, 3, 6, 12, 100):
        whole, listed = tree(machine.root), plan(host, steps)
        assert tree(machine.root) == whole
        do(host, listed[:more])
    assert plan(host, steps) == []
    assert tree(machine.root) == before


def test_a_k0s_that_came_after_an_installation_that_ended_early_is_not_removed(machine: Machine) -> None:
    host = host_of(machine)
    do(host, plan(host, outline.controller(site(machine)))[:1])
    machine.install_k0s("1.31.2")
    host.call((str(K0S), "install", "worker"))
    assert plan(host, [K0sGone()]) == []
    with pytest.raises(WillNot, match="did not install it"):
        check_replacement(K0sHere.of(host), K0sVersion.parse("1.32.8"), allowed=True, unfinished=has_begun_k0s(host))


def test_a_host_that_was_left_half_way_can_be_taken_back(machine: Machine) -> None:
    machine.script(looks=0)
    host, found = host_of(machine), outline.controller(site(machine))
    before = tree(machine.root)
    for first in (1, 9, 14):  # the last one starts k0s
        do(host, plan(host, found)[:first])
        assert tree(machine.root) != before
        make(host, outline.removal(force=False))
        assert tree(machine.root) == before


@pytest.mark.slow
def test_a_service_is_started_again_where_it_ended_and_where_it_was_started_with_something_else(
    machine: Machine,
) -> None:
    machine.script(looks=0)
    host, steps = host_of(machine), outline.controller(site(machine))
    make(host, steps)
    host.call((str(K0S), "stop"))
    assert [type(each.change) for each in make(host, steps)] == [Run, Wait]
    changed = outline.controller(site(machine, k0s={"api": {"sans": ["k0s.example"]}}))
    words = [each.change.argv[1] for each in make(host, changed) if isinstance(each.change, Run)]
    assert words == ["config", "stop", "install", "start"]
    assert plan(host, changed) == []


def test_a_token_is_on_the_disk_until_the_node_has_joined_and_never_seen(machine: Machine) -> None:
    host, steps = host_of(machine), outline.worker(site(machine), TOKEN)
    listed = plan(host, steps)
    shown = [each.change.describe() for each in listed] + [
        line for each in listed for line in each.change.difference(host)
    ]
    assert TOKEN not in "".join(shown) + repr(listed) + repr(steps)
    for told in apply(host, listed):
        if isinstance(told.planned.change, Wait):
            assert machine.root.joinpath(*JOIN_TOKEN.parts[1:]).stat().st_mode & 0o777 == 0o600
    assert host.look(JOIN_TOKEN) is None
    assert host.look(STARTED_WITH) is not None
    assert TOKEN not in repr(machine.calls())
    assert not any(TOKEN.encode() in path.read_bytes() for path in machine.root.rglob("*") if path.is_file())


def test_mirrors_that_are_asked_for_no_more_go(machine: Machine) -> None:
    host = host_of(machine)
    make(host, [Mirrors(ADDRESS, ["quay.io", "docker.io"], K0sVersion.parse("1.32.8"))])
    make(host, [Mirrors(ADDRESS, ["quay.io"], K0sVersion.parse("1.32.8"))])
    left = {path.parent.name for path in machine.root.glob("etc/k0s/certs.d/*/hosts.toml")}
    assert left == {"quay.io", ADDRESS}


@contextmanager
def machine_at(folder: Path) -> Iterator[Machine]:
    """A machine that is always at the same place, and is gone afterwards."""
    made = Machine(folder / "host")
    made.install_programs()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.root)


def kill_at_every_change(machine: Machine, steps: Sequence[Step]) -> None:
    """Do one change, begin anew; where that leads nowhere, do one more before beginning anew, and so on.

    Each time, what comes next has been kept already, and half of its file is there.
    """
    host, done, last = host_of(machine), 1, 0
    while listed := plan(host, steps):
        done = done + 1 if len(listed) >= last > 0 else 1
        last = len(listed)
        do(host, listed[:done])
        for each in listed[done : done + 1]:
            keep(host, each.change.replaces)
            leave_half(host, each)


def leave_half(host: Host, planned: Planned) -> None:
    if isinstance(planned.change, WriteFile | PlaceFile):
        half = host.at(planned.change.path).with_name(f"{planned.change.path.name}.partial")
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")


def lasting(files: dict[str, str]) -> dict[str, str]:
    """Without what k0s makes for itself, which is new each time."""
    own = ("var/lib/k0s/pki", "var/lib/k0s/cluster", "var/lib/k0s/standin")
    return {path: what for path, what in files.items() if not path.startswith(own)}


def test_a_containerd_configuration_that_is_not_k0s_own_is_told_before_anything_is_done(machine: Machine) -> None:
    (machine.root / "etc/k0s").mkdir()
    (machine.root / "etc/k0s/containerd.toml").write_text("version = 2\n")
    with pytest.raises(WillNot, match="move it away"):
        plan(host_of(machine), outline.controller(site(machine)))


def test_a_service_that_ends_over_and_over_is_stopped_before_it_is_installed_anew(machine: Machine) -> None:
    machine.install_k0s("1.32.8")
    (machine.root / "etc/systemd/system/k0scontroller.service").touch()
    systemctl = machine.root / "usr/bin/systemctl"
    systemctl.write_text("#!/bin/sh\necho activating\nexit 3\n")
    service = outline.controller(site(machine))[-1]
    words = [each.change.argv[1] for each in plan(host_of(machine), [service]) if isinstance(each.change, Run)]
    assert words == ["config", "stop", "install", "start"]


@pytest.mark.parametrize(("members", "leaves"), [(["{name}"], False), (["{name}", "other"], True), (["other"], False)])
def test_a_controller_takes_leave_of_the_others(machine: Machine, members: list[str], leaves: bool) -> None:
    host = host_of(machine)
    keep(host, [Replaced(K0S_UNITS[0], None)])
    listed = {"members": {each.format(name=host.name()): "https://192.0.2.1:2380" for each in members}}
    status = {"Version": "v1.32.8+k0s.0", "Role": "controller"}
    program = machine.root / "usr/local/bin/k0s"
    cases = f"status) echo '{json.dumps(status)}';; etcd) echo '{json.dumps(listed)}';; kubectl) echo cluster/c1;;"
    program.write_text(f"#!/bin/sh\ncase $1 in {cases} esac\n")
    program.chmod(0o755)
    words = [each.change.argv[1:] for each in plan(host, [K0sGone()]) if isinstance(each.change, Run)]
    assert words[: 1 + leaves] == ([("etcd", "leave")] if leaves else []) + [("stop",)]
    with nullcontext() if leaves else pytest.raises(WillNot, match=r"manages clusters \(c1\)"):
        check_clusters(host)
