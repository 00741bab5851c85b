"""Keys hold what they were made of, sort as they must, and fit."""

from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.reference import NAME_LENGTH, RepositoryName, Tag
from registry.storage import keys
from tests.registry.oci.test_reference import NAMES, TAGS

DIGESTS = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(["sha256", "sha512"]))
LMDB_KEY_LIMIT = 511


@given(DIGESTS)
def test_a_packed_digest_comes_back(digest: Digest) -> None:
    assert keys.unpack_digest(keys.pack_digest(digest)) == digest


@given(NAMES, NAMES, TAGS)
def test_rows_of_one_repository_have_a_prefix_of_their_own(one: str, other: str, tag: str) -> None:
    belongs = keys.tag_key(RepositoryName(other), Tag(tag)).startswith(keys.repository_prefix(RepositoryName(one)))
    assert belongs == (one == other)


@given(st.lists(TAGS, max_size=8))
def test_tags_sort_bytewise(tags: list[str]) -> None:
    name = RepositoryName("a")
    assert sorted(tags) == [key[2:].decode() for key in sorted(keys.tag_key(name, Tag(tag)) for tag in tags)]


def test_the_longest_keys_fit() -> None:
    name = RepositoryName("a" * NAME_LENGTH)
    digest = Digest.of(b"", "sha512")
    assert len(keys.tag_key(name, Tag("t" * 128))) <= LMDB_KEY_LIMIT
    assert len(keys.referrer_key(name, digest, digest)) <= LMDB_KEY_LIMIT
