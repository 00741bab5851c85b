"""What is shown of a change of files tells everything but secrets."""

from pathlib import Path

import yaml

from installer.difference import difference
from installer.redaction import MASK
from installer.values import airgap_values

FILE = Path("/etc/x")


def shown(old: str | None, new: str) -> str:
    return "\n".join(difference(FILE, None if old is None else old.encode(), new.encode()))


def test_a_new_password_is_seen_as_a_change_and_not_as_itself() -> None:
    text = shown("a: 1\npassword: old-one\n", "a: 1\npassword: new-one\n")
    assert text.splitlines()[2:] == ["@@ -1,2 +1,2 @@", " a: 1", f"-password: {MASK}", f"+password: {MASK}"]


def test_secrets_of_many_lines_and_in_urls_are_hidden_and_what_looks_like_them_is_not() -> None:
    text = shown(None, "privateKey: |\n  AAAA\n\n  BBBB\nplain:\n  AAAA: 1\nproxy: http://me:pw@proxy/x\n")
    assert "BBBB" not in text
    assert "pw@" not in text
    assert "AAAA: 1" in text


def test_what_an_installation_writes_is_shown_whole() -> None:
    values = yaml.safe_dump(airgap_values("192.0.2.10:5000", nested=True))
    assert MASK not in shown(None, values)
    assert shown(values, values) == ""


def test_of_what_is_no_text_the_size_is_told() -> None:
    assert list(difference(FILE, None, b"\xff\xfe")) == ["(not text: 0 bytes become 2)"]
