"""`k0rdentd store explain` and `store audit`: where images come from, told of real loads, pushes and copies."""

import base64
import hashlib
import json
from pathlib import Path

import httpx
import pytest

from bench.layout import index, oci_archive
from registry.oci.reference import RepositoryName, Tag
from registry.storage import keys
from registry.storage.store import Store
from tests.conformance.repository import Repository
from tests.conftest import k0rdentd, serving
from tests.e2e.users import ALICE, write_htpasswd
from tests.images import publish, small_image, write_tar
from tests.signing import key_pair


def explained(root: Path, ref: str) -> dict[str, object]:
    done = k0rdentd("store", "explain", ref, "-s", root, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, object] = json.loads(done.stdout)
    return document


def causes(root: Path, ref: str) -> list[dict[str, str]]:
    origin = explained(root, ref)["origin"]
    assert isinstance(origin, list)
    return [each["cause"] for each in origin]


def audited(root: Path, *options: str) -> tuple[int, dict[str, object]]:
    done = k0rdentd("store", "audit", "-s", root, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def change_behind_the_chain(root: Path) -> None:
    store = Store.open([root])
    with store.index.change() as change:
        change.rows.delete("tags", keys.tag_key(RepositoryName("app"), Tag("1")))
    store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = Store.open([tmp_path / "store"])
    publish(store, index([small_image("x"), small_image("y", arch="arm64")]), "app:1")
    store.close()
    return tmp_path / "store"


def test_a_name_that_is_not_there_is_told_with_where_to_look(root: Path, tmp_path: Path) -> None:
    for words in (("explain", "app:2"), ("export", "app:2", tmp_path / "o.tar"), ("explain", "ap:1")):
        done = k0rdentd("store", *words, "-s", root)
        assert done.returncode == 1
        assert done.stderr == f"k0rdentd: no image in the store is {words[1]}: see 'k0rdentd store ls'\n"


def test_a_copy_of_which_nothing_succeeds_does_not_say_that_the_others_did(root: Path, tmp_path: Path) -> None:
    done = k0rdentd("store", "copy", root, tmp_path / "copy", "app:2", "app:3")
    assert "2 of 2 images failed, nothing is copied" in done.stderr


def test_a_load_is_told_with_its_file_its_hash_and_its_signer(tmp_path: Path) -> None:
    root, pair = tmp_path / "store", key_pair(tmp_path)
    archives = {f"{name}_1.tar": oci_archive(small_image(name)) for name in ("app", "charts/app")}
    bundle = write_tar(tmp_path / "airgap-bundle-1.tar", archives)
    bundle.with_name(f"{bundle.name}.sig").write_bytes(base64.b64encode(pair.sign(bundle)))
    assert k0rdentd("load", bundle, "-s", root, "--no-verify", "--include", "app:*").returncode == 0
    ((unproven),) = causes(root, "app:1")
    assert (unproven["by"], unproven["bundle"], unproven["member"]) == ("load", bundle.name, "app_1.tar")
    assert not {"sha256", "signer"} & set(unproven)
    shown = k0rdentd("store", "explain", "app:1", "-s", root).stdout
    assert f"from    bundle {bundle.name}, " in shown
    assert "signature not checked" in shown
    for _ in range(2):  # the second time there is nothing new to tell
        assert k0rdentd("load", bundle, "-s", root, "--verify", "--cosign-key", pair.public).returncode == 0
    (proven,) = causes(root, "charts/app:1")
    assert proven["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert len(proven["signer"]) == 64
    first, confirmed = causes(root, "app:1")
    assert first == unproven
    assert (confirmed["sha256"], confirmed["signer"]) == (proven["sha256"], proven["signer"])
    shown = k0rdentd("store", "explain", "app:1", "-s", root).stdout
    assert f"also in bundle {bundle.name}, " in shown
    assert f"signed by key SHA-256 {proven['signer']}" in shown
    code, found = audited(root)
    assert (code, found["records"]) == (0, 4)


def test_a_push_a_delete_and_a_copy_are_told_with_who_did_it(tmp_path: Path) -> None:
    root, copied = tmp_path / "store", tmp_path / "copied"
    options = ("-s", root, "--workers", "1", "--htpasswd", write_htpasswd(tmp_path))
    with (
        serving(*options, log=tmp_path / "log") as server,
        httpx.Client(base_url=server.url, auth=(ALICE.name, ALICE.password)) as client,
    ):
        repository = Repository(server, client, "app")
        repository.push(small_image(), "1")
        repository.push(small_image(), "2")
        assert repository.request("DELETE", "manifests/2").status_code == 202
        source = f"http://{server.host}"
        done = k0rdentd("store", "copy", source, copied, "app:1")
        assert (done.returncode, done.stderr) == (0, "")
    alice = {"by": "client", "user": ALICE.name, "client": "127.0.0.1"}
    assert causes(root, "app:1") == [alice]
    gone = explained(root, "app:2")
    assert (gone["digest"], gone["origin"]) == (None, [])
    assert [(each["event"], each["cause"]) for each in gone["history"]] == [("set", alice), ("deleted", alice)]  # type: ignore[attr-defined]
    assert "is not here any more" in k0rdentd("store", "explain", "app:2", "-s", root).stdout
    (copy,) = causes(copied, "app:1")
    assert (copy["by"], copy["source"]) == ("copy", source)
    assert audited(root)[0] == audited(copied)[0] == 0


def test_explain_in_text_names_every_part(root: Path) -> None:
    document = explained(root, "app:1")
    lines = k0rdentd("store", "explain", "app:1", "-s", root).stdout.splitlines()
    assert lines[:2] == ["app:1", f"  digest  {document['digest']}"]
    for title in ("images", "blobs", "history"):
        assert f"  {title}" in lines
    parts = [*document["manifests"], *document["blobs"]]  # type: ignore[misc]
    assert len(parts) == 3 + 4
    assert [part for part in parts if not any(part["digest"] in line for line in lines)] == []
    by_digest = explained(root, f"app@{document['digest']}")
    assert {**by_digest, "image": "app:1"} == document
    assert k0rdentd("store", "explain", "app:none", "-s", root).returncode == 1
    assert k0rdentd("store", "explain", "app", "-s", root).returncode == 1


def test_audit_ends_with_1_where_the_chain_does_not_hold(root: Path) -> None:
    done = k0rdentd("store", "audit", "-s", root)
    assert (done.returncode, done.stderr) == (0, "")
    code, found = audited(root)
    assert (code, found["holds"], found["records"], found["tags"], found["noted"]) == (0, True, 2, 1, None)
    head = str(found["head"])
    assert done.stdout.splitlines()[1:] == [
        "the chain holds from first to last",
        "tags: 1, each is what the chain says",
        f"head: {head}",
    ]
    assert audited(root, "--head", head)[1]["noted"] == 2
    assert k0rdentd("store", "audit", "-s", root, "--head", "f00").returncode == 2
    code, found = audited(root, "--head", "0" * 64)
    assert (code, found["holds"], found["noted"]) == (1, False, 0)
    change_behind_the_chain(root)
    broken = k0rdentd("store", "audit", "-s", root, "--head", head)
    assert broken.returncode == 1
    assert "app:1 is no tag, and the chain says sha256:" in broken.stdout
    assert broken.stderr.startswith("k0rdentd: the history of this store does not hold")
