"""The history of the tags: no change without its record, and no record that could be changed unseen."""

import struct
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import orjson
import pytest

from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage import history, keys
from registry.storage.audit import Audit, audit
from registry.storage.environment import Rows
from registry.storage.explain import confirm, explain
from registry.storage.gc import Collection, Policy
from registry.storage.history import Cause, Event, Record
from registry.storage.store import Store
from registry.storage.tags import find_tags, remove_tags
from tests.images import as_image, publish, small_image

APP = RepositoryName("app")
ALICE = Cause("client", user="alice", client="10.0.0.1")
BUNDLE = Cause("load", bundle="b.tar.gz", member="app_1.tar", sha256="aa", signer="bb")
RECORDS = 8


def records(store: Store) -> list[Record]:
    with store.snapshot() as snapshot:
        return list(history.records(snapshot.rows))


def told(store: Store) -> list[tuple[str, str | None, Digest | None, Digest | None]]:
    """Without when, and by whom."""
    return [
        (each.event.value, None if each.reference is None else each.reference.tag, each.before, each.digest)
        for each in records(store)
    ]


def tamper(store: Store, change: Callable[[Rows], object]) -> None:
    """What somebody does who can write to the index and is not us."""
    with store.index.change() as block:
        change(block.rows)


def put_image(store: Store, reference: str, cause: Cause) -> Digest:
    made = as_image(store, small_image(), reference)
    store.publish(made, cause=cause)
    return made.root


@pytest.fixture
def filled(store: Store) -> Store:
    """A history of RECORDS records, in which every kind of change is."""
    old = put_image(store, "app:1", BUNDLE)
    put_image(store, "app:2", ALICE)
    put_image(store, "app:1", ALICE)
    store.delete_manifest(APP, Tag("2"), ALICE)
    put_image(store, "app:2", ALICE)
    store.delete_manifest(APP, old)
    last = put_image(store, "other:1", ALICE)
    confirm(store, [(Reference.parse("other:1"), last)], BUNDLE)
    assert len(records(store)) == RECORDS
    assert audit(store).holds
    return store


def test_every_change_of_a_tag_has_its_record_with_its_cause(store: Store) -> None:
    first, second = put_image(store, "app:1", BUNDLE), put_image(store, "app:1", ALICE)
    with store.snapshot() as snapshot:
        stored = snapshot.manifest(APP, second)
    assert stored is not None
    store.delete_manifest(APP, second, ALICE)
    put_image(store, "app:2", BUNDLE)
    assert list(remove_tags(store, find_tags(store, ["app:*"]), Cause("rm", "root"))) == [Reference.parse("app:2")]
    third = records(store)[4].digest
    assert told(store) == [
        ("begun", None, None, None),
        ("set", "1", None, first),
        ("set", "1", first, second),
        ("deleted", "1", second, None),
        ("set", "2", None, third),
        ("deleted", "2", third, None),
    ]
    assert [each.cause for each in records(store)] == [None, BUNDLE, ALICE, ALICE, BUNDLE, Cause("rm", "root")]
    assert {each.version for each in records(store)} == {version("k0rdentd")}


def test_what_changes_nothing_has_no_record(store: Store) -> None:
    made = as_image(store, small_image(), "app:1")
    for _ in range(2):
        store.publish(made, cause=BUNDLE)
    ((digest, manifest),) = made.manifests
    store.put_manifest(APP, digest, manifest, [Tag("1")], cause=ALICE)
    store.put_manifest(APP, digest, manifest, [], cause=ALICE)
    assert len(records(store)) == 2


def test_a_change_that_fails_has_no_record(store: Store) -> None:
    made = as_image(store, small_image(), "app:1")
    with pytest.raises(RuntimeError), store.index.change() as change:
        for digest, manifest in made.manifests:
            change.put_manifest(APP, digest, manifest)
        change.put_tag(APP, Tag("1"), made.root)
        raise RuntimeError
    assert [each.event for each in records(store)] == [Event.BEGUN]
    assert audit(store).holds


