import shutil
import ssl
from pathlib import Path

import httpx
import pytest

from bench.errors import BenchFailed
from bench.peers import DISTRIBUTION, NGINX, OURS, all_peers, nginx, ours, publish, write_files
from bench.process import free_port, require, run, serving
from bench.sample import Sample
from registry.storage.store import Store

SAMPLE = Sample.make(huge=3_000_000)
ACCEPT = {"Accept": SAMPLE.manifest.media_type}


def test_a_published_sample_is_in_the_store(store: Store) -> None:
    publish(SAMPLE, store)
    name, tag = SAMPLE.reference.repository, SAMPLE.reference.tag
    assert store.get_manifest(name, tag).body == SAMPLE.manifest.body
    assert [store.stat_blob(name, digest).size for digest, _ in SAMPLE.blobs] == [len(body) for _, body in SAMPLE.blobs]


def test_files_lie_under_the_paths_of_the_api(tmp_path: Path) -> None:
    write_files(SAMPLE, tmp_path)
    assert (tmp_path / "v2/bench/image/manifests/1.0.0").read_bytes() == SAMPLE.manifest.body


def test_a_missing_program_is_named() -> None:
    with pytest.raises(BenchFailed, match="no-such-program is not installed"):
        require("no-such-program")


def test_a_failed_command_tells_what_it_said() -> None:
    with pytest.raises(BenchFailed, match=r"ended with 2: .*no-such-file"):
        run("ls", "no-such-file")


def test_a_server_that_ends_tells_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="no room"), serving(lambda _: ("sh", "-c", "echo no room"), tmp_path):
        pass


def test_our_server_is_gone_when_the_block_is_left(tmp_path: Path) -> None:
    with ours(SAMPLE, tmp_path) as url:
        assert httpx.get(url + SAMPLE.targets[0].path).content == SAMPLE.manifest.body
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_server_is_gone_when_the_block_fails(tmp_path: Path) -> None:
    def command(port: int) -> tuple[str, ...]:
        return "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"

    with pytest.raises(ZeroDivisionError), serving(command, tmp_path) as url:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_free_ports_differ() -> None:
    assert len({free_port() for _ in range(5)}) > 1


@pytest.mark.client
def test_all_peers_answer_the_same_bytes(tmp_path: Path) -> None:
    with all_peers(SAMPLE, tmp_path) as peers:
        assert len({peer.url for peer in peers}) == 3
        for target in SAMPLE.targets[:1] + SAMPLE.targets[2:]:
            bodies = {httpx.get(peer.url + target.path, headers=ACCEPT).content for peer in peers}
            assert bodies == {target.body}
    for peer in peers:
        with pytest.raises(httpx.ConnectError):
            httpx.get(peer.url)


@pytest.mark.client
def test_peers_over_https_show_the_same_certificate(tmp_path: Path) -> None:
    with all_peers(SAMPLE, tmp_path) as peers:
        secured = [peer for peer in peers if peer.secured]
        ports = [peer.endpoint(tls=True).port for peer in secured]
        assert [peer.name for peer in secured] == [OURS, DISTRIBUTION, NGINX]
        assert len({ssl.get_server_certificate(("127.0.0.1", port)) for port in ports}) == 1
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(secured[0].secured or "")


@pytest.mark.client
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_a_peer_without_the_bytes_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.peers.write_files", lambda _, root: root.mkdir())
    with pytest.raises(BenchFailed, match="nginx answers"), all_peers(SAMPLE, tmp_path):
        pass


@pytest.mark.client
def test_nginx_serves_manifests_under_their_type(tmp_path: Path) -> None:
    with nginx(SAMPLE, tmp_path) as (url, _):
        answer = httpx.get(url + SAMPLE.targets[0].path)
    assert answer.headers["Content-Type"] == SAMPLE.manifest.media_type
