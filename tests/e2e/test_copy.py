"""`store copy` between stores, registries of ours and registries of others: byte for byte, with what refers to it."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.layout import artifact, chart, index
from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.storage.store import Image, Store
from tests.conftest import k0rdentd, listing, serving
from tests.e2e.foreign import docker_registry
from tests.e2e.users import ALICE, write_htpasswd
from tests.faults.contents import assert_same_store
from tests.images import as_image, publish, small_image

pytestmark = pytest.mark.client

IMAGES = 7
APP = RepositoryName("app")


@dataclass(frozen=True)
class Filled:
    """A store with an image of every kind; `subject` is the image that a signature names, which has no tag."""

    root: Path
    subject: Digest
    signature: Digest


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    root = tmp_path_factory.mktemp("copy") / "source"
    store = Store.open([root])
    app = small_image(size=3_000_000)
    for name in ("app:1", "app:stable", "other/app:1"):
        publish(store, app, name)
    publish(store, index([index([small_image(), small_image(arch="arm64")]), app]), "multi/nested:1")
    publish(store, chart("c", "1.0"), "charts/c:1.0")
    publish(store, artifact({"empty": b"", "large": bytes(1_500_000)}), "capi/components:v1")
    publish(store, small_image(), "zero:1")
    signature = as_image(store, small_image(subject=app.root.descriptor(), annotations={"kind": "signature"}), "app:x")
    store.publish(signature)
    with store.snapshot() as snapshot:
        assert snapshot.has_manifest(signature.reference.repository, signature.root)
    store.delete_manifest(signature.reference.repository, signature.reference.tag)
    store.close()
    return Filled(root, Digest.parse(app.root.digest), signature.root)


def copy(*arguments: str | Path, stdin: str | None = None) -> str:
    copied = k0rdentd("store", "copy", *arguments, **({} if stdin is None else {"input": stdin}))
    assert (copied.returncode, copied.stderr) == (0, "")
    return copied.stdout


def referrers(root: Path, filled: Filled) -> list[Digest]:
    store = Store.open([root], create=False)
    found = store.list_referrers(APP, filled.subject)
    store.close()
    return [descriptor.digest for descriptor in found]


def assert_same(root: Path, source: Filled) -> None:
    assert_same_store(root, source.root)
    assert referrers(root, source) == [source.signature]


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[str]:
    with docker_registry(tmp_path) as host:
        yield host


def test_a_store_is_copied_to_a_store_and_the_second_time_nothing_is_sent(source: Filled, tmp_path: Path) -> None:
    first = copy(source.root, tmp_path / "copy")
    assert len(re.findall(rf"^\[\d/{IMAGES}\] copied ", first, re.MULTILINE)) == IMAGES
    assert_same(tmp_path / "copy", source)
    again = copy(source.root, tmp_path / "copy")
    assert f"{IMAGES} present: 0 B sent" in again


def test_a_store_comes_back_from_a_foreign_registry_byte_for_byte(source: Filled, foreign: str, tmp_path: Path) -> None:
    copy(source.root, f"docker://{foreign}/mirror/site")
    copy(f"http://{foreign}/mirror/site", tmp_path / "back")
    assert_same(tmp_path / "back", source)
    assert f"{IMAGES} present: 0 B sent" in copy(source.root, f"docker://{foreign}/mirror/site")


def test_a_blob_that_several_repositories_have_crosses_the_wire_once(source: Filled, foreign: str) -> None:
    (size,) = re.findall(r": ([0-9.]+) MB sent", copy(source.root, f"http://{foreign}", "--no-referrers"))
    blobs = sum(path.stat().st_size for path in (source.root / "blobs").rglob("*") if path.is_file())
    assert float(size) * 1_000_000 <= blobs


def test_one_registry_is_copied_to_another(source: Filled, foreign: str, tmp_path: Path) -> None:
    with serving("-s", tmp_path / "ours", "--push", "anonymous", log=tmp_path / "log") as server:
        copy(source.root, f"http://{foreign}")
        copy(f"http://{foreign}", f"docker://{server.host}", "--ca-file", tmp_path / "ours" / "pki" / "ca.crt")
        assert "Traceback" not in server.log.read_text()
    assert_same(tmp_path / "ours", source)


def test_only_what_is_asked_for_is_copied(source: Filled, foreign: str, tmp_path: Path) -> None:
    globs = ("--include", "app:*", "--include", "charts/*", "--exclude", "*:stable", "--no-referrers")
    copy(source.root, tmp_path / "some", *globs)
    assert set(listing(tmp_path / "some")) == {"app:1", "charts/c:1.0"}
    assert referrers(tmp_path / "some", source) == []
    copy(source.root, f"http://{foreign}", "charts/c:1.0", f"app@{source.subject}")
    copy(f"http://{foreign}", tmp_path / "named", "charts/c:1.0", f"app@{source.subject}")
    assert set(listing(tmp_path / "named")) == {"charts/c:1.0"}
    assert referrers(tmp_path / "named", source) == [source.signature]


def test_an_image_that_fails_is_told_and_the_others_are_copied(source: Filled, tmp_path: Path) -> None:
    failed = k0rdentd("store", "copy", source.root, tmp_path / "copy", "app:1", "app:nowhere", "zero:1")
    assert failed.returncode == 1
    assert "app:nowhere: manifest unknown to registry" in failed.stderr
    assert "1 of 3 images failed, the others are copied" in failed.stderr
    assert set(listing(tmp_path / "copy")) == {"app:1", "zero:1"}


def test_a_sparse_index_comes_without_what_the_source_does_not_have(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "sparse"])
    there, elsewhere = small_image(), small_image(arch="arm64")
    whole = as_image(store, index([there, elsewhere]), "multi:1")
    absent = Digest.parse(elsewhere.root.digest)
    kept = tuple((digest, manifest) for digest, manifest in whole.manifests if digest != absent)
    store.publish(Image(whole.reference, whole.root, kept, whole.blobs))
    store.close()
    assert f"({absent} is listed, and not there)" in copy(tmp_path / "sparse", tmp_path / "copy")
    assert listing(tmp_path / "copy") == listing(tmp_path / "sparse")


def guarded_options(folder: Path) -> tuple[str | Path, ...]:
    options = ("--htpasswd", write_htpasswd(folder), "--pull", "authenticated")
    return ("-s", folder / "guarded", *options)


def test_users_copy_with_a_token_from_a_password_file_from_stdin_and_with_an_authfile(
    source: Filled, tmp_path: Path
) -> None:
    password, authfile = tmp_path / "password", tmp_path / "auth.json"
    password.write_text(f"{ALICE.password}\n")
    with serving(*guarded_options(tmp_path), log=tmp_path / "log") as server:
        auth = b64encode(ALICE.credentials.encode()).decode()
        authfile.write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))
        refused = k0rdentd("store", "copy", server.url, tmp_path / "nothing")
        assert (refused.returncode, "authentication required" in refused.stderr) == (1, True)
        password.write_text("wrong")
        user = ("--username", ALICE.name, "--password-file", password)
        refused = k0rdentd("store", "copy", source.root, server.url, *user)
        assert (refused.returncode, "wrong" in refused.stderr) == (1, False)
        password.write_text(f"{ALICE.password}\n")
        copy(source.root, server.url, *user)
        copy(server.url, tmp_path / "back", "--authfile", authfile)
        piped = ("--username", ALICE.name, "--password-file", "-")
        copy(server.url, tmp_path / "piped", *piped, stdin=f"{ALICE.password}\n")
    assert_same(tmp_path / "back", source)
    assert_same(tmp_path / "piped", source)


def test_users_of_a_foreign_registry_are_asked_for_a_password_itself(source: Filled, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(ALICE.password)
    user = ("--username", ALICE.name, "--password-file", password)
    with docker_registry(tmp_path, write_htpasswd(tmp_path)) as host:
        assert k0rdentd("store", "copy", source.root, f"http://{host}").returncode == 1
        copy(source.root, f"http://{host}", *user)
        copy(f"http://{host}", tmp_path / "back", *user)
    assert_same(tmp_path / "back", source)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("http://192.0.2.1/x", "store"), "not encrypted", 2),
        (("https://alice:secret@host/x", "store"), "--password-file", 2),
        (("http://127.0.0.1:1", "store"), "does not answer", 1),
        (("nowhere", "http://127.0.0.1:1"), "no store at", 2),
        (("store", "http://127.0.0.1:1", "--username", "alice"), "belong together", 2),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], said: str, code: int
) -> None:
    Store.open([tmp_path / "store"]).close()
    refused = k0rdentd("store", "copy", *arguments, cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (code, 1)
    assert said in refused.stderr
    assert "secret" not in refused.stderr
