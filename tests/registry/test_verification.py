"""What is checked when an operator says this or that, and what he is told when something is missing."""

from pathlib import Path

import pytest

from registry.verification import Evidence, EvidenceMissing, Verification
from tests.conftest import free_port, k0rdentd


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"x")
    return path


def test_a_key_and_the_signature_beside_the_bundle_are_enough(bundle: Path) -> None:
    for suffix in (".sigstore.json", ".sig"):  # the second one wins
        signature = bundle.with_name(bundle.name + suffix)
        signature.write_bytes(b"")
        for wanted in (None, True):
            assert Verification(wanted, "k.pub").evidence(bundle) == Evidence("k.pub", signature)


def test_a_signature_may_lie_elsewhere(bundle: Path) -> None:
    assert Verification(None, "k", Path("/x.sig")).evidence(bundle) == Evidence("k", Path("/x.sig"))


@pytest.mark.parametrize("wanted", [None, True])
@pytest.mark.parametrize(
    ("key", "signed", "said"),
    [
        (None, False, r"nothing proves where .*b\.tar\.gz comes from: put b\.tar\.gz\.sig beside it"),
        (None, True, r"b\.tar\.gz\.sig cannot be checked without the signer's public key"),
        ("k", False, r"there is no signature of .*b\.tar\.gz for --cosign-key: put b\.tar\.gz\.sig beside it"),
    ],
)
def test_what_is_missing_is_told_with_both_ways_out(
    bundle: Path, wanted: bool | None, key: str | None, signed: bool, said: str
) -> None:
    if signed:
        bundle.with_name("b.tar.gz.sig").write_bytes(b"")
    with pytest.raises(EvidenceMissing, match=f"{said}.*--no-verify"):
        Verification(wanted, key).evidence(bundle)


def test_a_directory_has_no_signature(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match=r"is a directory, and only a bundle file is signed.*--no-verify"):
        Verification(None, "k", Path("x.sig")).evidence(tmp_path)


def test_the_signature_of_what_is_piped_is_named() -> None:
    with pytest.raises(EvidenceMissing, match="no signature of standard input for --cosign-key: name its file"):
        Verification(True, "k").evidence(Path("-"))


@pytest.mark.parametrize("given", [(), ("--cosign-key", "k")])
def test_who_only_verifies_is_not_told_of_an_option_to_waive_it(bundle: Path, given: tuple[str, ...]) -> None:
    done = k0rdentd("bundle", "verify", bundle, *given)
    assert (done.returncode, "b.tar.gz" in done.stderr) == (2, True)
    assert "no-verify" not in done.stderr


def test_no_verify_waives_all_of_it(tmp_path: Path, bundle: Path) -> None:
    bundle.with_name("b.tar.gz.sig").write_bytes(b"")
    assert Verification(False, "k").evidence(bundle) is None
    assert Verification(False).evidence(tmp_path) is None


def test_the_loader_is_told_the_same_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = Verification(True, "k.pub", Path("s")).absolute().arguments()
    assert told == ["--verify", "--cosign-key", str(tmp_path / "k.pub"), "--cosign-signature", str(tmp_path / "s")]
    assert Verification(False, "https://x/k").absolute().arguments() == ["--no-verify", "--cosign-key", "https://x/k"]
    assert Verification().absolute().arguments() == []


def test_an_unsigned_bundle_is_refused_before_a_store_is_made(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("K0RDENTD_VERIFY_SIGNATURE")
    serve = ("registry", "-b", bundle, "-H", "127.0.0.1", "-p", str(free_port()))
    for command in (("load", bundle), serve):
        done = k0rdentd(*command, "-s", tmp_path / "s")
        assert done.returncode == 2
        assert done.stderr.startswith("k0rdentd: nothing proves where")
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("key", "signature", "said"),
    [
        ("mistyped", "b.tar.gz.sig", "cannot read the public key {}/mistyped: No such file or directory"),
        ("k.pub", "mistyped", "cannot read the signature {}/mistyped: No such file or directory"),
        ("b.tar.gz", "b.tar.gz.sig", "{}/b.tar.gz is no public key in PEM"),
    ],
)
def test_a_mistyped_key_or_signature_is_told_before_anything_is_started(
    tmp_path: Path, bundle: Path, key: str, signature: str, said: str
) -> None:
    for name, text in (("k.pub", "-----BEGIN PUBLIC KEY-----\n"), ("b.tar.gz.sig", "AAAA")):
        (tmp_path / name).write_text(text)
    serve = ("registry", "-b", bundle, "-H", "127.0.0.1", "-p", str(free_port()))
    for command in (("load", bundle), serve):
        proof = ("--verify", "--cosign-key", tmp_path / key, "--cosign-signature", tmp_path / signature)
        done = k0rdentd(*command, "-s", tmp_path / "s", *proof)
        assert done.returncode == 2
        assert done.stderr.startswith("k0rdentd: " + said.format(tmp_path))
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "s").exists()


def test_a_dry_run_needs_no_signature(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K0RDENTD_VERIFY_SIGNATURE")
    assert "nothing proves" not in k0rdentd("load", bundle, "--dry-run").stderr


def test_key_and_wish_come_from_the_environment_too(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K0RDENTD_VERIFY_SIGNATURE", "true")
    monkeypatch.setenv("K0RDENT_COSIGN_KEY", "/nowhere/k.pub")
    assert "there is no" in k0rdentd("load", bundle).stderr
    bundle.with_name("b.tar.gz.sig").write_bytes(b"AAAA")
    assert "cannot read the public key /nowhere/k.pub" in k0rdentd("bundle", "verify", bundle).stderr
