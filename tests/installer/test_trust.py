"""The registry's CA among those that a Debian trusts, by Debian's own program."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from installer.errors import SourceUnusable
from installer.plan import apply, plan
from installer.remote import Remote, fingerprint, own_ca
from installer.steps.removal import FilesBack
from installer.steps.trust import Distrust, Trust
from registry.pki.issue import make_authority, new_key
from tests.conftest import Server, free_port
from tests.installer.sites import host_of, tree
from tests.installer.standin.machine import Machine
from tests.installer.test_install_cli import registry

__all__ = ["registry"]
_REAL = Path("/usr/sbin/update-ca-certificates")
_ELSEWHERE = """\
#!/bin/sh
exec {program} --certsconf {root}/etc/ca-certificates.conf --certsdir {root}/usr/share/ca-certificates \\
    --localcertsdir {root}/usr/local/share/ca-certificates --etccertsdir {root}/etc/ssl/certs \\
    --hooksdir {root}/none "$@"
"""


@pytest.mark.skipif(not _REAL.exists(), reason="this is no Debian with ca-certificates")
def test_a_debian_trusts_the_registry_and_forgets_it(machine: Machine, registry: Server) -> None:
    assert registry.ca is not None
    host = host_of(machine)
    (machine.root / "etc/ca-certificates.conf").write_text("other.crt\n")
    (machine.root / "usr/share/ca-certificates").mkdir(parents=True)
    (machine.root / "usr/share/ca-certificates/other.crt").write_bytes(another_ca())
    program = machine.root / "usr/sbin/update-ca-certificates"
    program.write_text(_ELSEWHERE.format(program=_REAL, root=machine.root))
    host.call(("update-ca-certificates",))
    before = tree(machine.root)
    steps = [Trust(registry.ca.read_bytes())]
    for _ in apply(host, plan(host, steps)):
        pass
    assert plan(host, steps) == []
    trusted = ssl.create_default_context(cafile=str(machine.root / "etc/ssl/certs/ca-certificates.crt"))
    assert trusted.cert_store_stats()["x509_ca"] == 2
    for step in (Distrust(), FilesBack()):
        for _ in apply(host, plan(host, [step])):
            pass
    assert tree(machine.root) == before


def test_the_registry_tells_its_ca_and_proves_to_have_it(registry: Server) -> None:
    assert registry.ca is not None
    kept = registry.ca.read_bytes()
    assert own_ca(registry.port, kept) == kept == own_ca(registry.port, None)
    Remote(registry.host, kept).ping()
    assert own_ca(free_port(), kept) == kept
    with pytest.raises(SourceUnusable, match="start 'k0rdentd registry'"):
        own_ca(free_port(), None)
    assert len(fingerprint(kept).split(":")) == 32


def test_another_program_on_the_registrys_port_is_not_trusted(registry: Server) -> None:
    with pytest.raises(SourceUnusable, match="another program listens"):
        own_ca(registry.port, another_ca())
    with pytest.raises(SourceUnusable, match="certificate verify failed"):
        Remote(registry.host, another_ca()).ping()


def another_ca() -> bytes:
    return make_authority(new_key()).certificate.public_bytes(Encoding.PEM)
