import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner

import bench
from bench.broken import INNER, Case
from bench.catalog import SpecImpossible, plan
from bench.corpus import BundleSpec, Contents, Form, Member, form_of, main, write_bundle
from bench.layout import CHART_CONFIG, INDEX, LAYER, MANIFEST

SMALL = BundleSpec(3_000_000)
STRAYS = ["README.md", "checksums.txt", "k0s-v1.32.8+k0s.0-amd64", "k0s-v1.32.8+k0s.0-amd64.sig", "scripts/load.sh"]


# Not RUSAGE_CHILDREN: a child inherits the peak of the process that started it.
PEAK = """
import re
from pathlib import Path
from bench.corpus import main
main(standalone_mode=False)
print(re.search(r"VmHWM:.*", Path("/proc/self/status").read_text())[0])
"""

Json = dict[str, Any]
Made = tuple[Contents, dict[str, bytes]]


def members_of(bundle: Path) -> dict[str, bytes]:
    """The outer members of a bundle of any form that hold bytes, by name."""
    if bundle.is_dir():
        return {str(path.relative_to(bundle)): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    body = bundle.read_bytes()
    return files_of(zstandard.ZstdDecompressor().decompressobj().decompress(body) if bundle.suffix == ".zst" else body)


def files_of(archive: bytes) -> dict[str, bytes]:
    """The files of a tar by name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {info.name: body.read() for info in tar if (body := tar.extractfile(info))}


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def walk(files: dict[str, bytes], descriptor: Json) -> Iterator[tuple[Json, bytes]]:
    """Every descriptor reachable from one, with its blob, which must match."""
    body = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
    assert (digest_of(body), len(body)) == (descriptor["digest"], descriptor["size"])
    yield descriptor, body
    if descriptor["mediaType"] in (INDEX, MANIFEST):
        document = json.loads(body)
        below = [*document.get("manifests", ()), *document.get("layers", ())]
        below += [document["config"]] if "config" in document else []
        for one in below:
            yield from walk(files, one)


def reachable(members: dict[str, bytes], member: Member) -> list[tuple[Json, bytes]]:
    """All descriptors and blobs of one good OCI archive."""
    files = files_of(members[member.path])
    (root,) = json.loads(files["index.json"])["manifests"]
    assert root["digest"] == member.digest
    return list(walk(files, root))


def named(contents: Contents, path: str) -> Member:
    return next(member for member in contents.members if member.path == path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small bundle with what it must hold."""
    out = tmp_path_factory.mktemp("bundle") / "small.tar"
    return write_bundle(SMALL, out, "tar"), members_of(out)


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 1, 2)):
        write_bundle(BundleSpec(3_000_000, seed), tmp_path / str(number), "tar.gz")
    first, again, other = ((tmp_path / str(number)).read_bytes() for number in range(3))
    assert first == again != other


def test_a_small_bundle_has_every_kind_of_member(small: Made) -> None:
    contents, members = small
    assert {member.kind for member in contents.members} == {"image", "chart", "artifact", "docker-archive"}
    assert sorted(contents.strays) == STRAYS
    assert set(members) == {member.path for member in contents.members} | set(contents.strays)
    assert len(contents.members) >= 9


@pytest.mark.parametrize("form", ["tar.gz", "tgz", "tar.zst", "dir"])
def test_every_form_holds_the_same_members(tmp_path: Path, small: Made, form: Form) -> None:
    out = tmp_path / f"bundle.{form}"
    assert write_bundle(SMALL, out, form) == small[0]
    assert members_of(out) == small[1]
    assert list(tmp_path.iterdir()) == [out]


def test_blobs_of_good_archives_match_their_digests_and_are_counted(small: Made) -> None:
    contents, members = small
    found = [one for member in contents.members if member.digest for one in reachable(members, member)]
    sizes = {descriptor["digest"]: descriptor["size"] for descriptor, _ in found}
    roots = {descriptor["digest"] for descriptor, _ in found if descriptor["mediaType"] in (INDEX, MANIFEST)}
    assert contents.manifests == len(roots)
    assert contents.blobs == len(sizes) - len(roots)
    assert contents.blob_bytes == sum(size for digest, size in sizes.items() if digest not in roots)


