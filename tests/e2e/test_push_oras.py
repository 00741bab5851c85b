"""The oras client pushes artifacts, and attaches others to them that the registry then lists as referrers."""

from pathlib import Path

import httpx
import oras.client
import oras.oci
import pytest

from bench.layout import INDEX, TITLE
from tests.conftest import Server, resolve
from tests.e2e.content import sha256
from tests.e2e.users import ALICE

pytestmark = pytest.mark.client

SBOM, SIGNATURE = "application/vnd.example.sbom.v1", "application/vnd.example.signature.v1"


def client_of(server: Server, folder: Path, password: str | None = None) -> oras.client.OrasClient:
    """A client that has logged in, where a password is given; its login is kept in `folder`."""
    client = oras.client.OrasClient(hostname=server.host, insecure=True, auth_backend="token")
    if password is not None:
        login = {"hostname": server.host, "config_path": str(folder / "config.json"), "tls_verify": False}
        client.login(ALICE.name, password, **login)
    return client


def push(client: oras.client.OrasClient, target: str, path: Path, **options: object) -> None:
    client.push(target, files=[str(path)], disable_path_validation=True, quiet=True, **options)


def config(folder: Path, artifact_type: str) -> str:
    """An option: the media type of the config says what it is (image-spec, "Guidelines for Artifact Usage")."""
    path = folder / "artifact.json"
    path.write_text("{}")
    return f"{path}:{artifact_type}"


def referrers(server: Server, repository: str, digest: str, **query: str) -> tuple[httpx.Headers, list[dict[str, str]]]:
    answer = httpx.get(f"{server.url}/v2/{repository}/referrers/{digest}", params=query).raise_for_status()
    assert answer.headers["Content-Type"] == INDEX
    return answer.headers, answer.json()["manifests"]


@pytest.mark.parametrize("chunked", [False, True])
def test_what_oras_pushes_comes_back(anonymous: Server, tmp_path: Path, *, chunked: bool) -> None:
    (tmp_path / "components.yaml").write_bytes(b"kind: Provider\n" * 50_000)
    target = f"{anonymous.host}/oras/pushed:{chunked}"
    client = client_of(anonymous, tmp_path)
    push(client, target, tmp_path / "components.yaml", do_chunked=chunked, chunk_size=100_000)
    (pulled,) = client.pull(target, outdir=str(tmp_path / "pulled"))
    assert Path(pulled).read_bytes() == (tmp_path / "components.yaml").read_bytes()
    (layer,) = resolve(anonymous, "oras/pushed", str(chunked)).json()["layers"]
    assert layer["annotations"] == {TITLE: "components.yaml"}


def test_what_is_attached_to_an_artifact_is_listed_by_its_type(anonymous: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    target, client = f"{anonymous.host}/oras/attached", client_of(anonymous, tmp_path)
    push(client, f"{target}:artifact", tmp_path / "file")
    manifest = resolve(anonymous, "oras/attached", "artifact")
    digest = sha256(manifest.content)
    subject = oras.oci.Subject(manifest.headers["Content-Type"], digest, len(manifest.content))
    assert referrers(anonymous, "oras/attached", digest)[1] == []
    for tag, kind in {"sbom": SBOM, "signature": SIGNATURE}.items():
        push(client, f"{target}:{tag}", tmp_path / "file", subject=subject, manifest_config=config(tmp_path, kind))
    _, everything = referrers(anonymous, "oras/attached", digest)
    assert {one["artifactType"] for one in everything} == {SBOM, SIGNATURE}
    headers, (sbom,) = referrers(anonymous, "oras/attached", digest, artifactType=SBOM)
    assert headers["OCI-Filters-Applied"] == "artifactType"
    assert sbom["digest"] == sha256(resolve(anonymous, "oras/attached", "sbom").content)


def test_oras_pushes_after_its_login_and_not_before(
    guarded: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oras.decorator.time.sleep", lambda _: None)  # it tries a refusal again for a minute
    (tmp_path / "file").write_bytes(b"content")
    target = f"{guarded.host}/oras/guarded:1"
    for password in (None, "wrong"):
        with pytest.raises(ValueError, match=r"(?i)unauthorized|authentication|token"):
            push(client_of(guarded, tmp_path, password), target, tmp_path / "file")
        assert resolve(guarded, "oras/guarded", "1").status_code == 404
    push(client_of(guarded, tmp_path, ALICE.password), target, tmp_path / "file")
    (pulled,) = client_of(guarded, tmp_path).pull(target, outdir=str(tmp_path / "pulled"))
    assert Path(pulled).read_bytes() == b"content"
