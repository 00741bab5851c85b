"""Names and tags after the specification's grammar."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.errors import NameInvalid, OCIError, TagInvalid
from registry.oci.reference import Reference, RepositoryName, Tag, parse_tag_or_digest

_LOWER, _DIGITS = string.ascii_lowercase, string.digits
# Built of what the grammar is made of: drawing from its regular expressions takes ten times as long.
_WORDS = st.text(_LOWER + _DIGITS, min_size=1)
_SEPARATORS = st.sampled_from([".", "_", "__"]) | st.integers(1, 9).map("-".__mul__)
_COMPONENTS = st.builds(
    lambda first, rest: first + "".join(map("".join, rest)),
    _WORDS,
    st.lists(st.tuples(_SEPARATORS, _WORDS), max_size=4),
)
NAMES = st.lists(_COMPONENTS, min_size=1, max_size=5).map("/".join)
_TAG_LETTERS = string.ascii_letters + _DIGITS + "_"
TAGS = st.builds(str.__add__, st.sampled_from(_TAG_LETTERS), st.text(_TAG_LETTERS + ".-", max_size=127))


@given(NAMES.filter(lambda name: len(name) <= 255))
def test_every_name_of_the_grammar_is_taken(name: str) -> None:
    assert RepositoryName.parse(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "a/",
        "/a",
        "a//b",
        "a..b",
        "a___b",
        "a_-b",
        "-a",
        "a-",
        ".a",
        "a/../b",
        "ä",
        "a b",
        "a\n",
        "a" * 256,
        "a:b",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


@pytest.mark.parametrize("text", ["a__b", "a---b", "0", "a.b/c_d/e-f", "a" * 255])
def test_odd_but_legal_names_are_taken(text: str) -> None:
    assert RepositoryName.parse(text) == text


@given(TAGS)
def test_every_tag_of_the_grammar_is_taken(tag: str) -> None:
    assert Tag.parse(tag) == tag


@pytest.mark.parametrize("text", ["", ".a", "-a", "a+b", "a b", "a/b", "a" * 129, "a\n", "é"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(TagInvalid):
        Tag.parse(text)


@given(NAMES.filter(lambda name: len(name) <= 255), TAGS)
def test_a_reference_is_its_text(name: str, tag: str) -> None:
    reference = Reference.parse(f"{name}:{tag}")
    assert (reference.repository, reference.tag, str(reference)) == (name, tag, f"{name}:{tag}")


def test_a_colon_tells_a_digest_from_a_tag() -> None:
    digest = Digest.of(b"")
    assert parse_tag_or_digest(str(digest)) == digest
    assert parse_tag_or_digest("latest") == Tag("latest")


@given(st.text(max_size=300))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        assert str(Reference.parse(text)) == text
    except OCIError as error:
        assert error.status == 400
