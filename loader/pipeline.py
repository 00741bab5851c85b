"""The whole way of a bundle: source, ingest, publish; one pass, one straight line."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from loader.config import LoadSettings
from loader.errors import BundleInvalid, Untrusted
from loader.ingest import Archive, Ingest
from loader.pool import Pool
from loader.publish import publish, publish_proven
from loader.report import Origin, Outcome, Report, Status
from loader.signature import SHA256, Check
from loader.source import Member, Source
from registry.storage.errors import StorageError, StorageFull
from registry.storage.roots import free_bytes
from registry.storage.store import Store
from registry.units import human


@dataclass(slots=True)
class Load:
    """One load of one bundle: iterate `outcomes()`, read `report` and `progress` meanwhile."""

    settings: LoadSettings
    source: Source
    store: Store
    report: Report = field(init=False)
    _interrupted: bool = False

    def __post_init__(self) -> None:
        bundle = self.settings.bundle.resolve()
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        self.report = Report(str(bundle), Origin(bundle.name, self.source.size, begun))

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

    def interrupt(self) -> None:
        """Let `outcomes()` raise KeyboardInterrupt where that is safe, which it is not inside of a lock of Python's."""
        self._interrupted = True

    def outcomes(self) -> Iterator[Outcome]:
        """Each member's outcome as soon as it is certain; an image is served from then on.

        With a signature to check, members come out as read first, and nothing is certain until the end.

        Raises:
            Untrusted: the signature does not hold. No image has a name by this load.
            BundleInvalid: the bundle cannot be read on, or holds no image at all.
            StorageBusy: another load into this store is running.
            StorageFull: the disk is too small, or became full. Images given out stay.
            KeyboardInterrupt: after `interrupt()`.
        """
        with self.store.loading():
            self.report.held = self._held()
            if not self.settings.force:
                _check_space(self.source, self.store, self.report.held)
            self._remember("loading")
            try:
                yield from self._run()
            except Untrusted:
                self._remember("refused")
                raise
            except BaseException:
                with suppress(StorageError):  # a full disk must not hide what went wrong
                    self._remember("interrupted")
                raise
            self._remember("failed" if self.report.failures else "loaded")

    def _run(self) -> Iterator[Outcome]:
        excluded: list[Outcome] = []
        prove = self._proof()
        with Pool(self.store.blobs, self.settings.jobs) as pool:
            archives = Ingest(self.store, pool, self._go_on).archives(self._wanted(excluded))
            for outcome in self._published(archives, prove):
                yield from self._told(excluded)
                yield outcome
        yield from self._told(excluded)
        if not self.report.members:
            raise BundleInvalid(f"{self.source.path} holds no image or chart: is it the airgap bundle?")

    def _published(self, archives: Iterator[Archive], prove: Callable[[], None] | None) -> Iterator[Outcome]:
        if prove is None:
            return publish(archives, self.store, self.settings.selection, self.report)
        return publish_proven(archives, self.store, self.settings.selection, self.report, prove)

    def _proof(self) -> Callable[[], None] | None:
        """What raises Untrusted unless the bundle, hashed from now on, is what its signer signed."""
        if self.settings.evidence is None:
            return None
        check = Check.open(self.source.path, self.settings.evidence)
        file = self.source.hash(check.algorithms)

        def prove() -> None:
            digests = file.digests()
            check.require(digests)
            self.report.origin.sha256 = digests[SHA256].hex()
            self.report.origin.signer = check.signer.fingerprint

        return prove

    def _go_on(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

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

    def _held(self) -> int:
        """Bytes that earlier loads of this bundle brought and named, the last one be it killed or not."""
        with self.store.snapshot() as snapshot:
            state = snapshot.load_state(self.report.bundle)
        brought = state["bytes"] if state else 0
        return brought if isinstance(brought, int) else 0

    def _remember(self, state: str) -> None:
        self.store.put_load_state(self.report.bundle, self.report.state(state))


def _check_space(source: Source, store: Store, named: int) -> None:
    """A bundle hardly shrinks or grows when it is unpacked: layers are compressed already.

    What an earlier load of this bundle brought needs no room again, be it named or left by a kill.
    """
    roots = {os.stat(root.layout.root).st_dev: root for root in store.blobs.roots}.values()
    free = sum(free_bytes(root) for root in roots)
    held = store.blobs.disk_bytes() - store.stored_bytes() + named
    if free + held < source.size:
        raise StorageFull(
            f"the bundle needs up to {human(source.size)}, {human(held)} of it are here, and the storage has "
            f"{human(free)} free: "
            "free some space, add a disk with another --storage, or try all the same with --force"
        )
