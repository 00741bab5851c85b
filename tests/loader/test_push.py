"""A bundle pushed to registries from its stream: of ours, of others, over wires that break, killed and run again."""

import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.archive import Archive, Entry, files
from bench.bundle import BundleSpec, Contents, Form
from bench.corpus import write_bundle
from bench.layout import chart_archive, docker_archive, index, layer, oci_archive
from tests.conftest import Server, k0rdentd, listing, serving
from tests.e2e.foreign import docker_registry
from tests.faults.contents import assert_same_store, blob_files
from tests.faults.cutting import cutting
from tests.faults.processes import halt_when, kill_session, start, watch
from tests.images import small_image, write_tar


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Server]:
    options = ("-s", tmp_path / "store", "--push", "anonymous", "--workers", "2")
    with serving(*options, log=tmp_path / "registry.log") as server:
        yield server


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def names(contents: Contents) -> set[str]:
    return {f"{each.repository}:{each.tag}" for each in contents.members}


@pytest.mark.parametrize("form", ["tar", "tar.gz", "dir"])
def test_what_is_pushed_is_what_a_load_makes_of_it(tmp_path: Path, work: Path, registry: Server, form: Form) -> None:
    bundle = tmp_path / f"airgap-bundle-1.2.3.{form}"
    contents = write_bundle(BundleSpec(size=6_000_000, leading_folder=True), bundle, form)
    pushed = k0rdentd("bundle", "push", bundle, registry.url, "--work", work, "--spool", "0")
    assert (pushed.returncode, pushed.stderr) == (0, "")
    assert f"{len(contents.members)} pushed: " in pushed.stdout.splitlines()[-1]
    assert k0rdentd("load", bundle, "-s", tmp_path / "expected").returncode == 0
    assert set(listing(tmp_path / "store")) == names(contents)
    assert_same_store(tmp_path / "store", tmp_path / "expected")
    assert list(work.iterdir()) == []
    again = k0rdentd("bundle", "push", bundle, registry.url, "--work", work)
    assert again.returncode == 0
    assert f"{len(contents.members)} present" in again.stdout
    assert "; 0 B sent to" in again.stdout


def test_what_nobody_signed_is_not_pushed_unasked(tmp_path: Path, registry: Server) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    for command in (("bundle", "push", bundle, registry.url), ("load", bundle, "--to", registry.url)):
        refused = k0rdentd(*command, "--verify")
        assert refused.returncode == 2
        assert "nothing proves where" in refused.stderr
    assert listing(tmp_path / "store") == {}


def test_a_prefix_and_a_choice_are_kept(tmp_path: Path, registry: Server) -> None:
    archives = {
        "app_1.tar": oci_archive(small_image()),
        "charts/plus_1.0.0_b1.tar": chart_archive("plus", "1.0.0+b1"),
        "other_1.tar": oci_archive(small_image()),
    }
    bundle = write_tar(tmp_path / "b.tar", archives)
    done = k0rdentd("bundle", "push", bundle, f"{registry.url}/mirror/k0rdent", "--exclude", "other:*")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 pushed, 1 excluded" in done.stdout
    assert set(listing(tmp_path / "store")) == {"mirror/k0rdent/app:1", "mirror/k0rdent/charts/plus:1.0.0_b1"}

    nothing = k0rdentd("bundle", "push", bundle, registry.url, "--include", "ap:*")
    assert (nothing.returncode, "3 excluded" in nothing.stdout) == (1, True)
    assert "is wanted: 'k0rdentd bundle inspect' lists what there is" in nothing.stderr


