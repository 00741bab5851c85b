"""What a load remembers comes back as it was, takes no memory, and is bounded."""

import json
import resource
from pathlib import Path

from bench.layout import index
from loader.candidate import Candidate
from loader.checkpoint import Checkpoint
from loader.identity import Stamp
from loader.journal import Head, Journal
from loader.signature import Proof
from loader.source import Source
from registry.storage.journals import KEPT, Journals
from registry.storage.store import Store
from tests.images import as_image, small_image, write_tar


def journal_of(store: Store) -> Journal:
    return Journal(store, None, None)


def test_candidates_come_back_in_order_and_as_they_were(tmp_path: Path, store: Store) -> None:
    image = as_image(store, index([small_image("a"), small_image("b")]), "a/b:1")
    store.loads.keep_blobs(image.blobs, "bundle", {})
    given = [
        Candidate("a.tar", 5, image.reference, image),
        Candidate("caf\udce9 \n.tar", 7, error="it is broken\nfor good"),
        Candidate("excluded.tar", 3, image.reference, platforms=frozenset({"linux/arm64", "linux/arm/v7"})),
    ]
    with Source(write_tar(tmp_path / "b.tar", {})) as source:
        journal = journal_of(store)
        for candidate in given:
            journal.add(candidate, source)
        back = list(journal.all())
    assert back[1:] == given[1:]
    assert back[0].image is not None
    assert (back[0].image.reference, back[0].image.root) == (image.reference, image.root)
    assert back[0].image.manifests == image.manifests
    assert set(back[0].image.blobs) == set(image.blobs)


def test_a_blob_that_is_gone_meanwhile_is_the_candidates_fault(tmp_path: Path, store: Store) -> None:
    image = as_image(store, small_image("a"), "a/b:1")
    with Source(write_tar(tmp_path / "b.tar", {})) as source:
        journal = journal_of(store)
        journal.add(Candidate("a.tar", 5, image.reference, image), source)
        (back,) = journal.all()
    assert back.image is None
    assert "gone from the store" in (back.error or "")


def test_many_members_take_no_memory_and_leave_nothing_of_a_pipe(tmp_path: Path, store: Store) -> None:
    image = as_image(store, small_image("a"), "a/b:1")
    store.loads.keep_blobs(image.blobs, "bundle", {})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Source(write_tar(tmp_path / "b.tar", {})) as source:
        journal = journal_of(store)
        for number in range(30_000):
            journal.add(Candidate(f"{number}.tar", 5, image.reference, image), source)
        assert [each.path for each in journal.all()][::10_000] == ["0.tar", "10000.tar", "20000.tar"]
    # kB; rows of the index are memory of the kernel's, which counts them here while there is room
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000
    journal.finish(None)
    with store.snapshot() as snapshot:
        assert snapshot.count("journals") == 0


def test_whoever_changes_what_a_journal_holds_counts_its_form_up(tmp_path: Path, store: Store) -> None:
    """A row or a key more, less or of another meaning: another number, for older journals are not read then."""
    path = write_tar(tmp_path / "b.tar", {})
    with Source(path) as source:
        checkpoint = Checkpoint(1, 2, b"", b"")
        head = Head(Stamp.of(source), 1, checkpoint=checkpoint, proof=Proof("", "", "")).to_json()
    image = as_image(store, small_image("a"), "a/b:1")
    row = json.loads(Candidate("a.tar", 5, image.reference, image).to_row())
    assert head["form"] == 2
    assert set(head) == {"form", "stamp", "count", "is_finished", "checkpoint", "end", "proof"}
    assert set(head["checkpoint"]) == {"bit", "offset", "window", "plain", "sha256"}  # type: ignore[call-overload]
    assert set(head["stamp"]) == {"path", "inode", "modified", "changed"}  # type: ignore[call-overload]
    assert set(head["proof"]) == {"file", "signature", "signer"}  # type: ignore[call-overload]
    assert row[:3] == ["a.tar", 5, "a/b:1"]
    assert [type(each) for each in row[3:]] == [list, type(None), list]


def test_only_the_newest_journals_are_kept(store: Store) -> None:
    journals = Journals(store.index)
    for number in range(KEPT + 3):
        journals.begin(f"bundle {number}")
        journals.write(f"bundle {number}", {"count": number}, {1: b"one", 2: b"two"})
    heads = [journals.head(f"bundle {number}") for number in range(KEPT + 3)]
    assert heads[:3] == [None, None, None]
    assert all(head is not None for head in heads[3:])
    assert list(journals.entries("bundle 0", 2)) == []
    assert list(journals.entries("bundle 9", 2)) == [b"one", b"two"]
