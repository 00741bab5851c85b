"""What is done now and then: in one process only, and every part of it."""

import pytest

from registry.pki.authority import OwnAuthority
from registry.pki.certificates import Certificates
from registry.server.housekeeping import keep_house
from registry.storage.errors import StorageUnusable
from registry.storage.layout import Layout
from registry.storage.store import Store
from tests.registry.pki.certs import DAY, LOCAL, NOW


def test_certificates_are_renewed_by_whoever_keeps_house(store: Store) -> None:
    clock = [NOW]
    authority = OwnAuthority(Layout(store.token_key.parent.parent), machine=lambda: LOCAL)
    certificates = Certificates(authority, clock=lambda: clock[0])
    clock[0] = NOW + 300 * DAY
    with store.housekeeping() as mine:
        assert mine
        keep_house(store, 60, certificates)
        certificates.reload()
        assert certificates.expires < NOW + 400 * DAY
    keep_house(store, 60, certificates)
    certificates.reload()
    assert certificates.expires > NOW + 600 * DAY


def test_a_broken_disk_does_not_keep_the_certificate_from_being_renewed(store: Store) -> None:
    clock = [NOW]
    certificates = Certificates(OwnAuthority(store.layout, machine=lambda: LOCAL), clock=lambda: clock[0])
    clock[0] = NOW + 300 * DAY
    store.layout.uploads.rename(store.layout.root / "away")
    with pytest.raises(StorageUnusable, match="uploads"):
        keep_house(store, 60, certificates)
    certificates.reload()
    assert certificates.expires > NOW + 600 * DAY


def test_without_tls_the_rest_is_done(store: Store) -> None:
    keep_house(store, 60, None)
