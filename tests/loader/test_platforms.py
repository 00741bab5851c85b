"""One platform of a bundle: indexes keep their bytes, what is for others stays out, and may come later."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import (
    CONFIG,
    Blob,
    Tree,
    artifact,
    chart_archive,
    docker_archive,
    index,
    layer,
    manifest,
    oci_archive,
)
from tests.conftest import k0rdentd, listing, serving
from tests.e2e.clients import attempt, run
from tests.images import small_image, write_tar
from tests.loader.test_load import blob_files, load


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    both = index([small_image("amd"), small_image("arm", arch="arm64")])
    archives = {
        "both_1.tar": oci_archive(both),
        "arm_1.tar": oci_archive(small_image("only", arch="arm64")),
        "armindex_1.tar": oci_archive(index([small_image("alone", arch="arm64")])),
        "armdocker_1.tar": docker_archive([layer(files({"a": b"a"}))], "x:1", arch="arm64"),
        "amd_1.tar": oci_archive(small_image("amdonly")),
        "file_1.tar": oci_archive(artifact({"a": b"b"})),
        "charts/c_1.0.0.tar": chart_archive("c", "1.0.0"),
    }
    path = write_tar(tmp_path / "b.tar", archives)
    subprocess.run(["gzip", path], check=True)
    return path.with_suffix(".tar.gz")


def test_what_is_for_other_platforms_is_left_out_and_comes_with_a_later_load(tmp_path: Path, bundle: Path) -> None:
    done = load(bundle, tmp_path / "s", "--platform", "linux/amd64", "--report", tmp_path / "r.json")
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = {each["path"]: each["outcome"] for each in json.loads((tmp_path / "r.json").read_text())["members"]}
    assert {path for path, outcome in outcomes.items() if outcome == "excluded"} == {
        *("arm_1.tar", "armindex_1.tar", "armdocker_1.tar"),
    }
    assert set(listing(tmp_path / "s")) == {"both:1", "amd:1", "file:1", "charts/c:1.0.0"}
    partly = set(blob_files(tmp_path / "s"))
    assert load(bundle, tmp_path / "all").returncode == 0
    whole = set(blob_files(tmp_path / "all"))
    assert partly < whole
    assert len(whole - partly) == 2 * 4
    assert listing(tmp_path / "s").items() <= listing(tmp_path / "all").items()
    assert "known" in load(bundle, tmp_path / "s", "--platform", "linux/amd64").stdout
    assert load(bundle, tmp_path / "s").returncode == 0
    assert listing(tmp_path / "s") == listing(tmp_path / "all")
    assert set(blob_files(tmp_path / "s")) == whole


def test_a_dry_run_lists_what_a_load_takes(tmp_path: Path, bundle: Path) -> None:
    done = load(bundle, tmp_path / "s", "--platform", "linux/amd64", "--exclude", "file:*", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[-1] for line in done.stdout.splitlines()[:-1] if "," not in line} == {
        "amd:1",
        "charts/c:1.0.0",
    }
    assert "3 images and charts" in done.stdout


def test_what_the_store_has_already_is_left_out_all_the_same(tmp_path: Path, bundle: Path) -> None:
    assert load(bundle, tmp_path / "s").returncode == 0
    done = load(bundle, tmp_path / "s", "--platform", "linux/amd64", "--report", tmp_path / "r.json")
    outcomes = {each["path"]: each["outcome"] for each in json.loads((tmp_path / "r.json").read_text())["members"]}
    assert done.returncode == 0
    assert outcomes["amd_1.tar"] == "present"
    assert outcomes["arm_1.tar"] == outcomes["armdocker_1.tar"] == "excluded"


def test_a_bundle_made_of_what_was_loaded_is_loaded_like_it(tmp_path: Path, bundle: Path) -> None:
    load(bundle, tmp_path / "s", "--platform", "linux/amd64")
    made = k0rdentd("bundle", "create", "both:1", "amd:1", tmp_path / "made.tar", "-s", tmp_path / "s")
    assert made.returncode == 0, made.stderr
    assert load(tmp_path / "made.tar", tmp_path / "other").returncode == 0
    before, after = listing(tmp_path / "s"), listing(tmp_path / "other")
    assert after == {image: before[image] for image in ("both:1", "amd:1")}
    assert set(blob_files(tmp_path / "other")) <= set(blob_files(tmp_path / "s"))


@pytest.mark.client
def test_skopeo_pulls_the_platform_that_is_there(tmp_path: Path, bundle: Path) -> None:
    load(bundle, tmp_path / "s", "--platform", "linux/amd64")
    with serving("-s", tmp_path / "s", log=tmp_path / "log") as server:
        image = f"docker://{server.host}/both:1"
        copy = ("copy", "--src-tls-verify=false", image)
        run("skopeo", "--override-arch", "amd64", *copy, f"oci:{tmp_path / 'amd'}:x")
        assert attempt("skopeo", "--override-arch", "arm64", *copy, f"oci:{tmp_path / 'arm'}:x").returncode != 0


def test_a_platform_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    done = k0rdentd("load", tmp_path / "b", "-s", tmp_path / "s", "--platform", "amd64")
    assert done.returncode == 2
    assert "linux/amd64" in done.stderr


def test_a_platform_that_no_image_is_for_is_told_with_those_that_there_are(tmp_path: Path, bundle: Path) -> None:
    for others in ((), ("--platform", "linux/amd64")):
        for _ in range(2):
            done = load(bundle, tmp_path / "s", "--platform", "linux/amd46", *others)
            assert done.returncode == 1
            assert done.stderr.endswith("is for linux/amd46: it has images for linux/amd64, linux/arm64\n")
            assert ("amd:1" in listing(tmp_path / "s")) == bool(others)
    assert "known from an earlier load" in done.stdout


def test_platforms_that_are_none_are_not_told(tmp_path: Path) -> None:
    texts = ("no word", "x" * 1000, *(f"a{number}" for number in range(1000)))
    configs = [Blob.of((json.dumps({"os": "linux", "architecture": each}).encode(),), CONFIG) for each in texts]
    made = index(
        [Tree(each.root, each.below, ("linux/amd64",)) for each in (manifest(each, [], []) for each in configs)]
    )
    path = write_tar(tmp_path / "b.tar", {"a_1.tar": oci_archive(made)})
    done = load(path, tmp_path / "s", "--platform", "linux/amd64", "--platform", "linux/none")
    assert done.stderr.startswith(f"k0rdentd: no image in {path} is for linux/none: it has images for linux/a0, ")
    assert (done.stderr.count(","), "linux/amd64" in done.stderr, "xxx" in done.stderr) == (16, True, False)
    assert set(listing(tmp_path / "s")) == {"a:1"}


def test_a_platform_is_not_missing_where_no_image_is_wanted(tmp_path: Path, bundle: Path) -> None:
    done = load(bundle, tmp_path / "s", "--platform", "linux/amd46", "--include", "charts/*")
    assert (done.returncode, done.stderr) == (0, "")
