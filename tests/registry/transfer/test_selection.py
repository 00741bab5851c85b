"""How images are named on the command line."""

import pytest

from registry.oci.errors import TagInvalid
from registry.transfer.selection import Named


@pytest.mark.parametrize("text", ["nope", "charts/nope", "host:5000/nope"])
def test_who_names_no_tag_is_told_so(text: str) -> None:
    with pytest.raises(TagInvalid, match=f"{text} names no tag: write {text}:TAG"):
        Named.parse(text)
