"""Bundles that were cut off or damaged on their way: what is whole is loaded, and the rest is told."""

import random
from pathlib import Path

import pytest

from bench.bundle import BundleSpec
from bench.corpus import write_bundle
from tests.conftest import listing, serving
from tests.faults.bundles import Made, flipped, is_one_clear_sentence, load, make, unpacked_size
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way
from tests.faults.pulling import Puller

SIZE = 25_000_000
# A decompressor gives out whole blocks; what it has of the one in which the bundle ends may be lost.
LOOKAHEAD = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("plain"), SIZE)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, plain: Made) -> Path:
    path = tmp_path_factory.mktemp("packed") / "airgap-bundle-1.2.3.tar.gz"
    assert write_bundle(BundleSpec(size=SIZE), path, "tar.gz") == plain.contents
    return path


def assert_complete(root: Path, log: Path) -> None:
    """A registry serves all that is listed, byte for byte."""
    assert_blobs_are_what_they_are_called(root)
    assert_nothing_under_way(root)
    with serving("-s", root, "--workers", "1", log=log) as server, Puller(server) as puller:
        assert puller.pull_all() == listing(root)


def assert_loaded_before(root: Path, bundle: Path, plain: Made, end: int) -> None:
    """Loading a part of a bundle brings what is whole in it, says what is wrong, and can be made good."""
    cut = load(bundle, root)
    assert cut.code == 1
    assert is_one_clear_sentence(cut.error, bundle), cut.error
    assert plain.images_before(end) <= set(listing(root))


def assert_the_whole_bundle_makes_it_good(root: Path, bundle: Path, plain: Made) -> None:
    assert load(bundle, root).code == 0
    assert set(listing(root)) == set(plain.images)


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9])
def test_of_a_cut_compressed_bundle_all_images_before_the_cut_are_loaded(
    root: Path, plain: Made, packed: Path, part: float
) -> None:
    body = packed.read_bytes()[: int(part * packed.stat().st_size)]
    bundle = root.with_name("cut.tar.gz")
    bundle.write_bytes(body)
    assert_loaded_before(root, bundle, plain, unpacked_size(body) - LOOKAHEAD)
    assert_the_whole_bundle_makes_it_good(root, packed, plain)


def test_of_a_cut_zstd_bundle_all_images_before_the_cut_are_loaded(root: Path, plain: Made) -> None:
    whole = root.with_name("airgap-bundle-1.2.3.tar.zst")
    write_bundle(BundleSpec(size=SIZE), whole, "tar.zst")
    body = whole.read_bytes()[: whole.stat().st_size // 2]
    bundle = root.with_name("cut.tar.zst")
    bundle.write_bytes(body)
    assert_loaded_before(root, bundle, plain, unpacked_size(body) - LOOKAHEAD)
    assert_the_whole_bundle_makes_it_good(root, whole, plain)


@pytest.mark.parametrize("part", [0.0001, 0.3, 0.9])
def test_of_a_cut_tar_all_images_before_the_cut_are_loaded(root: Path, plain: Made, part: float) -> None:
    body = plain.path.read_bytes()[: int(part * plain.path.stat().st_size)]
    bundle = root.with_name("cut.tar")
    bundle.write_bytes(body)
    assert_loaded_before(root, bundle, plain, len(body))
    assert_the_whole_bundle_makes_it_good(root, plain.path, plain)


def test_what_a_cut_bundle_brought_is_served_whole(root: Path, plain: Made) -> None:
    bundle = root.with_name("cut.tar")
    bundle.write_bytes(plain.path.read_bytes()[: SIZE // 2])
    assert_loaded_before(root, bundle, plain, SIZE // 2)
    assert_complete(root, root.with_name("log"))


def test_a_tar_that_ends_between_two_members_is_not_taken_for_whole(root: Path, plain: Made) -> None:
    end = plain.places[len(plain.places) // 2].offset
    bundle = root.with_name("cut.tar")
    bundle.write_bytes(plain.path.read_bytes()[:end])
    assert_loaded_before(root, bundle, plain, end)


@pytest.mark.parametrize("beyond", [0, 100_000])
def test_a_tar_whose_rest_was_never_copied_is_not_taken_for_whole(root: Path, plain: Made, beyond: int) -> None:
    """A copy that made its file first and died half-way: the size is right, the rest is zeros."""
    end = plain.places[len(plain.places) // 2].offset + beyond
    bundle = root.with_name("torn.tar")
    bundle.write_bytes(plain.path.read_bytes()[:end] + bytes(plain.path.stat().st_size - end))
    torn = load(bundle, root)
    assert torn.code == 1
    assert str(bundle) in torn.error
    assert plain.images_before(end) <= set(listing(root))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_flipped_bits_fail_only_the_members_that_they_hit(root: Path, plain: Made, seed: int) -> None:
    rng = random.Random(seed)
    names, spans = list(plain.spans), list(plain.spans.values())
    struck = rng.choices(names, [len(span) for span in spans], k=12)
    bundle = root.with_name("damaged.tar")
    bundle.write_bytes(flipped(plain.path.read_bytes(), (rng.choice(plain.spans[name]) for name in struck)))
    done = load(bundle, root)
    assert done.having("failed") <= set(struck)
    assert done.code == (1 if done.having("failed") else 0)
    assert done.having("loaded") == {each.path for each in plain.contents.members} - done.having("failed")
    assert all(plain.images[name] in (None, digest) for name, digest in listing(root).items())
    assert_complete(root, root.with_name("log"))
    assert_the_whole_bundle_makes_it_good(root, plain.path, plain)


def test_a_damaged_header_ends_the_load_behind_the_members_before_it(root: Path, plain: Made) -> None:
    place = plain.places[len(plain.places) // 2]
    bundle = root.with_name("damaged.tar")
    bundle.write_bytes(flipped(plain.path.read_bytes(), [place.offset + 10]))
    assert_loaded_before(root, bundle, plain, place.offset)


def test_a_compressed_bundle_with_flipped_bits_publishes_nothing_wrong(root: Path, plain: Made, packed: Path) -> None:
    body = packed.read_bytes()
    bundle = root.with_name("damaged.tar.gz")
    bundle.write_bytes(flipped(body, [len(body) // 2, len(body) * 3 // 4]))
    assert load(bundle, root).code == 1
    assert_complete(root, root.with_name("log"))
    assert_the_whole_bundle_makes_it_good(root, packed, plain)