def test_layers_unpack_to_tars_of_files_and_match_the_diff_ids(small: Made) -> None:
    contents, members = small
    for member in contents.members:
        found = reachable(members, member) if member.kind == "image" else []
        unpacked = [gzip.decompress(body) for descriptor, body in found if descriptor["mediaType"] == LAYER]
        configs = [json.loads(body) for descriptor, body in found if "image.config" in descriptor["mediaType"]]
        claimed = [diff_id for config in configs for diff_id in config["rootfs"]["diff_ids"]]
        assert claimed == [digest_of(body) for body in unpacked]
        assert all(files_of(body) for body in unpacked)
        assert all(2 <= len(config["rootfs"]["diff_ids"]) <= 6 for config in configs)


def test_images_share_base_layers(tmp_path: Path) -> None:
    contents = write_bundle(BundleSpec(60_000_000, images=12), tmp_path / "b.tar", "tar")
    images = sum(member.size for member in contents.members if member.digest)
    assert contents.blob_bytes < 0.95 * images


def test_one_image_has_two_platforms_and_one_a_nested_index(small: Made) -> None:
    contents, members = small
    plain, nested = (named(contents, f"kcm-{name}_1.2.3.tar") for name in ("controller", "telemetry"))
    assert plain.platforms == nested.platforms == ("linux/amd64", "linux/arm64")
    indexes = [len([1 for one, _ in reachable(members, m) if one["mediaType"] == INDEX]) for m in (plain, nested)]
    assert indexes == [1, 2]


def test_a_bundle_for_skopeo_has_no_nested_index() -> None:
    assert "nested" not in {row.shape for row in plan(BundleSpec(3_000_000, nested=False)).rows}


def test_a_chart_has_the_version_of_its_tag(small: Made) -> None:
    contents, members = small
    for member in (member for member in contents.members if member.kind == "chart"):
        bodies = {descriptor["mediaType"]: body for descriptor, body in reachable(members, member)}
        assert json.loads(bodies[CHART_CONFIG])["version"].replace("+", "_") == member.tag
    assert (named(contents, "charts/plus_1.0.0_b1.tar").repository, member.tag) == ("charts/plus", "1.0.0_b1")


def test_the_docker_archive_lists_its_layers(small: Made) -> None:
    contents, members = small
    member = named(contents, "skopeo_v1.17.0.tar")
    files = files_of(members[member.path])
    (listed,) = json.loads(files["manifest.json"])
    digests = [digest_of(files[name]) for name in listed["Layers"]]
    assert digests == list(member.diff_ids) == json.loads(files[listed["Config"]])["rootfs"]["diff_ids"]
    assert member.digest is None


@pytest.mark.parametrize(("size", "images"), [(3_000_000, None), (3_000_000, 2), (30_000_000, None), (30_000_000, 20)])
def test_a_bundle_has_the_size_asked_for(tmp_path: Path, size: int, images: int | None) -> None:
    contents = write_bundle(BundleSpec(size, images=images), tmp_path / "b.tar", "tar")
    assert (tmp_path / "b.tar").stat().st_size == pytest.approx(size, rel=0.02)
    assert sum(member.kind == "image" for member in contents.members) == images or images is None


def test_a_large_bundle_has_the_whole_catalog_and_more_images_on_demand() -> None:
    assert len(plan(BundleSpec(500_000_000)).rows) >= 107
    assert sum(row.size for row in plan(BundleSpec(22_000_000_000)).rows) == pytest.approx(22e9, rel=0.01)
    rows = plan(BundleSpec(22_000_000_000, images=233)).rows
    assert len({row.path for row in rows if row.kind == "image"}) == 233


def test_a_leading_folder_stands_before_every_member(tmp_path: Path, small: Made) -> None:
    spec = BundleSpec(3_000_000, leading_folder=True)
    assert write_bundle(spec, tmp_path / "b.tar.gz", "tar.gz") == small[0]
    assert members_of(tmp_path / "b.tar.gz") == {f"airgap-bundle-1.2.3/{name}": body for name, body in small[1].items()}


def test_broken_members_are_listed_and_leave_the_good_ones_alone(tmp_path: Path, small: Made) -> None:
    spec = BundleSpec(3_000_000, broken=True, leading_folder=True)
    contents = write_bundle(spec, tmp_path / "b.tar", "tar")
    with tarfile.open(tmp_path / "b.tar") as tar:
        names = {info.name.removeprefix("airgap-bundle-1.2.3/") for info in tar if not info.isdir()}
    assert names == {one.path for one in contents.broken} | set(small[1])
    assert contents.members == small[0].members
    assert len({one.path for one in contents.broken}) == len(contents.broken) >= 29


