"""What every step promises: planning changes nothing, applying does what was listed, and then nothing is left."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from installer import outline
from installer.changes import PlaceFile, Run, Wait, WriteFile
from installer.host import Host
from installer.journal import keep
from installer.paths import JOIN_TOKEN, K0S, STARTED_WITH
from installer.plan import Planned, Step, apply, plan
from installer.settings_types import K0sVersion
from installer.site import Site
from installer.steps.containerd import Mirrors
from tests.installer.sites import ADDRESS, host_of, site, tree
from tests.installer.standin.machine import Machine
from tests.installer.standin.token import create

TOKEN = create(None, "worker", "24h", {"address": "192.0.2.10"})  # type: ignore[arg-type]
STEPS: dict[str, Callable[[Site], Sequence[Step]]] = {
    "first": outline.first_controller,
    "worker": lambda found: outline.worker(found, TOKEN),
    "removal": lambda _: outline.removal(force=False),
}


def do(host: Host, planned: Sequence[Planned]) -> None:
    for _ in apply(host, planned):
        pass


def make(host: Host, steps: Sequence[Step]) -> list[Planned]:
    """Apply it, and tell what was done."""
    planned = plan(host, steps)
    do(host, planned)
    return planned


@pytest.fixture(params=STEPS)
def outlined(request: pytest.FixtureRequest, machine: Machine) -> Sequence[Step]:
    """Steps of every kind; a removal has something to remove."""
    found = site(machine)
    if request.param == "removal":
        make(host_of(machine), outline.first_controller(found))
    return STEPS[request.param](found)


def test_every_step_lists_what_it_does_and_leaves_nothing_to_do(machine: Machine, outlined: Sequence[Step]) -> None:
    host = host_of(machine)
    for step in outlined:
        before = tree(machine.root)
        listed = plan(host, [step])
        assert tree(machine.root) == before, f"{step.title}: planning changed the host"
        do(host, listed)
        assert plan(host, [step]) == [], step.title


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


def test_a_removal_killed_on_the_way_leaves_the_host_as_it_was(machine: Machine) -> None:
    host, steps = host_of(machine), outline.removal(force=False)
    before = tree(machine.root)
    make(host, outline.controller(site(machine)))
    for more in count(1):
        if not (listed := plan(host, steps)):
            break
        do(host, listed[:more])
    assert tree(machine.root) == before


def test_what_was_started_with_something_else_is_started_again_once(machine: Machine) -> None:
    host, found = host_of(machine), site(machine)
    make(host, outline.controller(found))
    changed = site(machine, k0s={"api": {"sans": ["k0s.example"]}})
    words = [each.change.argv[1] for each in make(host, outline.controller(changed)) if isinstance(each.change, Run)]
    assert words == ["config", "stop", "install", "start"]
    assert plan(host, outline.controller(changed)) == []


def test_a_service_that_does_not_run_is_started_and_nothing_else_is_done(machine: Machine) -> None:
    host, steps = host_of(machine), outline.controller(site(machine))
    make(host, steps)
    host.call((str(K0S), "stop"))
    done = [each.change for each in make(host, steps)]
    assert [type(change) for change in done] == [Run, Wait]


def test_an_upgrade_crosses_the_change_of_containerds_form(machine: Machine) -> None:
    host = host_of(machine)
    make(host, outline.controller(site(machine, "1.35.7")))
    dropin = machine.root / "etc/k0s/containerd.d/k0rdentd.toml"
    assert "version = 2\n" in dropin.read_text()
    make(host, outline.controller(site(machine, "1.36.3")))
    assert "version = 3\n" in dropin.read_text()
    assert host.call((str(K0S), "version")).strip() == "v1.36.3+k0s.0"


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
