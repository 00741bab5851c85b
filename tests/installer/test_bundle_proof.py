"""A bundle that k0s is taken out of for other machines is proven as one that is loaded."""

import base64
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import image, layer, oci_archive
from tests.conftest import Server
from tests.images import write_tar
from tests.installer.sites import host_of
from tests.installer.standin.machine import Machine
from tests.installer.test_install_cli import Installer, registry
from tests.signing import key_pair

__all__ = ["registry"]


def test_the_k0s_of_a_bundle_is_exported_with_a_key_or_unverified_on_request(
    machine: Machine, registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("K0RDENTD_VERIFY_SIGNATURE")
    binary = layer(files({"usr/local/bin/k0s": machine.k0s_program("1.32.8")}, mode=0o755))
    bundle = write_tar(tmp_path / "b.tar", {"k0sproject/k0s_v1.32.8-k0s.0.tar": oci_archive(image([binary]))})
    pair, other = key_pair(tmp_path), key_pair(tmp_path, name="other")
    bundle.with_name("b.tar.sig").write_bytes(base64.b64encode(pair.sign(bundle)))
    host_of(machine)
    run = Installer(machine, registry)
    export = ("export-worker-artifacts", "-o", "/root/worker", "-b", str(bundle))
    assert "--cosign-key" in run(*export, code=3)
    assert "does not fit this file and this key" in run(*export, "--cosign-key", str(other.public), code=3)
    assert not (machine.root / "root/worker/k0s").exists()
    for proof in (("--cosign-key", str(pair.public)), ("--no-verify", "--overwrite")):
        assert "k0s v1.32.8+k0s.0 out of" in run(*export, *proof)
        assert (machine.root / "root/worker/k0s").read_bytes() == machine.k0s_program("1.32.8")
        (machine.root / "root/worker/k0s").unlink()
