from bench.fleet import fleet
from bench.sample import BIG, HUGE, LARGE, SMALL, Sample


def test_the_sample_is_one_small_manifest_and_blobs_of_four_sizes() -> None:
    by_tag, head, by_digest, *blobs = Sample.make().targets
    assert 500 < len(by_tag.body) < 2_000
    assert by_tag.body == head.body == by_digest.body
    assert [blob.size for blob in blobs] == [SMALL, LARGE, BIG, HUGE]
    assert head.size == 0


def test_the_sample_is_the_same_for_a_seed() -> None:
    assert Sample.make(7, LARGE) == Sample.make(7, LARGE)
    assert Sample.make(7, LARGE).digest != Sample.make(8, LARGE).digest


def test_images_of_a_fleet_share_a_layer_and_differ() -> None:
    one, other = fleet(2, scale=0.01)
    shared = {digest for digest, _ in one.blobs} & {digest for digest, _ in other.blobs}
    assert len(shared) == 3  # the base, and a config for each platform
    assert one.documents[0] != other.documents[0]
