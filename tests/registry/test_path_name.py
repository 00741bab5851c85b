"""Paths on the command line."""

from pathlib import Path

import pytest

from tests.conftest import k0rdentd


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("load", ""), "'BUNDLE'"),
        (("load", "b.tar", "-s", ""), "'-s' / '--storage'"),
        (("load", "b.tar", "-s", "here", "--cosign-key", ""), "'--cosign-key'"),
        (("load", "b.tar", "-s", "here", "--report", ""), "'--report'"),
        (("bundle", "inspect", ""), "'BUNDLE'"),
        (("registry", "-b", "", "-s", "here"), "'--bundle-path'"),
        (("store", "gc", "-s", ""), "'-s' / '--storage'"),
        (("store", "ls", "-s", "here", "-s", ""), "'-s' / '--storage'"),
        (("-c", "", "status"), "'--config-file'"),
    ],
)
def test_an_empty_word_is_not_the_directory_we_are_in(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    """`k0rdentd load "$BUNDLE"`, and the variable is not set."""
    done = k0rdentd(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert "is a variable not set?" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_colon_too_many_names_no_root_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K0RDENTD_REGISTRY_STORAGE", f"{tmp_path}/one:")
    done = k0rdentd("store", "ls", cwd=tmp_path)
    assert (done.returncode, "is a variable not set?" in done.stderr) == (2, True)
