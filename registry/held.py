"""A bundle that was loaded once is not needed any more: the store holds all of it."""

import logging
from dataclasses import replace
from pathlib import Path

from registry.config import RegistrySettings, SettingInvalid
from registry.oci.errors import Failure
from registry.storage.errors import RootMissing, StorageError
from registry.storage.loads import has_completed_load
from registry.storage.store import Store
from registry.text import spelled
from registry.verification import EvidenceMissing

_log = logging.getLogger(__name__)


def without_gone_bundle(settings: RegistrySettings) -> RegistrySettings:
    """The same, and without the bundle where its file is gone and the store holds it.

    Raises:
        SettingInvalid: the file is gone, and the store does not hold it.
    """
    bundle = settings.bundle
    if bundle is None or bundle.exists():
        return settings
    gone = SettingInvalid(f"no bundle at {bundle}: give the file or directory with --bundle-path")
    return _without(bundle, settings, gone)


def without_unproven_bundle(settings: RegistrySettings) -> RegistrySettings:
    """The same, and without the bundle where nothing proves it any more and the store holds it.

    Raises:
        EvidenceMissing: nothing proves it, and the store does not hold it.
    """
    if settings.bundle is None:
        return settings
    try:
        if evidence := settings.verification.evidence(settings.bundle):
            evidence.require()
    except EvidenceMissing as error:
        return _without(settings.bundle, settings, error)
    return settings


def _without(bundle: Path, settings: RegistrySettings, reason: Failure) -> RegistrySettings:
    if not _is_held(bundle, settings):
        raise reason
    _log.warning("%s: it was loaded before, and what it brought is served without it", reason)
    return replace(settings, bundle=None)


def _is_held(bundle: Path, settings: RegistrySettings) -> bool:
    try:
        store = Store.open(settings.storage, create=False)
    except RootMissing:
        raise
    except StorageError:
        return False
    try:
        with store.snapshot() as snapshot:
            return has_completed_load(snapshot, spelled(bundle))
    finally:
        store.close()
