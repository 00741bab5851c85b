"""A support bundle holds what helps, and no secret, wherever one was planted."""

import os
import re
import string
import tarfile
from base64 import b64encode
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from installer.redaction import MASK, Redactor
from tests.conftest import k0rdentd
from tests.installer.standin.machine import Machine

KEY = "-----BEGIN EC PRIVATE KEY-----\nplantedPEM\n-----END EC PRIVATE KEY-----"


def cleaned(text: str, *secrets: str) -> str:
    return Redactor(secrets).clean(text)


@pytest.mark.parametrize(
    "text",
    [
        f"a: b\n{KEY}\nc: d",
        "key: |\n  -----BEGIN PRIVATE KEY-----\n  planted cut short",
        "password: planted horse battery",
        "  - adminPassword: 'planted, with comma'\n    name: x",
        "password: |\n  planted\n  planted\nnext: x",
        "tokens_token:\n- planted\nnext: x",
        'password: "planted\n  planted"\nnext: x',
        '{"user": "x", "clientSecret": "planted\\"planted", "n": 1}',
        r'{"applied": "{\"n\":1,\"password\":\"planted, planted\",\"m\":2}"}',
        "user=x password=planted,planted next=y",
        "time=1 msg=started args='--token planted'",
        "k0s controller --token planted --config /etc/k0s.yaml",
        "k0s controller --token=planted",
        "Authorization: Bearer plantedplantedplanted",
        "> GET /v2/ HTTP/1.1 basic cGxhbnRlZDpwbGFudGVk",
        "HTTPS_PROXY=http://user:planted@proxy:3128",
        "- name: DB_PASSWORD\n  value: planted words\n- name: HOST",
        "- value: planted words\n  name: DB_PASSWORD\n- name: HOST",
        "- value: planted\n  nested:\n  - name: HOST\n    value: x\n  name: 'DB_PASSWORD'",
        '{"value": "planted", "name": "DB_PASSWORD"}',
        r'{"applied": "{\"env\":[{\"value\":\"planted \\\"planted\",\"name\":\"DB_TOKEN\"}]}"}',
        "spec: {credentials: {accessKeyID: planted, secretAccessKey: planted}}",
        "AWS_SECRET_ACCESS_KEY=planted",
        "x: 1\nsecretAccessKey: planted\ny: 2",
    ],
)
def test_a_secret_is_masked_whatever_it_stands_in(text: str) -> None:
    shown = cleaned(text)
    assert MASK in shown
    assert not re.search("planted|cGxhbnRlZ", shown), shown


