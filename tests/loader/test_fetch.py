"""Bundles fetched from servers that break off, forget, change their minds and lie (real sockets)."""

import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from loader.address import FetchFailed
from loader.errors import BundleInvalid
from loader.fetch import Download
from registry.oci.errors import Failure
from registry.transfer.errors import AnswerInvalid, RegistryRefused, RegistryUnavailable
from registry.transfer.patience import Endurance
from registry.transfer.transport import Security, Transport
from tests.conftest import k0rdentd
from tests.faults.processes import kill_session, start, wait_until
from tests.registry.transfer.scripted import Handler, Play, Scripted, scripted
from tests.signing import key_pair

NAME = "airgap-bundle-1.2.3.tar.gz"
PATH = f"/ent/1.2.3/{NAME}"
BODY = os.urandom(8_000_000)
OTHER = os.urandom(8_000_000)
SECOND = {"ETag": '"2"'}


class Files:
    """A server of one file, as good as `validators` and `ranges` say; every answer ends after `cut` bytes."""

    def __init__(
        self,
        body: bytes = BODY,
        cut: int | None = None,
        *,
        ranges: bool = True,
        validators: Mapping[str, str] | None = None,
    ) -> None:
        self.body = body
        self.cut = cut
        self.ranges = ranges
        self.validators = {"ETag": '"1"'} if validators is None else validators
        self.asked: list[str | None] = []

    def __call__(self, handler: Handler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        fresh = handler.headers.get("If-Range") in self.validators.values()
        found = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if self.ranges and found and fresh:
            first = int(found[1])
            last = f"bytes {first}-{len(self.body) - 1}/{len(self.body)}"
            self.send(handler, 206, self.body[first:], Content_Range=last)
        else:
            self.send(handler, 200, self.body)

    def send(self, handler: Handler, status: int, body: bytes, **headers: str) -> None:
        handler.begin(status, Content_Length=str(len(body)), **headers, **self.validators)
        handler.wfile.write(body[: self.cut])
        handler.cut()


def in_turn(*plays: Play) -> Play:
    """One play after the other, the last one for ever."""
    left = list(plays)

    def play(handler: Handler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return play


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


def fetch(script: Scripted, folder: Path, verify: Callable[[Mapping[str, bytes]], None] | None = None) -> Download:
    transport = Transport(httpx.URL(script.url), Security(), None, Endurance(threading.Event(), retries=3, pause=0.01))
    download = Download(transport, httpx.URL(script.url + PATH), folder / NAME)
    try:
        for _ in download.run(verify):
            pass
    finally:
        transport.close()
    return download


def assert_fetched(folder: Path, body: bytes = BODY) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [NAME]
    assert (folder / NAME).read_bytes() == body


def test_a_server_that_breaks_off_again_and_again_is_gone_on_with(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = files = Files(cut=1_200_000)
    download = fetch(script, tmp_path)
    assert_fetched(tmp_path)
    assert files.asked == [None, *(f"bytes={1_200_000 * number}-" for number in range(1, 7))]
    assert download.digests == {"sha256": hashlib.sha256(BODY).digest()}


def test_drops_do_not_go_on_for_ever(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = files = Files(cut=1000)
    with pytest.raises(RegistryUnavailable, match="run it again to go on"):
        fetch(script, tmp_path)
    assert (tmp_path / f"{NAME}.partial").stat().st_size == 4000
    files.cut = None
    assert fetch(script, tmp_path).digests["sha256"] == hashlib.sha256(BODY).digest()
    assert files.asked[-1] == "bytes=4000-"
    assert_fetched(tmp_path)


def test_a_server_that_ignores_ranges_sends_all_again_and_nothing_comes_twice(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = files = Files(cut=3_000_000, ranges=False)
    with pytest.raises(RegistryUnavailable):
        fetch(script, tmp_path)
    files.cut = None
    assert fetch(script, tmp_path).digests["sha256"] == hashlib.sha256(BODY).digest()
    assert_fetched(tmp_path)


@pytest.mark.parametrize("tag", [{"ETag": 'W/"1"'}, {"X-Nothing": "1"}])
def test_without_a_validator_all_comes_anew(script: Scripted, tmp_path: Path, tag: dict[str, str]) -> None:
    script.plays[f"GET {PATH}"] = files = Files(cut=3_000_000, validators=tag)
    with pytest.raises(RegistryUnavailable):
        fetch(script, tmp_path)
    files.cut = None
    fetch(script, tmp_path)
    assert set(files.asked) == {None}
    assert_fetched(tmp_path)


def test_a_date_is_a_validator_too(script: Scripted, tmp_path: Path) -> None:
    dated = {"ETag": 'W/"1"', "Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}
    script.plays[f"GET {PATH}"] = files = Files(cut=3_000_000, validators=dated)
    fetch(script, tmp_path)
    assert files.asked == [None, "bytes=3000000-", "bytes=6000000-"]
    assert_fetched(tmp_path)


def test_a_file_that_changes_in_between_comes_whole_and_unmixed(script: Scripted, tmp_path: Path) -> None:
    old, new = Files(cut=3_000_000), Files(OTHER, validators=SECOND)
    script.plays[f"GET {PATH}"] = in_turn(old, new)
    assert fetch(script, tmp_path).digests["sha256"] == hashlib.sha256(OTHER).digest()
    assert_fetched(tmp_path, OTHER)


def test_a_server_that_sends_a_part_of_another_file_is_not_believed(script: Scripted, tmp_path: Path) -> None:
    """206 although If-Range does not hold."""

    def mixed(handler: Handler) -> None:
        part = OTHER[3_000_000:]
        content_range = f"bytes 3000000-{len(OTHER) - 1}/{len(OTHER)}"
        handler.answer(206, part, Content_Range=content_range, ETag='"2"')

    script.plays[f"GET {PATH}"] = in_turn(Files(cut=3_000_000), mixed, Files(OTHER, validators=SECOND))
    fetch(script, tmp_path)
    assert_fetched(tmp_path, OTHER)


def answering(status: int = 200, body: bytes = BODY, **headers: str) -> Play:
    def play(handler: Handler) -> None:
        handler.begin(status, **headers)
        handler.wfile.write(body)
        handler.cut()

    return play


@pytest.mark.parametrize(
    "lie",
    [
        answering(200, BODY),
        answering(200, b"5\r\nhello\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
        answering(200, BODY, Content_Length="-1"),
        answering(206, BODY, Content_Length=str(len(BODY)), ETag='"1"'),
        answering(206, BODY, Content_Length=str(len(BODY)), Content_Range="bytes 0-9/99999999"),
        answering(206, BODY, Content_Length=str(len(BODY)), Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}"),
    ],
    ids=["no length", "chunked", "negative", "no range", "half a range", "another range"],
)
def test_lengths_that_cannot_be_true_are_refused_and_nothing_is_left(
    script: Scripted, tmp_path: Path, lie: Play
) -> None:
    script.plays[f"GET {PATH}"] = lie
    with pytest.raises((AnswerInvalid, RegistryUnavailable)):
        fetch(script, tmp_path)
    assert not (tmp_path / NAME).exists()
    left = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(left) == 0


def test_a_rest_that_is_longer_than_it_was_is_refused(script: Scripted, tmp_path: Path) -> None:
    def longer(handler: Handler) -> None:
        part = BODY[3_000_000:] + b"more"
        handler.answer(206, part, Content_Range=f"bytes 3000000-{len(BODY) - 1}/{len(BODY)}", ETag='"1"')

    script.plays[f"GET {PATH}"] = in_turn(Files(cut=3_000_000), longer)
    with pytest.raises(AnswerInvalid, match="more than"):
        fetch(script, tmp_path)
    assert list(tmp_path.iterdir()) == []
    script.plays[f"GET {PATH}"] = Files()
    fetch(script, tmp_path)
    assert_fetched(tmp_path)


def test_a_length_without_the_bytes_is_given_up(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = answering(200, b"few", Content_Length="1000", ETag='"1"')
    with pytest.raises(RegistryUnavailable):
        fetch(script, tmp_path)
    assert not (tmp_path / NAME).exists()


def test_a_file_that_could_never_fit_is_refused_before_a_byte_is_written(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = answering(200, BODY, Content_Length=str(1 << 60))
    with pytest.raises(FetchFailed, match="are free there"):
        fetch(script, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_excuses_are_waited_for_and_a_refusal_is_not(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = in_turn(
        answering(503, b"", Content_Length="0"), answering(502, b"", Content_Length="0"), Files()
    )
    fetch(script, tmp_path)
    assert_fetched(tmp_path)
    (tmp_path / NAME).unlink()
    del script.plays[f"GET {PATH}"]
    script.seen.clear()
    with pytest.raises(RegistryRefused, match="404"):
        fetch(script, tmp_path)
    assert len(script.seen) == 1
    script.plays[f"GET {PATH}"] = answering(403, page := b"<html>go away</html>", Content_Length=str(len(page)))
    with pytest.raises(RegistryRefused, match=r"refuses: 403 Forbidden$"):
        fetch(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_position_that_the_server_does_not_know_any_more_begins_anew(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = in_turn(Files(cut=3_000_000), answering(416, b"", Content_Length="0"), Files())
    fetch(script, tmp_path)
    assert_fetched(tmp_path)


@pytest.mark.parametrize("state", [b"", b"{}", b"[" * 50_000, b'{"url": "elsewhere", "size": 1, "validator": "x"}'])
def test_what_nobody_knows_of_is_not_gone_on_with(script: Scripted, tmp_path: Path, state: bytes) -> None:
    (tmp_path / f"{NAME}.partial").write_bytes(b"strange")
    (tmp_path / f"{NAME}.partial.json").write_bytes(state)
    script.plays[f"GET {PATH}"] = Files()
    fetch(script, tmp_path)
    assert_fetched(tmp_path)


def test_what_the_signature_does_not_fit_gets_no_name_and_is_not_gone_on_with(script: Scripted, tmp_path: Path) -> None:
    seen: list[Mapping[str, bytes]] = []

    def refuse(digests: Mapping[str, bytes]) -> None:
        seen.append(digests)
        raise BundleInvalid("signed by nobody")

    script.plays[f"GET {PATH}"] = Files()
    with pytest.raises(Failure, match="signed by nobody"):
        fetch(script, tmp_path, refuse)
    assert seen == [{"sha256": hashlib.sha256(BODY).digest()}]
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_not_mix(script: Scripted, tmp_path: Path) -> None:
    refusals: list[FetchFailed] = []

    def play(handler: Handler) -> None:
        with pytest.raises(FetchFailed) as caught:
            fetch(script, tmp_path)
        refusals.append(caught.value)
        Files()(handler)

    script.plays[f"GET {PATH}"] = play
    fetch(script, tmp_path)
    assert "another process" in str(refusals[0])
    assert_fetched(tmp_path)


# The command


def pull(script: Scripted, folder: Path, *options: str) -> tuple[int, str, str]:
    template = script.url + "/ent/{version}/airgap-bundle-{version}.tar.gz"
    done = k0rdentd("bundle", "pull", "1.2.3", "-o", folder, "--url-template", template, *options)
    return done.returncode, done.stdout, done.stderr


def test_a_version_is_fetched_with_its_signature_and_key(script: Scripted, tmp_path: Path) -> None:
    script.plays |= {
        f"GET {PATH}": Files(cut=5_000_000),
        f"GET {PATH}.sig": lambda handler: handler.answer(200, b"signature"),
        "GET /ent/cosign.pub": lambda handler: handler.answer(200, b"key"),
    }
    folder = tmp_path / "new" / "folder"
    code, out, err = pull(script, folder, "--cosign-key", f"{script.url}/ent/cosign.pub")
    assert (code, out) == (0, f"{hashlib.sha256(BODY).hexdigest()}  {folder / NAME}\n")
    assert "100 %, 8.0 MB of 8.0 MB" in err
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {NAME: BODY, f"{NAME}.sig": b"signature", "cosign.pub": b"key"}
    script.seen.clear()
    again = pull(script, folder)
    assert again[:2] == (0, out)
    assert [path for _, path, _ in script.seen] == [f"{PATH}.sig"]


def test_a_proxy_of_the_environment_is_used(script: Scripted, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:9{PATH}"
    script.plays[f"GET {url}"] = Files()
    environment = os.environ | {"HTTP_PROXY": script.url, "http_proxy": script.url, "NO_PROXY": "", "no_proxy": ""}
    done = k0rdentd("bundle", "pull", url, "-o", tmp_path, "--no-verify", env=environment)
    assert done.returncode == 0, done.stderr
    assert_fetched(tmp_path)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = k0rdentd("bundle", "pull", "1.2.3", "-o", tmp_path / "file" / "x")
    assert done.returncode == 1
    assert done.stderr.startswith(f"k0rdentd: {tmp_path}/file/x cannot be written: ")
    file = k0rdentd("bundle", "pull", "1.2.3", "-o", tmp_path / "file")
    assert (file.returncode, "is a file" in file.stderr) == (2, True), file.stderr


def test_a_bundle_without_a_signature_is_not_even_begun(script: Scripted, tmp_path: Path) -> None:
    script.plays[f"GET {PATH}"] = Files()
    code, _, err = pull(script, tmp_path, "--verify")
    assert code == 1
    assert "go without it with --no-verify" in err
    assert list(tmp_path.iterdir()) == []
    assert pull(script, tmp_path, "--no-verify")[0] == 0
    assert_fetched(tmp_path)


@pytest.mark.parametrize("signer", ["the vendor", "somebody else"])
def test_a_bundle_has_its_name_only_if_its_signature_holds(script: Scripted, tmp_path: Path, signer: str) -> None:
    vendor, other = key_pair(tmp_path), key_pair(tmp_path, name="other")
    (tmp_path / "body").write_bytes(BODY)
    signature = (vendor if signer == "the vendor" else other).sign(tmp_path / "body")
    script.plays |= {
        f"GET {PATH}": Files(cut=5_000_000),
        f"GET {PATH}.sig": lambda handler: handler.answer(200, signature),
    }
    code, _, err = pull(script, tmp_path / "here", "--verify", "--cosign-key", str(vendor.public))
    if signer == "the vendor":
        assert (code, "not verified" in err) == (0, False)
        assert (tmp_path / "here" / NAME).read_bytes() == BODY
    else:
        assert code == 1
        assert "does not fit this file and this key" in err
        assert not (tmp_path / "here" / NAME).exists()


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        ("../1.2.3", "neither a version nor a URL"),
        ("ftp://host/b.tar", "no URL of a file"),
        ("https://host/", "does not end in the name of a file"),
        ("https://user:secret@host/b.tar", "no URL of a file"),
        ("http://192.0.2.1/b.tar", "not encrypted"),
    ],
)
def test_what_is_no_place_of_a_bundle_is_told(tmp_path: Path, bundle: str, said: str) -> None:
    done = k0rdentd("bundle", "pull", bundle, "-o", tmp_path)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_pull_goes_on_where_it_was(script: Scripted, tmp_path: Path) -> None:
    released = threading.Event()

    def halfway(handler: Handler) -> None:
        handler.begin(200, Content_Length=str(len(BODY)), ETag='"1"')
        handler.wfile.write(BODY[:5_000_000])
        handler.wfile.flush()
        released.wait(30)

    folder = tmp_path / "out"
    script.plays[f"GET {PATH}"] = halfway
    with (tmp_path / "log").open("wb") as log:
        process = start(
            *("bundle", "pull", script.url + PATH, "-o", folder, "--no-verify"),
            output=log.fileno(),
            error=log.fileno(),
        )
    partial = folder / f"{NAME}.partial"
    try:
        wait_until(lambda: partial.exists() and partial.stat().st_size == 5_000_000, "nothing came", 30)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    finally:
        kill_session(process)
        released.set()
    assert json.loads((folder / f"{NAME}.partial.json").read_text())["size"] == len(BODY)
    script.plays[f"GET {PATH}"] = files = Files()
    done = k0rdentd("bundle", "pull", script.url + PATH, "-o", folder, "--no-verify")
    assert done.stdout.startswith(hashlib.sha256(BODY).hexdigest())
    assert files.asked == ["bytes=5000000-"]
    assert_fetched(folder)
