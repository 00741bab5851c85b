"""Looking into a bundle without loading it."""

import gzip
import json
from pathlib import Path
from typing import get_args

import pytest

from bench.archive import Archive
from bench.bundle import BundleSpec, Form
from bench.corpus import write_bundle
from bench.layout import chart_archive, oci_archive
from tests.conftest import k0rdentd
from tests.images import small_image, write_tar

CHART = "charts/k0rdent-enterprise_9.9.9.tar"


@pytest.mark.parametrize("form", get_args(Form))
def test_every_member_is_listed_with_kind_name_and_size(tmp_path: Path, form: Form) -> None:
    path = tmp_path / f"b.{form}"
    contents = write_bundle(BundleSpec(size=4_000_000, leading_folder=True), path, form)
    done = k0rdentd("bundle", "inspect", "--json", path)
    listed = {each["path"]: each for each in json.loads(done.stdout)["members"]}
    assert set(listed) == {member.path for member in contents.members}
    for member in contents.members:
        found = listed[member.path]
        assert (found["image"], found["kind"]) == (f"{member.repository}:{member.tag}", member.kind)
        assert found["size"] == member.size
        if len(member.platforms) > 1:
            assert set(found["platforms"]) == set(member.platforms)


def test_a_listing_is_for_people_too(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image()), "bad_1.tar": Archive(())})
    done = k0rdentd("bundle", "inspect", path)
    assert done.returncode == 0
    assert "app:1" in done.stdout
    assert "bad_1.tar" in done.stdout
    assert "1 image or chart" in done.stdout
    assert done.stdout.endswith("; 1 broken\n")
    foretold = k0rdentd("load", path, "--dry-run").stdout.splitlines()
    assert [line.split()[:2] for line in foretold] == [["would", "load"], ["would", "fail"], ["1", "image"]]


@pytest.mark.parametrize("form", get_args(Form))
def test_the_version_comes_from_the_chart(tmp_path: Path, form: Form) -> None:
    path = tmp_path / f"b.{form}"
    write_bundle(BundleSpec(size=4_000_000, version="1.2.3"), path, form)
    done = k0rdentd("bundle", "version", path)
    assert (done.returncode, done.stdout) == (0, "1.2.3\n")


def test_the_chart_and_not_its_file_name_tells_the_version(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "b.tar", {CHART: chart_archive("k0rdent-enterprise", "1.2.3")})
    assert k0rdentd("bundle", "version", path).stdout == "1.2.3\n"


def test_nothing_behind_the_chart_is_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "b.tar", {CHART: chart_archive("k0rdent-enterprise", "1.2.3")})
    packed = gzip.compress(path.read_bytes()[:-1024] + b"this is no tar header" * 100_000, 0)
    path.write_bytes(packed[: len(packed) // 2])
    assert k0rdentd("bundle", "version", path).stdout == "1.2.3\n"


@pytest.mark.parametrize(
    ("archives", "said"),
    [
        ({"app_1.tar": oci_archive(small_image())}, "holds no charts/k0rdent-enterprise_*.tar"),
        ({CHART: oci_archive(small_image())}, "holds no Helm chart"),
        ({CHART: chart_archive("k0rdent-enterprise", "1", {"Chart.yaml": b"name: x\n"})}, "no version"),
        ({CHART: chart_archive("k0rdent-enterprise", "1", {"Chart.yaml": b"{"})}, "cannot be read"),
        ({CHART: Archive(())}, "cannot be read"),
    ],
)
def test_a_bundle_without_its_chart_is_told(tmp_path: Path, archives: dict[str, Archive], said: str) -> None:
    done = k0rdentd("bundle", "version", write_tar(tmp_path / "b.tar", archives))
    assert done.returncode == 1
    assert said in done.stderr
