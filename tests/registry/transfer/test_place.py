"""Addresses, names and credentials as an operator gives them."""

import json
from pathlib import Path

import httpx
import pytest

from registry.oci.reference import RepositoryName
from registry.selection import Globs
from registry.transfer.errors import LoginInvalid, PlaceInvalid
from registry.transfer.login import Login, read_authfile, read_password
from registry.transfer.place import Address, require_safe
from registry.transfer.selection import Named


def test_an_address_puts_its_path_in_front_of_every_repository() -> None:
    address = Address.parse("https://registry.example:5000/mirror/k0s/")
    assert address.host == "registry.example:5000"
    assert address.full_name(RepositoryName("app")) == "mirror/k0s/app"
    assert address.short_name(RepositoryName("mirror/k0s/app")) == "app"
    assert address.short_name(RepositoryName("mirror/k0sother")) is None


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host",
        "https://",
        "https://user:secret@host",
        "https://host/UPPER",
        "https://host/x?y",
        "https://[::1",
        "https://h/\udcff",
    ],
)
def test_what_is_no_registry_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(PlaceInvalid) as refusal:
        Address.parse(text)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost", "http://[::1]:5", "https://example.com"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    require_safe(httpx.URL(url), insecure=False)


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1", "http://localhost.example.com", "file:///x"])
def test_plain_http_goes_nowhere_else_unless_asked(url: str) -> None:
    with pytest.raises(PlaceInvalid, match="--insecure"):
        require_safe(httpx.URL(url), insecure=False)


def test_credentials_are_read_from_the_file_that_podman_writes(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"host:5000": {"auth": "YWxpY2U6cDphc3M="}}}))
    assert read_authfile(path, "host:5000") == Login("alice", "p:ass")
    assert read_authfile(path, "other") is None


@pytest.mark.parametrize("text", ["", "[]", '{"auths": {"h": {"auth": "!"}}}'])
def test_a_file_that_holds_no_credentials_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "auth.json").write_text(text)
    with pytest.raises(LoginInvalid):
        read_authfile(tmp_path / "auth.json", "h")


def test_a_password_file_holds_one_line_and_a_login_does_not_show_it() -> None:
    assert read_password("pass word\n", "file") == "pass word"
    for text in ("", "\n", "a\nb\n"):
        with pytest.raises(LoginInvalid):
            read_password(text, "file")
    assert "secret" not in repr(Login("alice", "secret"))


def test_globs_are_over_repository_and_tag_and_exclude_has_the_last_word() -> None:
    selection = Globs(("charts/*",), ("*:2",))
    assert selection.admits(Named.parse("charts/app:1"))
    assert not selection.admits(Named.parse("charts/app:2"))
    assert not selection.admits(Named.parse("app:1"))
