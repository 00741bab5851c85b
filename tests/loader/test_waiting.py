"""What waits for a signature comes back as it was, and takes no memory."""

import resource
from pathlib import Path

import pytest

from bench.layout import index
from loader.waiting import Candidate, Waiting
from registry.storage.errors import StorageUnusable
from registry.storage.store import Store
from tests.images import as_image, small_image


def test_candidates_come_back_in_order_and_as_they_were(tmp_path: Path, store: Store) -> None:
    image = as_image(store, index([small_image("a"), small_image("b")]), "a/b:1")
    failed = Candidate("caf\udce9 \n.tar", 7, None, "it is broken\nfor good")
    with Waiting(tmp_path) as waiting:
        waiting.add(Candidate("a.tar", 5, image))
        waiting.add(failed)
        back = list(waiting)
    assert back[1] == failed
    assert back[0].image is not None
    assert (back[0].image.reference, back[0].image.root) == (image.reference, image.root)
    assert back[0].image.manifests == image.manifests
    assert back[0].image.blobs == ()


def test_a_hundred_thousand_members_take_no_memory_and_leave_no_file(tmp_path: Path, store: Store) -> None:
    candidate = Candidate("a.tar", 5, as_image(store, small_image("a"), "a/b:1"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Waiting(tmp_path) as waiting:
        for _ in range(100_000):
            waiting.add(candidate)
        first = next(iter(waiting))
        assert list(tmp_path.glob("*")) == [tmp_path / "store"]
    assert first.path == "a.tar"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageUnusable):
        Waiting(tmp_path / "none")