def test_gc_keeps_the_history_of_what_it_removes(filled: Store) -> None:
    list(remove_tags(filled, find_tags(filled, ["*"])))
    before = records(filled)
    assert list(Collection(filled, Policy(0, 0, True, False)).removals())
    assert records(filled) == before
    assert audit(filled).holds


@pytest.mark.parametrize("way", ["opened", "only its index"])
def test_a_store_from_before_begins_its_chain_with_what_it_has(tmp_path: Path, way: str) -> None:
    store = Store.open([tmp_path / "store"])
    roots = {tag: put_image(store, f"app:{tag}", ALICE) for tag in ("1", "2")}

    def forget(rows: Rows) -> None:
        for key, _ in list(rows.scan("history")):
            rows.delete("history", key)
        rows.delete("care", b"history")

    tamper(store, forget)
    expected = [("begun", None, None, None), ("found", "1", None, roots["1"]), ("found", "2", None, roots["2"])]
    if way == "opened":
        store.close()
        store = Store.open([tmp_path / "store"])
        assert told(store) == expected
    third = put_image(store, "app:1", BUNDLE)
    assert told(store) == [*expected, ("set", "1", roots["1"], third)]
    assert audit(store).holds
    assert explain(store, APP, Tag("2")).origin[0].cause is None
    store.close()


def key_of(number: int) -> bytes:
    return struct.pack(">Q", number)


def rows_of(store: Store) -> dict[int, bytes]:
    with store.snapshot() as snapshot:
        return dict(history.chain(snapshot.rows))


def assert_broken(store: Store, *said: str) -> Audit:
    found = audit(store)
    assert not found.holds
    text = " ".join((found.broken or "", *found.strays))
    assert [part for part in said if part not in text] == []
    return found


@pytest.mark.parametrize("number", range(1, RECORDS + 1))
@pytest.mark.parametrize("how", ["who", "when", "garbage"])
def test_a_changed_record_is_found(filled: Store, number: int, how: str) -> None:
    row = rows_of(filled)[number]
    other = {
        "who": orjson.dumps(orjson.loads(row) | {"cause": {"by": "client", "user": "mallory"}}),
        "when": orjson.dumps(orjson.loads(row) | {"at": "2020-01-01T00:00:00+00:00"}),
        "garbage": b"\xff" + row,
    }[how]
    tamper(filled, lambda rows: rows.put("history", key_of(number), other))
    link = number if how == "garbage" or number == RECORDS else number + 1
    assert_broken(filled, f"record {link}")


@pytest.mark.parametrize("number", range(1, RECORDS + 1))
def test_a_dropped_record_is_found(filled: Store, number: int) -> None:
    tamper(filled, lambda rows: rows.delete("history", key_of(number)))
    said = f"the newest record was {number}" if number == RECORDS else f"record {number + 1}: it follows record"
    assert_broken(filled, said)
    put_image(filled, "app:9", ALICE)  # and what comes behind it hides nothing
    assert_broken(filled, f"record {number + 1}: it follows record")


@pytest.mark.parametrize(("one", "two"), [(2, 3), (2, 6), (7, 8)])
def test_two_swapped_records_are_found(filled: Store, one: int, two: int) -> None:
    rows = rows_of(filled)

    def swap(table: Rows) -> None:
        table.put("history", key_of(one), rows[two])
        table.put("history", key_of(two), rows[one])

    tamper(filled, swap)
    assert_broken(filled, f"record {one}: it was written as record {two}")


def test_a_record_that_is_put_behind_the_newest_is_found(filled: Store) -> None:
    rows = rows_of(filled)
    forged = replace(Record.from_row(rows[RECORDS]), number=RECORDS + 1, previous=history.hash_of(rows[RECORDS]))
    tamper(filled, lambda table: table.put("history", key_of(RECORDS + 1), orjson.dumps(forged.to_json())))
    assert_broken(filled, f"the newest record was {RECORDS}, and {RECORDS + 1} is the last one here")


