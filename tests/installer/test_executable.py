"""The file around the runtime: its footer, its parts, and the k0s that is taken out of it."""

import hashlib
from pathlib import Path

import pytest

from installer.changes import PlaceFile
from installer.errors import HostRefuses
from installer.executable import FOOTER_SIZE, Executable, ExecutableDamaged, Footer, Section
from installer.flavor import K0S_BINARY, K0S_VERSION, EmbeddedK0s, Flavor
from installer.host import Host
from installer.packaging.joining import join

K0S = b"k0s" * 700_001


@pytest.fixture
def packed(tmp_path: Path) -> Executable:
    """An executable of text."""
    for name, content in (("launcher", b"launch"), ("runtime", b"run" * 5000), ("k0s", K0S)):
        (tmp_path / name).write_bytes(content)
    metadata = {"flavor": "airgap", "k0sVersion": "v1.32.8+k0s.0"}
    join(tmp_path / "exe", tmp_path / "launcher", tmp_path / "runtime", 15_000, metadata, tmp_path / "k0s")
    return Executable.open(tmp_path / "exe")


def test_a_footer_is_read_back_as_it_was_written() -> None:
    sections = [Section(number, number * 10**11, "ab" * 32) for number in range(4)]
    footer = Footer(10**12, 10**12, *sections)
    assert len(footer.render()) == FOOTER_SIZE
    assert Footer.parse(footer.render()) == footer


def test_an_executable_holds_what_went_in(packed: Executable) -> None:
    assert packed.footer.k0s.offset % 4096 == 0
    assert packed.footer.k0s.sha256 == hashlib.sha256(K0S).hexdigest()
    assert b"".join(packed.read("k0s", packed.footer.k0s)) == K0S
    assert packed.metadata() == {"flavor": "airgap", "k0sVersion": "v1.32.8+k0s.0"}
    assert list(packed.check()) == ["runtime", "k0s", "metadata", "launcher"]


def test_no_k0s_is_told_as_good_where_there_is_none(packed: Executable, tmp_path: Path) -> None:
    join(tmp_path / "online", tmp_path / "launcher", tmp_path / "runtime", 15_000, {"flavor": "online"}, None)
    assert list(Executable.open(tmp_path / "online").check()) == ["runtime", "metadata", "launcher"]


def test_every_changed_byte_is_found(packed: Executable) -> None:
    content = packed.path.read_bytes()
    for name, section in packed.footer.sections():
        changed = bytearray(content)
        changed[section.offset + section.size - 1] ^= 1
        packed.path.write_bytes(changed)
        with pytest.raises(ExecutableDamaged, match=f"its {name} is not"):
            list(packed.check())


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"x" * 5000])
def test_another_file_is_no_executable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exe").write_bytes(content)
    with pytest.raises(ExecutableDamaged, match="copy it again"):
        Executable.open(tmp_path / "exe")


def test_k0s_is_put_in_place_whole_and_runnable(packed: Executable, tmp_path: Path) -> None:
    target = tmp_path / "bin/k0s"
    target.parent.mkdir()
    target.write_text("the one before")
    found = EmbeddedK0s(packed, "v1.32.8+k0s.0")
    assert found.describe().startswith(f"k0s v1.32.8+k0s.0 inside {packed.path}, SHA-256 ")
    assert list(PlaceFile(Path("/bin/k0s"), found).make(Host(tmp_path))) == []
    assert target.read_bytes() == K0S
    assert target.stat().st_mode & 0o777 == 0o755
    assert list(target.parent.iterdir()) == [target]


def test_a_damaged_k0s_replaces_nothing(packed: Executable, tmp_path: Path) -> None:
    content = bytearray(packed.path.read_bytes())
    content[packed.footer.k0s.offset] ^= 1
    packed.path.write_bytes(content)
    target = tmp_path / "bin/k0s"
    target.parent.mkdir()
    target.write_text("the one before")
    with pytest.raises(ExecutableDamaged):
        PlaceFile(Path("/bin/k0s"), EmbeddedK0s(packed, None)).make(Host(tmp_path))
    assert target.read_text() == "the one before"
    assert list(target.parent.iterdir()) == [target]


def test_a_target_that_cannot_be_written_is_told(packed: Executable, tmp_path: Path) -> None:
    (tmp_path / "bin").write_text("no folder")
    with pytest.raises(HostRefuses, match="/bin/k0s"):
        PlaceFile(Path("/bin/k0s"), EmbeddedK0s(packed, None)).make(Host(tmp_path))


def test_a_checkout_takes_the_k0s_that_the_environment_names(tmp_path: Path) -> None:
    assert Flavor.current({}) == Flavor()
    assert (Flavor().name, EmbeddedK0s.find({})) == ("online", None)
    (tmp_path / "k0s").write_bytes(K0S)
    environment = {K0S_BINARY: str(tmp_path / "k0s"), K0S_VERSION: "v1.32.8+k0s.0"}
    assert Flavor.current(environment).is_airgap
    found = EmbeddedK0s.find(environment)
    assert found is not None
    assert (found.version, found.section) == ("v1.32.8+k0s.0", None)
    PlaceFile(Path("/copy"), found).make(Host(tmp_path))
    assert (tmp_path / "copy").read_bytes() == K0S