@pytest.mark.parametrize("form", [("--to", ""), ("--to=",)])
def test_a_load_into_a_registry_is_a_push(tmp_path: Path, registry: Server, form: tuple[str, ...]) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    to = [*form[:-1], f"{form[-1]}{registry.url}/x"]
    done = k0rdentd("load", *to, bundle, "--jobs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listing(tmp_path / "store")) == {"x/app:1"}
    refused = k0rdentd("load", *to, bundle, "--dry-run")
    assert refused.returncode == 2
    assert "--dry-run" in refused.stderr


@pytest.mark.client
def test_debians_registry_takes_it_and_gives_it_back(tmp_path: Path, work: Path) -> None:
    bundle = tmp_path / "b.tar.gz"
    contents = write_bundle(BundleSpec(size=6_000_000, nested=False), bundle, "tar.gz")
    with docker_registry(tmp_path) as host:
        pushed = k0rdentd("bundle", "push", bundle, f"docker://{host}", "--work", work)
        assert (pushed.returncode, pushed.stderr) == (0, "")
        back = k0rdentd("store", "copy", f"docker://{host}", tmp_path / "back")
        assert back.returncode == 0, back.stderr
    assert k0rdentd("load", bundle, "-s", tmp_path / "expected").returncode == 0
    assert set(listing(tmp_path / "back")) == names(contents)
    assert_same_store(tmp_path / "back", tmp_path / "expected")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_broken_members_fail_alone(tmp_path: Path, work: Path, registry: Server, form: Form) -> None:
    bundle = tmp_path / f"b.{form}"
    contents = write_bundle(BundleSpec(size=4_000_000, broken=True), bundle, form)
    done = k0rdentd("bundle", "push", bundle, registry.url, "--work", work, "--report", tmp_path / "r.json")
    assert done.returncode == 1
    told = {each["path"]: each["outcome"] for each in json.loads((tmp_path / "r.json").read_text())["members"]}
    assert {path for path, outcome in told.items() if outcome == "failed"} == {each.path for each in contents.broken}
    assert len(told) == len(contents.broken) + len(contents.members)
    assert f"{len(contents.broken)} of {len(contents.broken) + len(contents.members)} members failed" in done.stderr
    assert done.stdout.count("] failed ") == len(contents.broken)
    assert set(listing(tmp_path / "store")) == names(contents)
    assert list(work.iterdir()) == []
    assert all(name == digest for name, digest in blob_files(tmp_path / "store").items() if len(name) == 64)


def test_a_registry_that_refuses_is_told_for_every_image(tmp_path: Path) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    seed = write_tar(tmp_path / "seed.tar", {"seed_1.tar": oci_archive(small_image())})
    assert k0rdentd("load", seed, "-s", tmp_path / "store").returncode == 0
    with serving("-s", tmp_path / "store", log=tmp_path / "log") as server:
        done = k0rdentd("bundle", "push", bundle, server.url)
    assert done.returncode == 1
    assert "failed app_1.tar: " in done.stdout
    assert "refuses" in done.stdout


@pytest.mark.slow
def test_a_wire_that_breaks_again_and_again_is_gone_on_with(tmp_path: Path, work: Path, registry: Server) -> None:
    archives = {f"app{number}_1.tar": oci_archive(small_image(size=3_000_000)) for number in range(4)}
    bundle = write_tar(tmp_path / "b.tar", archives | {"big_1.tar": oci_archive(small_image(size=12_000_000))})
    with cutting(registry.port, 5_000_000) as wire:
        done = k0rdentd("bundle", "push", bundle, f"http://{wire.host}", "--work", work)
    assert (done.returncode, done.stderr) == (0, "")
    assert wire.cuts >= 2
    assert k0rdentd("load", bundle, "-s", tmp_path / "expected").returncode == 0
    assert_same_store(tmp_path / "store", tmp_path / "expected")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_a_killed_push_leaves_no_file_and_goes_on_where_it_was(
    tmp_path: Path, work: Path, registry: Server, form: Form
) -> None:
    bundle = tmp_path / f"b.{form}"
    write_bundle(BundleSpec(size=40_000_000), bundle, form)
    store = tmp_path / "store"
    with (tmp_path / "log").open("wb") as log:
        process = start(
            *("bundle", "push", bundle, registry.url, "--work", work, "--jobs", "1"),
            output=log.fileno(),
            error=log.fileno(),
        )
    try:
        halt_when(process, lambda: sum(path.stat().st_size for path in (store / "blobs").rglob("*/*/*")) > 10_000_000)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    finally:
        kill_session(process)
    again = watch("bundle", "push", bundle, registry.url, "--work", work, "--spool", "8", folder=tmp_path)
    assert (again.code, again.error) == (0, "")
    sent = re.search(r"; ([0-9.]+) MB sent to", again.output)
    assert sent is not None
    assert float(sent[1]) < 31
    assert again.peak < 200_000_000
    assert list(work.iterdir()) == []
    assert k0rdentd("load", bundle, "-s", tmp_path / "expected").returncode == 0
    assert listing(store) == listing(tmp_path / "expected")


@pytest.mark.slow
def test_an_interrupted_push_says_so_and_leaves_nothing(tmp_path: Path, work: Path, registry: Server) -> None:
    bundle = tmp_path / "b.tar.gz"
    write_bundle(BundleSpec(size=60_000_000), bundle, "tar.gz")
    with (tmp_path / "log").open("wb") as log:
        process = start("bundle", "push", bundle, registry.url, "--work", work, output=log.fileno(), error=log.fileno())
    try:
        halt_when(process, lambda: any(work.iterdir()))
        os.kill(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(30) == 130
    finally:
        kill_session(process)
    assert list(work.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def lying(body: bytes, name: bytes) -> Archive:
    return Archive((Entry.file(f"blobs/sha256/{hashlib.sha256(name).hexdigest()}", body),))


def test_bytes_that_are_not_what_they_are_called_never_arrive(tmp_path: Path, registry: Server) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"lie_1.tar": lying(b"y" * 5_000_000, b"x"), "no_1.tar": Archive(())})
    done = k0rdentd("bundle", "push", bundle, registry.url)
    assert done.returncode == 1
    assert "hash to" in done.stdout
    assert listing(tmp_path / "store") == {}
    assert blob_files(tmp_path / "store") == {}


def test_a_bundle_cut_in_the_middle_is_pushed_as_far_as_it_goes(tmp_path: Path, registry: Server) -> None:
    archives = {f"app{number}_1.tar": oci_archive(small_image(size=500_000)) for number in range(3)}
    bundle = write_tar(tmp_path / "b.tar", archives)
    os.truncate(bundle, bundle.stat().st_size - 300_000)
    done = k0rdentd("bundle", "push", bundle, registry.url)
    assert done.returncode == 1
    assert "ends in the middle of a member" in done.stderr
    assert set(listing(tmp_path / "store")) == {"app0:1", "app1:1"}


@pytest.mark.slow
def test_a_delta_is_pushed_where_the_rest_is_and_tells_where_it_is_not(tmp_path: Path, registry: Server) -> None:
    whole = write_tar(tmp_path / "whole.tar", {"app_1.tar": oci_archive(small_image(size=9000))})
    for root in ("site", "maker"):
        assert k0rdentd("load", whole, "-s", tmp_path / root).returncode == 0
    assert k0rdentd("store", "receipt", tmp_path / "r.json", "-s", tmp_path / "site").returncode == 0
    delta = tmp_path / "delta.tar"
    options = ("--from-store", tmp_path / "maker", "--since", tmp_path / "r.json")
    assert k0rdentd("bundle", "create", "app:1", delta, *options).returncode == 0
    refused = k0rdentd("bundle", "push", delta, registry.url)
    assert refused.returncode == 1
    assert "2 of its blobs" in refused.stdout
    assert "neither in the archive nor at the registry" in refused.stdout
    assert k0rdentd("bundle", "push", whole, registry.url).returncode == 0
    assert k0rdentd("bundle", "push", delta, registry.url).returncode == 0


def test_docker_archives_and_nested_indexes_go_too(tmp_path: Path, work: Path, registry: Server) -> None:
    shared = small_image("shared")
    nested = index([index([shared, small_image("arm", arch="arm64")]), shared])
    archives = {
        "skopeo_v1.tar": docker_archive([layer(files({"a": b"a" * 9000})), layer(files({"b": b"b"}))], "skopeo:v1"),
        "nested_1.tar": oci_archive(nested),
    }
    bundle = write_tar(tmp_path / "b.tar", archives)
    done = k0rdentd("bundle", "push", bundle, registry.url, "--work", work)
    assert (done.returncode, done.stderr) == (0, "")
    assert k0rdentd("load", bundle, "-s", tmp_path / "expected").returncode == 0
    assert_same_store(tmp_path / "store", tmp_path / "expected")
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "options", "code", "said"),
    [
        ("ftp://host", (), 2, "no registry"),
        ("https://u:p@host", (), 2, "no password belongs"),
        ("http://127.0.0.1:1", (), 1, "does not answer"),
        ("http://192.0.2.1", (), 2, "not encrypted"),
        ("http://127.0.0.1:1", ("--username", "x"), 2, "belong together"),
    ],
)
def test_where_nothing_can_be_pushed_is_told(
    tmp_path: Path, to: str, options: tuple[str, ...], code: int, said: str
) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    done = k0rdentd("bundle", "push", bundle, to, *options)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert said in done.stderr


def test_a_work_directory_that_is_not_there_is_told(tmp_path: Path, registry: Server) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    done = k0rdentd("bundle", "push", bundle, registry.url, "--work", tmp_path / "none")
    assert done.returncode == 1
    assert "name another directory with --work" in done.stderr


def test_what_a_killed_push_left_of_docker_archives_is_removed(tmp_path: Path, work: Path, registry: Server) -> None:
    (work / "k0rdentd-push-old" / "1").mkdir(parents=True)
    (work / "k0rdentd-push-old" / "1" / "x").write_text(json.dumps([]))
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    assert k0rdentd("bundle", "push", bundle, registry.url, "--work", work).returncode == 0
    assert list(work.iterdir()) == []
