"""A load names nothing before the bundle's signature holds, whatever is wrong with it."""

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import pytest
import zstandard

from bench.archive import Archive
from bench.bundle import BundleSpec, Form
from bench.corpus import write_bundle
from bench.layout import chart_archive, oci_archive
from loader.signer import Signer
from registry.storage import loads
from registry.storage.store import Store
from tests.conftest import k0rdentd, listing, serving
from tests.images import small_image, write_tar
from tests.signing import KeyPair, key_pair

SPEC = BundleSpec(size=4_000_000)


class Signed(NamedTuple):
    """A bundle, its key, and the images in it."""

    path: Path
    pair: KeyPair
    images: int


def sign(path: Path, pair: KeyPair) -> None:
    path.with_name(path.name + ".sig").write_bytes(base64.b64encode(pair.sign(path)) + b"\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("signed")
    path, pair = folder / "b.tar.gz", key_pair(folder)
    contents = write_bundle(SPEC, path, "tar.gz")
    sign(path, pair)
    return Signed(path, pair, len(contents.members))


@pytest.fixture
def signed(made: Signed, tmp_path: Path) -> Signed:
    for path in (made.path, made.path.with_name("b.tar.gz.sig"), made.pair.public, made.pair.private):
        shutil.copy(path, tmp_path)
    return Signed(tmp_path / "b.tar.gz", KeyPair(tmp_path / "cosign.key", tmp_path / "cosign.pub"), made.images)


def load(signed: Signed, root: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    given = ("--verify", "--cosign-key", signed.pair.public)
    return k0rdentd("load", signed.path, "-s", root, "--progress", "plain", *given, *options)


def assert_refused(done: subprocess.CompletedProcess[str], root: Path, *said: str, code: int = 1) -> None:
    """One clear sentence, and nothing is served."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("k0rdentd: ")
    assert done.stderr.count("\n") == 1
    assert "internal error" not in done.stderr
    assert [part for part in said if part not in done.stderr] == []
    if root.exists():
        assert listing(root) == {}
        assert list((root / "uploads").iterdir()) == []


@pytest.mark.parametrize("form", [form for form in get_args(Form) if form != "dir"])
def test_a_signed_bundle_of_every_form_loads(tmp_path: Path, form: Form) -> None:
    path, pair = tmp_path / f"b.{form}", key_pair(tmp_path)
    contents = write_bundle(SPEC, path, form)
    sign(path, pair)
    done = load(Signed(path, pair, 0), tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(listing(tmp_path / "s")) == len(contents.members)
    assert f"file SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}" in done.stdout


def test_a_verified_load_ends_like_one_that_is_not(tmp_path: Path, signed: Signed) -> None:
    verified = load(signed, tmp_path / "one", "--report", tmp_path / "one.json")
    other = k0rdentd("load", signed.path, "-s", tmp_path / "two", "--report", tmp_path / "two.json", "--no-verify")
    assert (verified.returncode, other.returncode) == (0, 0)
    assert listing(tmp_path / "one") == listing(tmp_path / "two")
    members = [json.loads((tmp_path / name).read_text())["members"] for name in ("one.json", "two.json")]
    assert members[0] == members[1]


def test_each_member_is_told_when_it_is_read_and_when_it_is_named(tmp_path: Path, signed: Signed) -> None:
    lines = load(signed, tmp_path / "s").stdout.splitlines()
    for word in ("read", "loaded"):
        assert sum(f"] {word} " in line for line in lines) == signed.images
    again = load(signed, tmp_path / "s")
    assert f"{signed.images} present" in again.stdout


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
@pytest.mark.parametrize("place", ["head", "middle", "end"])
def test_one_flipped_bit_anywhere_is_refused(tmp_path: Path, form: Form, place: str) -> None:
    path, pair = tmp_path / f"b.{form}", key_pair(tmp_path)
    write_bundle(SPEC, path, form)
    sign(path, pair)
    body = bytearray(path.read_bytes())
    body[{"head": 3, "middle": len(body) // 2, "end": len(body) - 1}[place]] ^= 4
    path.write_bytes(body)
    refused = load(Signed(path, pair, 0), tmp_path / "s")
    assert_refused(refused, tmp_path / "s", str(path), str(pair.public), hashlib.sha256(body).hexdigest())


def appended(body: bytes) -> bytes:
    return body + b"x"


def with_a_second_member(body: bytes) -> bytes:
    return body + gzip.compress(b"more")


def cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def cut_by_a_byte(body: bytes) -> bytes:
    return body[:-1]


@pytest.mark.parametrize("damage", [appended, with_a_second_member, cut, cut_by_a_byte])
def test_a_longer_or_shorter_bundle_is_refused(
    tmp_path: Path, signed: Signed, damage: Callable[[bytes], bytes]
) -> None:
    signed.path.write_bytes(damage(signed.path.read_bytes()))
    assert_refused(load(signed, tmp_path / "s"), tmp_path / "s", "does not fit this file")


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.zst"])
def test_what_lies_behind_the_archive_is_signed_too(tmp_path: Path, form: str) -> None:
    """Bytes that no loader needs to read, and that nobody may change all the same."""
    pair = key_pair(tmp_path)
    plain = write_tar(tmp_path / "plain.tar", {"a_1.tar": oci_archive(small_image())}).read_bytes()
    rest = bytes(20_000)
    packed = {
        "tar": plain + rest,
        "tar.gz": gzip.compress(plain) + rest,
        "tar.zst": zstandard.compress(plain) + zstandard.compress(rest),
    }
    path = tmp_path / f"b.{form}"
    path.write_bytes(packed[form])
    sign(path, pair)
    good = load(Signed(path, pair, 0), tmp_path / "good")
    assert good.returncode == 0, good.stderr
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert_refused(load(Signed(path, pair, 0), tmp_path / "s"), tmp_path / "s", "does not fit")


def test_the_signature_of_another_file_is_refused(tmp_path: Path, signed: Signed) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    sign(other, signed.pair)
    refused = load(signed, tmp_path / "s", "--cosign-signature", tmp_path / "other.sig")
    assert_refused(refused, tmp_path / "s", "other.sig does not fit", str(signed.path))


def test_another_key_is_refused_and_named(tmp_path: Path, signed: Signed) -> None:
    other = key_pair(tmp_path, name="other")
    assert_refused(load(Signed(signed.path, other, 0), tmp_path / "s"), tmp_path / "s", "other.pub has SHA-256")


@pytest.mark.parametrize("text", [b"", b"garbage\n"])
def test_a_file_that_is_no_signature_is_refused(tmp_path: Path, signed: Signed, text: bytes) -> None:
    signed.path.with_name("b.tar.gz.sig").write_bytes(text)
    assert_refused(load(signed, tmp_path / "s"), tmp_path / "s", "b.tar.gz.sig")


def test_a_private_key_given_by_mistake_is_told(tmp_path: Path, signed: Signed) -> None:
    mistaken = signed._replace(pair=KeyPair(signed.pair.private, signed.pair.private))
    assert_refused(load(mistaken, tmp_path / "s"), tmp_path / "s", "cosign.key is a private key", code=2)


def test_a_refused_bundle_leaves_older_images_as_they_were(tmp_path: Path, signed: Signed) -> None:
    seed = write_tar(tmp_path / "seed.tar", {"seed_1.tar": oci_archive(small_image())})
    assert k0rdentd("load", seed, "-s", tmp_path / "s", "--no-verify").returncode == 0
    before = listing(tmp_path / "s")
    signed.path.write_bytes(appended(signed.path.read_bytes()))
    assert load(signed, tmp_path / "s").returncode == 1
    assert listing(tmp_path / "s") == before


def test_with_the_right_key_a_load_goes_on_with_what_the_refused_one_brought(tmp_path: Path, signed: Signed) -> None:
    assert load(signed._replace(pair=key_pair(tmp_path, name="other")), tmp_path / "s").returncode == 1
    brought = blob_files(tmp_path / "s")
    assert load(signed, tmp_path / "s").returncode == 0
    assert blob_files(tmp_path / "s") == brought
    assert len(listing(tmp_path / "s")) == signed.images


def blob_files(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (root / "blobs").rglob("*") if path.is_file()}


def test_of_a_signed_bundle_with_a_broken_member_the_others_load(tmp_path: Path) -> None:
    pair = key_pair(tmp_path)
    members = {
        "good_1.tar": oci_archive(small_image()),
        "bad_1.tar": Archive(()),
        "é_1.tar": oci_archive(small_image()),
    }
    path = write_tar(tmp_path / "b.tar", members)
    sign(path, pair)
    done = load(Signed(path, pair, 0), tmp_path / "s", "--exclude", "x:*")
    assert done.returncode == 1
    assert "2 of 3 members failed" in done.stderr
    assert set(listing(tmp_path / "s")) == {"good:1"}


def test_a_selection_holds_for_a_verified_load_too(tmp_path: Path) -> None:
    pair = key_pair(tmp_path)
    members = {f"{name}_1.tar": oci_archive(small_image(name)) for name in ("a", "b")}
    members["charts/plus_1_0.tar"] = chart_archive("plus", "1+0")
    path = write_tar(tmp_path / "b.tar", members)
    sign(path, pair)
    done = load(Signed(path, pair, 0), tmp_path / "s", "--exclude", "b:*", "--exclude", "charts/plus:1_0")
    assert done.returncode == 0
    assert set(listing(tmp_path / "s")) == {"a:1"}
    assert "1 loaded, 2 excluded" in done.stdout


def test_where_the_images_come_from_is_remembered(tmp_path: Path) -> None:
    pair = key_pair(tmp_path)
    path = write_tar(
        tmp_path / "b.tar", {"charts/k0rdent-enterprise_1.2.3.tar": chart_archive("k0rdent-enterprise", "1.2.3")}
    )
    sign(path, pair)
    assert load(Signed(path, pair, 0), tmp_path / "s").returncode == 0
    origin = load_state(tmp_path / "s", path)["origin"]
    assert isinstance(origin, dict)
    assert (origin["file"], origin["size"], origin["version"]) == ("b.tar", path.stat().st_size, "1.2.3")
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(origin["signer"]) == 64
    assert origin["begun"].endswith("+00:00")


def test_a_refused_load_is_remembered_as_such(tmp_path: Path, signed: Signed) -> None:
    signed.path.write_bytes(appended(signed.path.read_bytes()))
    load(signed, tmp_path / "s")
    state = load_state(tmp_path / "s", signed.path)
    assert state["state"] == "refused"
    assert "sha256" not in str(state)


def load_state(root: Path, bundle: Path) -> dict[str, object]:
    store = Store.open([root], create=False)
    with store.snapshot() as snapshot:
        state = loads.load_state(snapshot, str(bundle))
    store.close()
    assert state is not None
    return state


def test_a_registry_verifies_the_bundle_that_it_loads(tmp_path: Path, signed: Signed) -> None:
    import httpx

    options = ("-s", tmp_path / "s", "-b", signed.path, "--verify", "--cosignKey", signed.pair.public)
    with serving(*options, log=tmp_path / "log", wait_for="/readyz") as server:
        assert httpx.get(f"{server.url}/v2/_catalog").json()["repositories"]
    assert "the signature holds" in (tmp_path / "log").read_text()


def test_a_registry_whose_bundle_is_refused_serves_none_of_it_and_says_so(tmp_path: Path, signed: Signed) -> None:
    import time

    import httpx

    signed.path.write_bytes(appended(signed.path.read_bytes()))
    options = ("-s", tmp_path / "s", "-b", signed.path, "--verify", "--cosign-key", signed.pair.public)
    with serving(*options, log=tmp_path / "log") as server:
        deadline = time.monotonic() + 30
        while not httpx.get(f"{server.url}/readyz").text.endswith("refused\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert httpx.get(f"{server.url}/v2/_catalog").json()["repositories"] == []
        assert (
            f'k0rdentd_load_state{{bundle="{signed.path}",state="refused"}} 1'
            in httpx.get(f"{server.url}/metrics").text
        )


def test_a_bundle_is_verified_alone(signed: Signed) -> None:
    done = k0rdentd("bundle", "verify", signed.path, "--cosign-key", signed.pair.public)
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256(signed.path.read_bytes()).hexdigest() in done.stdout
    assert done.stdout.endswith("b.tar.gz.sig: OK\n")
    signed.path.write_bytes(appended(signed.path.read_bytes()))
    bad = k0rdentd("bundle", "verify", signed.path, "--cosign-key", signed.pair.public)
    assert bad.returncode == 1
    assert bad.stdout == ""
    fingerprint = Signer.load(str(signed.pair.public)).fingerprint
    for digest in (hashlib.sha256(signed.path.read_bytes()).hexdigest(), fingerprint):
        assert bad.stderr.count(digest) == 1
    assert "does not fit this file and this key" in bad.stderr
