"""Digests: what is one, what is none, and that text and type are the same thing."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid

HEX = "0123456789abcdef"


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_is_its_text(content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.hex == hashlib.new(algorithm, content).hexdigest()


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha512"]))
def test_a_hasher_comes_to_the_same_digest(content: bytes, algorithm: str) -> None:
    hasher = Digest.of(b"", algorithm).hasher()
    hasher.update(content)
    assert hasher.hexdigest() == Digest.of(content, algorithm).hex


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha256:" + "a" * 64 + "\n",
        " sha256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "SHA256:" + "a" * 64,
        "md5:" + "a" * 32,
        "blake3:" + "a" * 64,
        "sha256:baddigeststring",
    ],
)
def test_what_is_no_supported_digest_is_refused(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    try:
        assert str(Digest.parse(text)) == text
    except DigestInvalid as error:
        assert error.status == 400