@pytest.mark.parametrize(
    "text",
    [
        "token eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl is no longer valid",
        "join with H4sIAAAAAAAC/2yRQY/TMBCF7/0V/gNe7GQXuEgcskl3qwVadgoqHBEXECh",
        "bootstrap abcdef.0123456789abcdef expired",
        "key AKIAIOSFODNN7EXAMPLE was refused",
        "admin:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    assert MASK in cleaned(text)


@pytest.mark.parametrize(
    "text",
    [
        "image: quay.io/k0sproject/calico-node:v3.29.4-0\n",
        "controller: {registryCertSecret: registry-ca, globalRegistry: '10.0.0.1:5000'}\n",
        "tokenFile: /etc/k0rdentd/join-token\nsecretRef:\n  name: x\n",
        'level=info msg="Secret kcm-system/registry-ca is missing" component=kcm\n',
        "kcm-system   kcm-controller-6b8f5d-abcde   0/1   ImagePullBackOff   0   3m\n",
        "password: false\ntoken: null\nsecrets: 4\n",
        '{"image": "sha256:0123", "mode": "0600"}\n',
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert cleaned(text) == text


_WORDS = st.text(string.ascii_letters + string.digits + "+/$!#%. -", min_size=6, max_size=40).map(str.strip)


@given(_WORDS.filter(lambda each: len(each) >= 6 and MASK not in each), st.text(max_size=80), st.text(max_size=80))
def test_a_known_secret_is_gone_from_any_text(secret: str, before: str, after: str) -> None:
    encoded = b64encode(secret.encode()).decode()
    shown = cleaned(f"{before}\n{secret}\n{encoded} {after}", secret)
    assert f"\n{secret}\n" not in f"\n{shown}\n"
    assert encoded not in shown


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once


def planted(machine: Machine, folder: Path) -> Path:
    """Secrets in the settings, beside them, in k0s' configuration and in its logs; returns the settings."""
    (folder / "aws-key").write_text("planted-in-a-file\n")
    document = {
        "k0rdent": {
            "credentials": {
                "aws": [{"name": "a", "accessKeyID": "planted-id", "secretAccessKeyFile": str(folder / "aws-key")}]
            },
            "helm": {"values": {"ui": {"adminPassword": "planted-value"}}},
        },
        "registry": {"port": 1, "storage": ["/srv/none"]},
    }
    file = folder / "k0rdentd.yaml"
    file.write_text(yaml.safe_dump(document))
    k0s = machine.root / "etc/k0s"
    (k0s / "containerd.d").mkdir(parents=True)
    (k0s / "k0s.yaml").write_text(
        "spec:\n  values: |\n    ui: {adminPassword: planted-in-k0s}\n    image: quay.io/kept:1\n"
    )
    (k0s / "containerd.d/auth.toml").write_text('[auth]\n  password = "planted-toml"\n  username = "kept-user"\n')
    pki = machine.root / "var/lib/k0s/pki"
    pki.mkdir(parents=True)
    (pki / "ca.key").write_text(KEY)
    log = machine.root / "usr/bin/journalctl"
    log.write_text(
        "#!/bin/sh\necho kept-line; echo planted-id is used with planted-in-a-file; echo --token=planted-token\n"
    )
    log.chmod(0o755)
    return file


def read(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as members:
        return {each.name.partition("/")[2]: members.extractfile(each).read().decode() for each in members}  # type: ignore[union-attr]


def test_no_secret_from_anywhere_is_in_a_support_bundle(machine: Machine, tmp_path: Path) -> None:
    config, target = planted(machine, tmp_path), tmp_path / "out.tar.gz"
    options = ("-o", target, "--root", machine.root, "--own-address", "127.0.0.1")
    environment = machine.environment | {"HTTPS_PROXY": "http://u:planted-proxy@p:1"}
    done = k0rdentd("-c", config, "support-bundle", *options, env=environment)
    assert done.returncode == 0, done.stderr
    parts = read(target)
    assert not [name for name, text in parts.items() if "planted" in text]
    assert "planted" not in done.stdout + done.stderr
    assert target.stat().st_mode & 0o777 == 0o600
    assert "quay.io/kept:1" in parts["files/etc/k0s/k0s.yaml"]
    assert "kept-user" in parts["files/etc/k0s/containerd.d/auth.toml"]
    assert "kept-line" in parts["logs/k0scontroller.log"]
    assert set(parts) >= {"k0rdentd.yaml", "status.json", "doctor.json", "system/uname.txt", "cluster/pods.txt"}
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = k0rdentd("support-bundle", "-o", tmp_path / "none" / "x.tgz")
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot write" in done.stderr
    assert "internal error" not in done.stderr


def test_settings_that_cannot_be_used_are_in_it_too(machine: Machine, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("k0s: [\njoin:\n  token: planted-token\n")
    target = tmp_path / "out.tar.gz"
    options = ("-o", target, "--root", machine.root, "--own-address", "127.0.0.1")
    done = k0rdentd("-c", config, "support-bundle", *options, env=machine.environment)
    assert (done.returncode, "not YAML" in done.stderr) == (0, True)
    parts = read(target)
    assert parts["k0rdentd.yaml"].startswith("k0s: [")
    assert not [name for name, text in parts.items() if "planted" in text]
