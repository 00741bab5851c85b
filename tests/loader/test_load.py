"""A bundle of any form goes in, every image comes out (the real command, a real store)."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import get_args

import pytest

from bench.archive import Archive, Entry, files
from bench.bundle import BundleSpec, Contents, Form
from bench.corpus import write_bundle
from bench.layout import (
    CHART_CONFIG,
    CHART_CONTENT,
    Blob,
    chart_archive,
    docker_archive,
    index,
    layer,
    manifest,
    oci_archive,
)
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.mediatype import OCI_LAYER, OCI_LAYER_GZIP
from registry.oci.reference import Reference
from registry.storage.listing import list_images
from registry.storage.store import Store
from tests.conftest import k0rdentd, listing
from tests.images import small_image, write_tar
from tests.signing import key_pair

SPEC = BundleSpec(size=4_000_000)


def blob_files(root: Path) -> dict[str, int]:
    """Every blob file's name, and its inode: a blob that is written again gets another."""
    return {path.name: path.stat().st_ino for path in (root / "blobs").rglob("*") if path.is_file()}


def load(bundle: Path, root: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return k0rdentd("load", bundle, "-s", root, "--progress", "plain", *options)


def wanted(contents: Contents) -> dict[str, str | None]:
    return {f"{member.repository}:{member.tag}": member.digest for member in contents.members}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("form", get_args(Form))
def test_every_image_of_every_form_is_there_and_complete(tmp_path: Path, form: Form, folder: bool) -> None:
    path = tmp_path / ("bundle" if form == "dir" else f"bundle.{form}")
    contents = write_bundle(BundleSpec(size=4_000_000, leading_folder=folder), path, form)
    done = load(path, tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")
    found = listing(tmp_path / "s")
    assert set(found) == set(wanted(contents))
    assert all(digest in (None, found[name]) for name, digest in wanted(contents).items())
    assert_complete(tmp_path / "s")
    assert list((tmp_path / "s" / "uploads").iterdir()) == []


def assert_complete(root: Path) -> None:
    """Every manifest of every image has every blob, of the right bytes."""
    store = Store.open([root], create=False)
    for image in list_images(store):
        waiting = [image.digest]
        while waiting:
            stored = store.get_manifest(image.reference.repository, waiting.pop())
            manifest = Manifest.parse(stored.body, stored.media_type)
            assert Digest.of(stored.body) == stored.digest
            waiting += [child.digest for child in manifest.children]
            for descriptor in manifest.blobs:
                blob = store.stat_blob(image.reference.repository, descriptor.digest)
                body = store.blobs.path(blob.root, blob.digest).read_bytes()
                assert (Digest.of(body), len(body)) == (descriptor.digest, descriptor.size)
    store.close()


@pytest.mark.parametrize("form", ["tar.gz", "tar"])
def test_a_second_load_finds_all_present_and_writes_nothing(tmp_path: Path, form: Form) -> None:
    path = tmp_path / f"b.{form}"
    contents = write_bundle(SPEC, path, form)
    load(path, tmp_path / "s")
    before = blob_files(tmp_path / "s")
    again = load(path, tmp_path / "s")
    assert again.returncode == 0
    assert f"{len(contents.members)} present" in again.stdout
    assert blob_files(tmp_path / "s") == before


def test_a_load_of_which_all_failed_does_not_speak_of_others(tmp_path: Path) -> None:
    broken = oci_archive(small_image())
    broken = Archive(tuple(entry for entry in broken.entries if "blobs" not in entry.name))
    done = load(write_tar(tmp_path / "b.tar", {"app_1.tar": broken}), tmp_path / "s")
    assert done.returncode == 1
    assert "1 of 1 members failed, nothing is loaded: " in done.stderr


def test_a_rerun_with_a_mended_bundle_loads_only_what_failed(tmp_path: Path) -> None:
    good, bad = oci_archive(small_image("good")), oci_archive(small_image("bad"))
    broken = Archive(tuple(entry for entry in bad.entries if entry.name != "index.json"))
    path = write_tar(tmp_path / "b.tar", {"good_1.tar": good, "bad_1.tar": broken})
    first = load(path, tmp_path / "s")
    assert (first.returncode, set(listing(tmp_path / "s"))) == (1, {"good:1"})
    assert "bad_1.tar: neither an OCI layout" in first.stderr
    write_tar(path, {"good_1.tar": good, "bad_1.tar": bad})
    second = load(path, tmp_path / "s")
    assert second.returncode == 0
    assert "[1/2] present good:1" in second.stdout
    assert "[2/2] loaded bad:1" in second.stdout


def test_a_blob_that_many_images_hold_is_written_once(tmp_path: Path) -> None:
    shared = layer(files({"base": bytes(100_000)}))
    trees = [small_image(), index([small_image("a")])]
    archives = {f"i{n}_1.tar": docker_archive([shared], "x:1") for n in range(3)}
    archives |= {f"t{n}_1.tar": oci_archive(tree) for n, tree in enumerate(trees)}
    path = write_tar(tmp_path / "b.tar", archives)
    assert load(path, tmp_path / "s").returncode == 0
    assert len(blob_files(tmp_path / "s")) == 2 + 2 + 2


def test_several_roots_share_the_blobs(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    write_bundle(SPEC, path, "tar.gz")
    roots = [tmp_path / "one", tmp_path / "two"]
    assert k0rdentd("load", path, "-s", roots[0], "-s", roots[1]).returncode == 0
    assert all(blob_files(root) for root in roots)
    assert listing(*roots)


def test_a_docker_archive_becomes_an_oci_image(tmp_path: Path) -> None:
    layers = [layer(files({"a": b"a" * 5000})), layer(files({"b": b"b"}))]
    path = write_tar(
        tmp_path / "b.tar", {"skopeo_v1.17.0.tar": docker_archive(layers, "docker.io/library/skopeo:v1.17.0")}
    )
    assert load(path, tmp_path / "s").returncode == 0
    digests = [described(tmp_path / "s", "skopeo:v1.17.0")]
    assert digests == [[(OCI_LAYER, each.diff_id) for each in layers]]


def described(root: Path, name: str) -> list[tuple[str, str]]:
    reference = Reference.parse(name)
    store = Store.open([root], create=False)
    stored = store.get_manifest(reference.repository, reference.tag)
    store.close()
    return [(each.media_type, str(each.digest)) for each in Manifest.parse(stored.body, stored.media_type).layers]


def renamed(archive: Archive, contents: dict[str, Entry]) -> Archive:
    return Archive(tuple(contents.get(entry.name, entry) for entry in archive.entries))


def test_a_docker_archive_with_packed_layers_keeps_them_packed(tmp_path: Path) -> None:
    one = layer(files({"a": b"a" * 5000}))
    archive = docker_archive([one], "x:1")
    name = f"{one.diff_id[7:]}.tar"
    packed = renamed(archive, {name: Entry(name, one.blob.content, one.blob.size)})
    assert load(write_tar(tmp_path / "b.tar", {"x_1.tar": packed}), tmp_path / "s").returncode == 0
    assert described(tmp_path / "s", "x:1") == [(OCI_LAYER_GZIP, one.blob.digest)]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_a_docker_archive_whose_layer_is_a_link_inside_it_is_whole(tmp_path: Path, kind: bytes) -> None:
    one = layer(files({"a": b"a"}))
    archive = docker_archive([one], "x:1")
    entries = [entry for entry in archive.entries if entry.name != "manifest.json"]
    link = next(entry.name for entry in entries if entry.name.endswith("/layer.tar"))
    if kind == tarfile.LNKTYPE:
        target = next(entry.name for entry in entries if entry.name.endswith(".tar") and entry.name != link)
        entries = [Entry.link(link, target, kind) if entry.name == link else entry for entry in entries]
    config = next(entry.name for entry in entries if entry.name.endswith(".json"))
    listed = json.dumps([{"Config": config, "RepoTags": None, "Layers": [link]}]).encode()
    linked = Archive((*entries, Entry.file("manifest.json", listed)))
    assert load(write_tar(tmp_path / "b.tar", {"x_1.tar": linked}), tmp_path / "s").returncode == 0


def test_a_docker_archive_with_a_wrong_layer_is_refused(tmp_path: Path) -> None:
    one, other = layer(files({"a": b"a"})), layer(files({"a": b"b"}))
    name = f"{one.diff_id[7:]}.tar"
    wrong = renamed(docker_archive([one], "x:1"), {name: Entry(name, other.plain, other.plain.size)})
    done = load(write_tar(tmp_path / "b.tar", {"x_1.tar": wrong}), tmp_path / "s")
    assert (done.returncode, listing(tmp_path / "s")) == (1, {})
    assert "does not unpack to" in done.stderr


def test_the_archive_helps_to_split_a_name_with_several_underscores(tmp_path: Path) -> None:
    archives = {
        "charts/plus_1.0.0_b1.tar": chart_archive("plus", "1.0.0+b1"),
        "app_2_0.tar": oci_archive(small_image(), {"org.opencontainers.image.ref.name": "quay.io/x/app:2_0"}),
        "last_one_3.tar": oci_archive(small_image()),
    }
    assert load(write_tar(tmp_path / "b.tar", archives), tmp_path / "s").returncode == 0
    assert set(listing(tmp_path / "s")) == {"charts/plus:1.0.0_b1", "app:2_0", "last_one:3"}


def test_a_name_is_split_alike_where_the_store_has_the_charts_config(tmp_path: Path) -> None:
    about = Blob.of_json({"apiVersion": "v2", "name": "plus", "version": "1.0.0+b1"}, CHART_CONFIG)
    content = Blob.of((b"of the chart",), CHART_CONTENT)
    chart = manifest(about, [content.descriptor()], [content])
    path = write_tar(tmp_path / "b.tar", {"charts/plus_1.0.0_b1.tar": oci_archive(chart)})
    for _ in range(2):
        assert load(path, tmp_path / "s", "--force").returncode == 0
        assert set(listing(tmp_path / "s")) == {"charts/plus:1.0.0_b1"}


@pytest.fixture
def three(tmp_path: Path) -> Path:
    archives = {f"{name}.tar": oci_archive(small_image(name)) for name in ("charts/a_1", "charts/b_2", "c_3")}
    return write_tar(tmp_path / "three.tar", archives)


def test_a_selection_that_fits_nothing_is_no_success(tmp_path: Path, three: Path) -> None:
    done = load(three, tmp_path / "s", "--include", "chart/*")
    assert (done.returncode, "3 excluded" in done.stdout) == (1, True)
    assert "nothing in" in done.stderr
    assert "bundle inspect" in done.stderr


def test_include_exclude_and_prefix_choose_and_name(tmp_path: Path, three: Path) -> None:
    done = load(three, tmp_path / "s", "--include", "site/charts/*", "--exclude", "*:2", "--prefix", "site")
    assert done.returncode == 0
    assert set(listing(tmp_path / "s")) == {"site/charts/a:1"}
    assert len(blob_files(tmp_path / "s")) == 2
    assert "1 loaded, 2 excluded" in done.stdout


@pytest.mark.parametrize("prefix", ["Site", "a b", "a//b", "/"])
def test_a_prefix_that_can_name_nothing_is_told_before_anything_is_read(tmp_path: Path, prefix: str) -> None:
    done = k0rdentd("load", tmp_path / "none.tar", "-s", tmp_path / "s", "--prefix", prefix)
    assert (done.returncode, "cannot begin the name of a repository" in done.stderr) == (2, True)


def test_components_are_stripped_as_told(tmp_path: Path, three: Path) -> None:
    load(three, tmp_path / "s", "--strip-components", "1")
    assert set(listing(tmp_path / "s")) == {"a:1", "b:2", "c:3"}


def test_a_dry_run_tells_all_and_does_nothing(tmp_path: Path, three: Path) -> None:
    done = load(three, tmp_path / "s", "--dry-run", "--exclude", "c:*")
    assert done.returncode == 0
    assert "charts/a:1" in done.stdout
    assert "c:3" not in done.stdout
    assert "2 images and charts" in done.stdout
    assert not (tmp_path / "s").exists()


def test_a_dry_run_reports_what_would_become_of_each_member(tmp_path: Path, three: Path) -> None:
    with tarfile.open(three, "a") as tar:
        tar.addfile(tarfile.TarInfo("broken_1.tar"))
    done = load(three, tmp_path / "s", "--dry-run", "--exclude", "c:*", "--report", tmp_path / "r.json")
    assert done.returncode == 0
    document = json.loads((tmp_path / "r.json").read_text())
    assert (document["bundle"], document["dry_run"]) == (str(three), True)
    assert {each["path"]: each["outcome"] for each in document["members"]} == {
        "charts/a_1.tar": "would load",
        "charts/b_2.tar": "would load",
        "c_3.tar": "excluded",
        "broken_1.tar": "would fail",
    }


def test_a_report_replaces_an_older_one_whole_or_not_at_all(tmp_path: Path, three: Path) -> None:
    older, link = tmp_path / "older.json", tmp_path / "r.json"
    older.write_text("older\n")
    link.symlink_to(older)
    command = (sys.executable, "-B", "-m", "installer.command", "load", three, "--dry-run", "--report", link)
    done = subprocess.run(("prlimit", "--fsize=100", *command), capture_output=True, text=True, check=False)
    assert (done.returncode, "no space for" in done.stderr, older.read_text()) == (4, True, "older\n"), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["older.json", "r.json", "three.tar"]
    subprocess.run(command, check=True)
    assert link.is_symlink()
    assert len(json.loads(older.read_text())["members"]) == 3


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_a_report_goes_to_standard_output_which_stays_what_it_is(tmp_path: Path, three: Path, name: str) -> None:
    command = (sys.executable, "-m", "installer.command", "load", three, "--dry-run", "--report", name)
    with (tmp_path / "log").open("a") as log:
        subprocess.run(command, stdout=log, check=True)
    said = (tmp_path / "log").read_text()
    assert "3 images and charts" in said
    assert len(json.loads(said[said.index("{") : said.rindex("}") + 1])["members"]) == 3
    assert Path("/dev/stdout").is_symlink()


def test_progress_as_json_is_monotone_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    contents = write_bundle(SPEC, path, "tar.gz")
    done = k0rdentd("load", path, "-s", tmp_path / "s", "--progress", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["index"] for line in lines] == list(range(1, len(contents.members) + 1))
    positions = [line["position"] for line in lines]
    assert positions == sorted(positions)
    assert positions[-1] <= lines[-1]["bundle_size"] == path.stat().st_size
    assert {line["image"] for line in lines} == set(wanted(contents))


def test_the_report_holds_every_outcome(tmp_path: Path, three: Path) -> None:
    load(three, tmp_path / "s", "--exclude", "c:*", "--report", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    outcomes = {member["path"]: member["outcome"] for member in report["members"]}
    assert outcomes == {"charts/a_1.tar": "loaded", "charts/b_2.tar": "loaded", "c_3.tar": "excluded"}
    assert report["bundle"] == str(three)


def test_a_report_that_nobody_can_write_is_told_before_anything_is_loaded(tmp_path: Path, three: Path) -> None:
    done = k0rdentd("load", three, "-s", tmp_path / "s", "--report", tmp_path / "none" / "r.json")
    assert (done.returncode, f"{tmp_path}/none is no directory" in done.stderr) == (2, True)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 2, "cannot open the bundle"),
        (b"", 1, "it has 0 bytes"),
        (bytes(1024), 1, "no image or chart"),
        (b"text" * 500, 1, "not a tar"),
        (b"\x1f\x8bxx", 1, "damaged"),
    ],
)
def test_what_is_no_bundle_is_one_clear_sentence(tmp_path: Path, content: bytes | None, code: int, said: str) -> None:
    path = tmp_path / "b.tar.gz"
    if content is not None:
        path.write_bytes(content)
    done = load(path, tmp_path / "s")
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert str(path) in done.stderr


def test_an_index_json_with_several_images_is_refused(tmp_path: Path) -> None:
    one, two = oci_archive(small_image("1")), oci_archive(small_image("2"))
    documents = [json.loads(b"".join(a.entries[-2].content))["manifests"][0] for a in (one, two)]
    listed = Entry.file("index.json", json.dumps({"schemaVersion": 2, "manifests": documents}).encode())
    both = Archive((*one.entries[:-2], *two.entries[:-2], listed))
    done = load(write_tar(tmp_path / "b.tar", {"x_1.tar": both}), tmp_path / "s")
    assert "lists 2 images" in done.stderr


@pytest.mark.parametrize("options", [(), ("--verify",)], ids=["unverified", "verified"])
@pytest.mark.parametrize("kind", ["layer", "config"])
def test_an_image_of_which_a_blob_was_lost_is_told_as_mended(
    tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    good, bad = small_image("good"), small_image("bad")
    archives = {"good_1.tar": oci_archive(good), "bad_1.tar": oci_archive(bad)}
    path = write_tar(tmp_path / "b.tar", archives)
    if options:
        pair = key_pair(tmp_path)
        (tmp_path / "b.tar.sig").write_bytes(pair.sign(path))
        options = (*options, "--cosign-key", str(pair.public))
    assert "2 loaded" in load(path, tmp_path / "s", *options).stdout
    lost = next(Digest.parse(blob.digest) for blob in bad.below if kind in blob.media_type)
    (place,) = (tmp_path / "s" / "blobs").rglob(lost.hex)
    place.unlink()
    again = load(path, tmp_path / "s", *options)
    assert "present good:1" in again.stdout
    assert "mended bad:1" in again.stdout
    assert place.exists()
    assert "2 present" in load(path, tmp_path / "s", *options).stdout
