"""With a signature to check, a load relies on an earlier one only as far as that proves what is served."""

import base64
import gzip
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.archive import Archive, Entry
from bench.layout import Tree, oci_archive
from loader import inflate
from loader.config import LoadSettings
from loader.errors import KeyUnusable, SignatureInvalid
from loader.identity import identify
from loader.pipeline import Load
from loader.report import Outcome, Status
from loader.signature import Check
from loader.source import Source
from registry.storage.journals import Journals
from registry.storage.listing import list_images
from registry.storage.store import Store
from registry.verification import Evidence
from tests.conftest import COMMAND, k0rdentd
from tests.images import small_image, write_tar
from tests.signing import KeyPair, key_pair

KNOWN = "of them known from an earlier load"
SIZE = 2_000_000


def sign(path: Path, pair: KeyPair) -> None:
    path.with_name(path.name + ".sig").write_bytes(base64.b64encode(pair.sign(path)) + b"\n")


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return key_pair(tmp_path)


@pytest.fixture
def signed(tmp_path: Path, pair: KeyPair) -> Path:
    path = write_tar(tmp_path / "b.tar", {f"{name}_1.tar": oci_archive(small_image(name)) for name in "ab"})
    sign(path, pair)
    return path


def is_known(bundle: Path, root: Path, *options: str | Path) -> bool:
    done = k0rdentd("load", bundle, "-s", root, *options)
    assert done.returncode == 0, done.stderr
    assert "2 loaded" in done.stdout or "2 present" in done.stdout
    if KNOWN in done.stdout and "--verify" in options:
        assert "the signature held when it was loaded, and the file was not touched since: file SHA-256" in done.stdout
    return KNOWN in done.stdout


def test_a_bundle_is_known_only_by_a_load_that_checked_the_same_signature_with_the_same_key(
    tmp_path: Path, signed: Path, pair: KeyPair
) -> None:
    root, proof = tmp_path / "s", ("--verify", "--cosign-key", pair.public)
    assert not is_known(signed, root, "--no-verify")
    assert not is_known(signed, root, *proof)
    assert is_known(signed, root, *proof)
    assert is_known(signed, root, "--no-verify")
    sign(signed, pair)  # ECDSA: another one of the same file
    assert not is_known(signed, root, *proof)
    other = key_pair(tmp_path, name="other")
    refused = k0rdentd("load", signed, "-s", root, "--verify", "--cosign-key", other.public)
    assert refused.returncode == 1
    assert "does not fit this file and this key" in refused.stderr


def test_a_verified_bundle_that_was_touched_or_copied_is_verified_again(
    tmp_path: Path, signed: Path, pair: KeyPair
) -> None:
    root, proof = tmp_path / "s", ("--verify", "--cosign-key", pair.public)
    assert not is_known(signed, root, *proof)
    copy = tmp_path / "copy.tar"
    for suffix in ("", ".sig"):
        shutil.copy2(f"{signed}{suffix}", f"{copy}{suffix}")
    assert not is_known(copy, root, *proof)
    before = signed.stat()
    signed.write_bytes(signed.read_bytes())
    os.utime(signed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_known(signed, root, *proof)
    assert is_known(signed, root, *proof)


def test_a_bundle_in_pieces_and_one_from_a_pipe_are_verified_like_any_other(
    tmp_path: Path, signed: Path, pair: KeyPair
) -> None:
    body, proof = signed.read_bytes(), ("--verify", "--cosign-key", pair.public)
    command = [
        *COMMAND,
        "load",
        "-",
        "-s",
        str(tmp_path / "piped"),
        *map(str, proof),
        "--cosign-signature",
        f"{signed}.sig",
    ]
    for piped, code in ((body, 0), (body[:-1] + b"x", 1)):
        assert subprocess.run(command, input=piped, capture_output=True, check=False).returncode == code
    signed.unlink()
    half = len(body) // 1024 * 512  # the last piece is not larger
    pieces = [tmp_path / "b.tar.00", tmp_path / "b.tar.01"]
    for piece, part in zip(pieces, (body[: len(body) - half], body[len(body) - half :]), strict=True):
        piece.write_bytes(part)
    assert not is_known(pieces[0], tmp_path / "s", *proof)
    pieces[1].write_bytes(part[:-1] + b"x")
    refused = k0rdentd("load", pieces[0], "-s", tmp_path / "other", *proof)
    assert (refused.returncode, "does not fit" in refused.stderr) == (1, True), refused.stderr


def test_an_ed25519_key_says_that_it_cannot_check_a_pipe_or_pieces(tmp_path: Path) -> None:
    pair = key_pair(tmp_path, "ed25519")
    evidence = Evidence(str(pair.public), tmp_path / "b.tar.sig")
    write_tar(tmp_path / "b.tar.00", {})
    for bundle in (Path("-"), tmp_path / "b.tar.00", tmp_path / "b.tar"):
        with pytest.raises(KeyUnusable, match="signs a file as one and not its digest"):
            Check.open(bundle, evidence)


@dataclass(frozen=True)
class Pair:
    """Two bundles that no sample tells apart; `evil` has another first image, and nobody signed it."""

    good: Path
    evil: Path
    signature: Path
    key: Path

    def placed(self, bundle: Path, folder: Path) -> Path:
        """A copy of one of them, with the signature of the good one."""
        folder.mkdir()
        shutil.copy(self.signature, folder / "b.tar.gz.sig")
        return Path(shutil.copy(bundle, folder / "b.tar.gz"))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    others = {f"big{number}_1.tar": small_image(f"big{number}", SIZE) for number in range(5)}
    good, evil = small_image("first"), small_image("first")
    for size in range(0, 1_000_000, 50_000):  # until the image lies between two samples
        filler = Entry.file("filler.bin", os.urandom(size))
        paths = [pack(folder / name, filler, tree, others) for name, tree in (("good", good), ("evil", evil))]
        keys = {sampled(path) for path in paths}
        if len(keys) == 1:
            sign(paths[0], key_pair(folder))
            return Pair(paths[0], paths[1], folder / "good.sig", folder / "cosign.pub")
    pytest.fail("every place is in a sample")


def pack(path: Path, filler: Entry, first: Tree, others: dict[str, Tree]) -> Path:
    """Two gzip members: the checksum at the end of the file is not of the first image."""
    members = (oci_archive(tree).as_entry(name) for name, tree in {"first_1.tar": first, **others}.items())
    body = Archive((filler, *members)).to_bytes()
    cut = body.index(b"big0_1.tar\0")
    path.write_bytes(b"".join(gzip.compress(part, 0, mtime=0) for part in (body[:cut], body[cut:])))
    return path


def sampled(path: Path) -> str:
    with Source(path) as source:
        identity = identify(source, LoadSettings(path, (), 1), None)
    assert identity is not None
    return identity.key


@pytest.fixture(autouse=True)
def _checkpoints_close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "SECTION", 1 << 20)
    monkeypatch.setattr(inflate, "INTERVAL", 1 << 20)