def strictly_read(archive: bytes) -> None:
    """Read an archive as a careful loader does."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        files = {info.name: body.read() for info in tar if info.isreg() and (body := tar.extractfile(info))}
    assert len(files["index.json"]) <= 4 << 20
    (root,) = json.loads(files["index.json"])["manifests"]
    assert list(walk(files, root))


@pytest.mark.parametrize("case", [name for name, _, _ in INNER])
def test_a_broken_archive_is_good_but_for_what_its_name_tells(case: str) -> None:
    breaks = next(breaks for name, _, breaks in INNER if name == case)
    strictly_read(Case.named(case).archive.to_bytes())
    with pytest.raises((AssertionError, KeyError, ValueError, RecursionError, tarfile.TarError)):
        strictly_read(breaks(Case.named(case)))


def test_broken_members_that_leave_a_directory_are_not_put_into_one(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    contents = write_bundle(BundleSpec(3_000_000, broken=True), tmp_path / "b" / "bundle", "dir")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["bundle"]
    assert {one.path for one in contents.broken} == {
        str(path.relative_to(tmp_path / "b/bundle")) for path in (tmp_path / "b/bundle/broken").rglob("*_*.tar")
    }


def test_a_bundle_too_small_for_its_members_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecImpossible):
        write_bundle(BundleSpec(3_000_000, images=233), tmp_path / "b.tar", "tar")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_stands_there_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_bundle(SMALL, tmp_path, "dir")


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.tar.gz", "tar.gz"), ("a.tgz", "tgz"), ("a.tar", "tar"), ("a.tar.zst", "tar.zst"), ("a", "dir")],
)
def test_the_form_follows_from_the_name(name: str, form: str) -> None:
    assert form_of(Path(name)) == form


def test_the_command_writes_the_contents_and_one_line(tmp_path: Path) -> None:
    out, contents = tmp_path / "b.tar.zst", tmp_path / "contents.json"
    result = CliRunner().invoke(main, [str(out), "--size", "3MB", "--images", "1", "--contents", str(contents)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{out}: 1 artifact, 3 chart, 1 docker-archive, 1 image, 5 other files, 0 broken")
    assert len(result.output.splitlines()) == 1
    assert json.loads(contents.read_text())["members"]


def test_the_command_refuses_a_size_it_cannot_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "b.tar"), "--size", "3 pints"])
    assert result.exit_code == 2
    assert "write 200MB or 22GB" in result.output


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst"])
def test_memory_does_not_grow_with_the_bundle(tmp_path: Path, form: Form) -> None:
    arguments = [str(tmp_path / f"b.{form}"), "--size", "300MB"]
    command = [sys.executable, "-c", PEAK, *arguments]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(bench.__file__).parents[1])
    assert int(told.stdout.split()[-2]) < 150_000  # kB


@pytest.mark.client
def test_skopeo_reads_every_good_oci_archive(tmp_path: Path, small: Made) -> None:
    contents, members = small
    for member in (member for member in contents.members if member.digest):
        archive = tmp_path / "one.tar"
        archive.write_bytes(members[member.path])
        raw = subprocess.run(["skopeo", "inspect", "--raw", f"oci-archive:{archive}"], check=True, capture_output=True)
        assert digest_of(raw.stdout) == member.digest


@pytest.mark.client
@pytest.mark.parametrize("path", ["kcm-controller_1.2.3.tar", "datasource-controller_1.2.3.tar"])
def test_skopeo_copies_all_platforms_and_umoci_unpacks_one(tmp_path: Path, small: Made, path: str) -> None:
    archive, layout = tmp_path / "one.tar", tmp_path / "layout"
    archive.write_bytes(small[1][path])
    subprocess.run(["skopeo", "copy", "-q", "-a", f"oci-archive:{archive}", f"dir:{tmp_path / 'dir'}"], check=True)
    subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{archive}", f"oci:{layout}:one"], check=True)
    unpack = ["umoci", "unpack", "--rootless", "--image", f"{layout}:one", str(tmp_path / "unpacked")]
    subprocess.run(unpack, check=True, capture_output=True)
    assert list((tmp_path / "unpacked/rootfs/opt").iterdir())
