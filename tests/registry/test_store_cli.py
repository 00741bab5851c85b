"""`k0rdentd store`: what it prints, as text and as JSON, and how it ends."""

import json
import re
from pathlib import Path

import pytest

from bench.layout import index
from registry.oci.reference import RepositoryName, Tag
from registry.storage import inventory
from registry.storage.gc import Kind
from registry.storage.store import Store
from tests.conftest import k0rdentd, listing
from tests.images import publish, small_image, write_blob

COMMANDS = ("ls", "stats", "gc", "scrub", "fsck", "rm")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of an index and an image, closed."""
    store = Store.open([tmp_path / "store"])
    publish(store, index([small_image("x"), small_image("y", arch="arm64")]), "charts/app:1.0")
    publish(store, small_image("z"), "app:2.0")
    store.close()
    return tmp_path / "store"


def last_line(output: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(output.splitlines()[-1])
    return document


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_asks_for_a_store_that_exists(command: str, tmp_path: Path) -> None:
    assert k0rdentd("store", command, "--help").returncode == 0
    done = k0rdentd("store", command, *(["x"] if command == "rm" else []), "-s", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no store at" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments", [["gc", "--grace", "soon"], ["gc", "--upload-expiry", "1y"], ["scrub", "--rate", "fast"], ["rm"]]
)
def test_wrong_usage_is_2(arguments: list[str], root: Path) -> None:
    assert k0rdentd("store", *arguments, "-s", root).returncode == 2


def test_rm_names_each_tag_and_what_they_named_goes_with_gc_only(root: Path) -> None:
    dry = k0rdentd("store", "rm", "charts/*", "-s", root, "--dry-run")
    assert dry.stdout.splitlines() == ["charts/app:1.0", "would remove 1 tag"]
    assert len(listing(root)) == 2
    assert k0rdentd("store", "rm", "charts/*", "-s", root).stdout.splitlines() == ["charts/app:1.0", "removed 1 tag"]
    assert set(listing(root)) == {"app:2.0"}
    assert k0rdentd("store", "gc", "--grace", "0", "-s", root).stdout == "removed nothing: 0 B\n"
    collected = k0rdentd("store", "gc", "--grace", "0", "--untagged", "-s", root, "--json")
    assert last_line(collected.stdout)["removed"] == {
        **dict.fromkeys((kind.value for kind in Kind), 0),
        "manifest": 3,
        "body": 3,
        "link": 4,
        "repository": 1,
        "blob": 4,
    }
    assert all({"kind", "name", "size"} == set(json.loads(line)) for line in collected.stdout.splitlines()[:-1])
    assert k0rdentd("store", "fsck", "-s", root).returncode == 0


def test_gc_tells_what_only_its_age_keeps(root: Path) -> None:
    k0rdentd("store", "rm", "charts/*", "-s", root)
    store = Store.open([root])
    write_blob(store, b"x" * 1000)  # as a killed load leaves it
    store.close()
    young = {
        arguments: gc_summary(root, *arguments) for arguments in ((), ("--untagged",), ("--untagged", "--dry-run"))
    }
    assert [each["size"] for each in young.values()] == [0, 0, 0]
    assert young[()]["kept"] == 1000
    kept = young["--untagged",]["kept"]
    assert kept == young["--untagged", "--dry-run"]["kept"]
    told = k0rdentd("store", "gc", "--untagged", "--grace", "90m", "-s", root).stdout
    assert re.search(r"kB kept because it is younger than 90m \(until \d{4}-\d\d-\d\d \d\d:\d\d", told)
    would = gc_summary(root, "--untagged", "--grace", "0", "--dry-run")
    assert (would["size"], would["kept"], would["kept_until"]) == (kept, 0, None)
    freed = gc_summary(root, "--untagged", "--grace", "0")
    assert (freed["size"], freed["kept"]) == (kept, 0)
    assert gc_summary(root)["kept"] == 0


def gc_summary(root: Path, *arguments: str) -> dict[str, object]:
    return last_line(k0rdentd("store", "gc", "--json", *arguments, "-s", root).stdout)


def test_rm_of_nothing_is_an_error(root: Path) -> None:
    done = k0rdentd("store", "rm", "nothing:*", "-s", root)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "k0rdentd: no image matches nothing:*: see 'k0rdentd store ls'\n"


def test_fsck_ends_with_1_until_it_has_repaired(root: Path) -> None:
    store = Store.open([root])
    with store.index.change() as change:
        inventory.delete_repository(change, RepositoryName("app"))
    store.close()
    found = k0rdentd("store", "fsck", "-s", root)
    assert found.returncode == 1
    assert found.stdout == "repository app is not listed: list it\n1 fault, 0 repaired\n"
    assert "--repair" in found.stderr
    repaired = k0rdentd("store", "fsck", "--repair", "--json", "-s", root)
    assert repaired.returncode == 0
    assert last_line(repaired.stdout) == {"faults": 1, "repaired": 1}
    assert k0rdentd("store", "fsck", "-s", root).returncode == 0


def test_scrub_sums_up(root: Path) -> None:
    done = k0rdentd("store", "scrub", "--rate", "500MB", "--json", "-s", root)
    assert done.returncode == 0
    summary = last_line(done.stdout)
    assert (summary["blobs"], summary["good"], summary["damaged"]) == (6, 6, 0)


def test_stats_in_two_forms(root: Path) -> None:
    shown = k0rdentd("store", "stats", "-s", root).stdout.splitlines()
    assert shown[0] == "2 repositories, 2 tags, 4 manifests"
    assert shown[-1].endswith(" charts/app")
    document = json.loads(k0rdentd("store", "stats", "--json", "-s", root).stdout)
    assert [each["name"] for each in document["repositories"]] == ["app", "charts/app"]
    assert document["roots"][0]["path"] == str(root)
    store = Store.open([root])
    assert document["roots"][0]["bytes"] == store.stored_bytes()
    assert store.list_tags(RepositoryName("app"), "", None) == [Tag("2.0")]
    store.close()