def load(store: Store, bundle: Path, bundles: Pair, *, until_checkpoint: bool = False) -> list[Outcome]:
    """A load that verifies; one that is left as soon as the next one could go on."""
    settings = LoadSettings(bundle, (), 2, evidence=Evidence(str(bundles.key), bundle.with_name(bundle.name + ".sig")))
    told = []
    with Source(bundle) as source:
        running = Load(settings, source, store).outcomes()
        assert isinstance(running, Generator)
        with closing(running):
            for outcome in running:
                told.append(outcome)
                if until_checkpoint and checkpointed(store, bundle):
                    break
    assert not until_checkpoint or names(store) == []
    return told


def checkpointed(store: Store, bundle: Path) -> bool:
    head = Journals(store.index).head(sampled(bundle))
    return head is not None and head.get("checkpoint") is not None


def names(store: Store) -> list[str]:
    return [str(image.reference) for image in list_images(store)]


def test_a_load_that_verifies_goes_on_where_it_was_and_names_what_it_had_read_before(
    tmp_path: Path, store: Store, bundles: Pair
) -> None:
    path = bundles.placed(bundles.good, tmp_path / "one")
    load(store, path, bundles, until_checkpoint=True)
    told = load(store, path, bundles)
    assert {each.path for each in told if each.is_known and each.status is Status.LOADED} >= {"first_1.tar"}
    assert len(names(store)) == 6


def test_a_bundle_that_was_changed_where_it_is_loaded_already_is_refused(
    tmp_path: Path, store: Store, bundles: Pair
) -> None:
    load(store, bundles.placed(bundles.good, tmp_path / "one"), bundles, until_checkpoint=True)
    with pytest.raises(SignatureInvalid, match="does not fit this file"):
        load(store, bundles.placed(bundles.evil, tmp_path / "two"), bundles)
    assert names(store) == []


def test_what_an_interrupted_load_read_of_another_bundle_gets_no_name_by_the_signature_of_the_right_one(
    tmp_path: Path, store: Store, bundles: Pair
) -> None:
    load(store, bundles.placed(bundles.evil, tmp_path / "one"), bundles, until_checkpoint=True)
    good = bundles.placed(bundles.good, tmp_path / "two")
    load(store, good, bundles, until_checkpoint=True)  # nor by way of a third load
    with pytest.raises(SignatureInvalid, match="not what an interrupted load of it has read"):
        load(store, good, bundles)
    assert names(store) == []
    assert not any(each.is_known for each in load(store, good, bundles))
    assert len(names(store)) == 6
    first = next(image for image in list_images(store) if str(image.reference) == "first:1")
    evil = Store.open([tmp_path / "evil"])
    k0rdentd("load", bundles.evil, "-s", tmp_path / "evil", "--no-verify")
    assert first.digest not in {image.digest for image in list_images(evil) if str(image.reference) == "first:1"}
    evil.close()
