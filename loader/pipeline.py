"""The whole way of a bundle: source, ingest, publish; one pass, one straight line."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from loader.config import LoadSettings
from loader.errors import BundleInvalid
from loader.ingest import Ingest
from loader.pool import Pool
from loader.publish import publish
from loader.report import Outcome, Report, Status, human
from loader.source import Member, Source
from registry.storage.errors import StorageError, StorageFull
from registry.storage.roots import free_bytes
from registry.storage.store import Store


@dataclass(slots=True)
class Load:
    """One load of one bundle: iterate `outcomes()`, read `report` and `progress` meanwhile."""

    settings: LoadSettings
    source: Source
    store: Store
    report: Report = field(init=False)

    def __post_init__(self) -> None:
        self.report = Report(str(self.settings.bundle.resolve()))

    @property
    def size(self) -> int:
        """Bytes of the bundle, as it lies on disk."""
        return self.source.size

    @property
    def position(self) -> int:
        """How many of them are done with; never less than before."""
        return self.report.bytes if self.source.path.is_dir() else self.source.position

    @property
    def total(self) -> int | None:
        """How many images and charts there are, None where only the end of the bundle will tell."""
        return self.source.total

    def outcomes(self) -> Iterator[Outcome]:
        """Each member's outcome as soon as it is certain; an image is served from then on.

        Raises:
            BundleInvalid: the bundle cannot be read on, or holds no image at all.
            StorageBusy: another load into this store is running.
            StorageFull: the disk is too small, or became full. Images given out stay.
        """
        with self.store.loading():
            with self.store.snapshot() as snapshot:
                before = snapshot.load_state(self.report.bundle)
            if not self.settings.force:
                _check_space(self.source, self.store, before)
            self._remember("loading")
            try:
                yield from self._run()
            except BaseException:
                with suppress(StorageError):  # a full disk must not hide what went wrong
                    self._remember("interrupted")
                raise
            self._remember("failed" if self.report.failures else "loaded")

    def _run(self) -> Iterator[Outcome]:
        excluded: list[Outcome] = []
        with Pool(self.store.blobs, self.settings.jobs) as pool:
            archives = Ingest(self.store, pool).archives(self._wanted(excluded))
            for outcome in publish(archives, self.store, self.settings.selection):
                yield from self._told(excluded)
                self.report.add(outcome)
                yield outcome
        yield from self._told(excluded)
        if not self.report.members:
            raise BundleInvalid(f"{self.source.path} holds no image or chart: is it the airgap bundle?")

    def _told(self, excluded: list[Outcome]) -> Iterator[Outcome]:
        while excluded:
            outcome = excluded.pop(0)
            self.report.add(outcome)
            yield outcome

    def _wanted(self, excluded: list[Outcome]) -> Iterator[Member]:
        selection = self.settings.selection
        for member in self.source.members():
            if member.fault is not None or selection.may_admit(member.path):
                yield member
            else:
                reference = selection.name(member.path)
                excluded.append(Outcome(member.path, member.content.size, Status.EXCLUDED, reference))

    def _remember(self, state: str) -> None:
        self.store.put_load_state(self.report.bundle, self.report.state(state))


def _check_space(source: Source, store: Store, state: dict[str, object] | None) -> None:
    """A bundle hardly shrinks or grows when it is unpacked: layers are compressed already.

    What an earlier load of this bundle brought needs no room again, be it named or left by a kill.
    """
    roots = {os.stat(root.layout.root).st_dev: root for root in store.blobs.roots}.values()
    free = sum(free_bytes(root) for root in roots)
    loaded = state.get("bytes") if state else 0
    held = store.blobs.disk_bytes() - store.stored_bytes() + (loaded if isinstance(loaded, int) else 0)
    if free + held < source.size:
        raise StorageFull(
            f"the bundle needs up to {human(source.size)}, {human(held)} of it are here, and the storage has "
            f"{human(free)} free: "
            "free some space, add a disk with another --storage, or try all the same with --force"
        )