def test_a_head_that_is_gone_is_found_and_later_changes_do_not_heal_it(filled: Store) -> None:
    path = filled.layout.root
    tamper(filled, lambda rows: rows.delete("care", b"history"))
    filled.close()
    store = Store.open([path])
    assert_broken(store, "the head is missing")
    put_image(store, "app:9", ALICE)
    assert_broken(store, f"record {RECORDS + 1}")
    store.close()


@pytest.mark.parametrize("how", ["moved", "added", "removed"])
def test_a_tag_that_was_changed_behind_the_chain_is_found(filled: Store, how: str) -> None:
    tag = Tag("9" if how == "added" else "1")
    other = Digest.of(b"other")
    if how == "removed":
        tamper(filled, lambda rows: rows.delete("tags", keys.tag_key(APP, tag)))
    else:
        tamper(filled, lambda rows: rows.put("tags", keys.tag_key(APP, tag), keys.pack_digest(other)))
    found = assert_broken(filled, f"app:{tag} is {'no tag' if how == 'removed' else other}, and the chain says")
    assert found.broken is None
    put_image(filled, f"app:{tag}", ALICE)  # and its next change does not hide it
    assert_broken(filled, f"app:{tag}: record {RECORDS + 1} met")


def test_a_chain_that_was_written_anew_differs_from_the_head_that_was_noted(filled: Store) -> None:
    noted = audit(filled).head.hash
    put_image(filled, "app:3", ALICE)
    grown = audit(filled, noted)
    assert grown.holds
    assert grown.noted == RECORDS

    def write_anew(rows: Rows) -> None:
        behind = history.NO_RECORD
        for key, row in list(rows.scan("history")):
            fields = orjson.loads(row) | {"previous": behind.hash}
            if fields["number"] == 3:
                fields["cause"]["user"] = "mallory"
            forged = orjson.dumps(fields)
            behind = history.Head(fields["number"], history.hash_of(forged))
            rows.put("history", key, forged)
        rows.put("care", b"history", struct.pack(">Q32s", behind.number, bytes.fromhex(behind.hash)))

    tamper(filled, write_anew)
    assert audit(filled).holds, "nobody can tell without a head that was noted"
    found = audit(filled, noted)
    assert not found.holds
    assert found.noted == 0


def test_a_signed_bundle_confirms_what_is_here_once(store: Store) -> None:
    root = put_image(store, "app:1", ALICE)
    here = [(Reference.parse("app:1"), root)]
    for cause in (BUNDLE, BUNDLE, replace(BUNDLE, sha256="cc"), BUNDLE):
        confirm(store, here, cause)
    confirm(store, [(Reference.parse("app:1"), Digest.of(b"other"))], replace(BUNDLE, sha256="dd"))
    assert [each.cause and each.cause.sha256 for each in explain(store, APP, Tag("1")).origin] == [None, "aa", "cc"]
    assert audit(store).holds


def test_an_explanation_tells_parts_names_and_history(store: Store) -> None:
    image = small_image()
    root = publish(store, image, "app:1")
    publish(store, image, "app:stable")
    found = explain(store, APP, root)
    assert (found.digest, found.tags) == (root, (Tag("1"), Tag("stable")))
    assert {str(part.digest) for part in found.blobs} == {blob.digest for blob in image.below}
    assert {part.place for part in found.blobs} == {store.layout.root}
    assert found.size == sum(blob.size for blob in (image.root, *image.below))
    assert [each.reference and each.reference.tag for each in found.origin] == ["1", "stable"]
    store.delete_manifest(APP, root, ALICE)
    gone = explain(store, APP, Tag("1"))
    assert (gone.digest, [each.event for each in gone.history]) == (None, [Event.SET, Event.DELETED])
    with pytest.raises(ManifestUnknown):
        explain(store, APP, Tag("never"))
