"""What `/metrics` says, in Prometheus' text format: counters, the store, loads, the certificate."""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate

from registry.pki.certificates import Certificates
from registry.server.counters import SECONDS, Event, Gauge, Sums
from registry.storage.care import Run, last_runs
from registry.storage.errors import StorageError
from registry.storage.layout import Layout
from registry.storage.loads import load_phase, load_states
from registry.storage.store import Store

# Adding up the sizes of a million blobs takes a second: no more than a hundredth of the time goes there.
_LEAST_AGE, _AGE_BY_COST = 5.0, 100.0
_LOAD_STATES = ("loading", "loaded", "failed", "interrupted", "killed", "refused")
_TABLES = {
    "blobs": "Blobs in the store.",
    "manifests": "Manifests in the store.",
    "tags": "Tags in the store.",
    "repositories": "Repositories in the store.",
    "uploads": "Uploads that are open.",
}

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, with a sample for each set of labels; of a histogram the name's ending is the label `""`."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items() if name)
            yield f"{self.name}{labels.get('', '')}{{{shown}}} {value}" if shown else f"{self.name} {value}"


class Exposition:
    """All metrics; a new source of them is one more line in `read`."""

    def __init__(
        self, store: Store, certificates: Certificates | None, read_sums: Callable[[], Sums], started: float
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._read_sums = read_sums
        self._started = started
        self._lock = threading.Lock()
        self._measured: tuple[Family, ...] = ()
        self._measure_again = 0.0

    def read(self) -> bytes:
        """As of now; what is in the store, as of some seconds ago."""
        families = [
            *_process(self._started),
            *_requests(self._read_sums()),
            *_certificate(self._certificates),
            *self._content(),
            *_disks(self._store),
        ]
        return "".join(f"{line}\n" for family in families for line in family.lines()).encode()

    def _content(self) -> tuple[Family, ...]:
        with self._lock:
            began = time.monotonic()
            if began >= self._measure_again:
                self._measured = _store_families(self._store)
                ended = time.monotonic()
                self._measure_again = ended + max(_LEAST_AGE, (ended - began) * _AGE_BY_COST)
            return self._measured


def _process(started: float) -> Iterator[Family]:
    facts = {"version": version("k0rdentd"), "python": platform.python_version()}
    yield Family("k0rdentd_build_info", "gauge", "The version that serves.", ((facts, 1),))
    yield _single("k0rdentd_registry_start_time_seconds", "gauge", "When the registry started.", started)


def _requests(sums: Sums) -> Iterator[Family]:
    answers = tuple(
        ({"method": method, "route": route, "status": status}, count)
        for (method, route, status), count in sums.answers().items()
    )
    yield Family("k0rdentd_registry_requests_total", "counter", "Requests answered.", answers)
    yield _by_route("k0rdentd_registry_requests_cut_total", "Requests without their whole answer.", sums.cut())
    yield _by_route("k0rdentd_registry_sent_bytes_total", "Bytes of bodies that were sent.", sums.sent())
    yield _durations(sums)
    for name, text, gauge in (
        ("workers", "Processes that serve.", Gauge.SERVING),
        ("open_connections", "Connections that are open.", Gauge.CONNECTIONS),
        ("open_requests", "Requests that are being answered.", Gauge.REQUESTS),
    ):
        yield _single(f"k0rdentd_registry_{name}", "gauge", text, sums.gauge(gauge))
    for name, text, event in (
        ("workers_started", "Worker processes started.", Event.WORKER_STARTED),
        ("reloads", "Reloads of the settings (SIGHUP).", Event.RELOADED),
        ("reloads_failed", "Reloads that were refused.", Event.RELOAD_FAILED),
    ):
        yield _single(f"k0rdentd_registry_{name}_total", "counter", text, sums.event(event))


def _durations(sums: Sums) -> Family:
    samples: list[Sample] = []
    for route, (buckets, seconds) in sums.durations().items():
        counts = list(accumulate(buckets))
        for limit, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
            samples.append(({"": "_bucket", "route": route, "le": limit}, count))
        samples += [({"": "_sum", "route": route}, seconds), ({"": "_count", "route": route}, counts[-1])]
    text = "Time from the request to the last byte of its answer."
    return Family("k0rdentd_registry_request_seconds", "histogram", text, tuple(samples))


def _certificate(certificates: Certificates | None) -> Iterator[Family]:
    if certificates is None:
        return
    certificates.context()  # looks whether the files have changed
    name, text = "k0rdentd_registry_certificate_expiry_timestamp_seconds", "When the certificate that is served ends."
    yield _single(name, "gauge", text, certificates.expires.timestamp())


def _store_families(store: Store) -> tuple[Family, ...]:
    name, text = "k0rdentd_store_readable", "Whether the store's index can be read."
    try:
        with store.snapshot() as snapshot:
            counts = {table: snapshot.count(table) for table in _TABLES}
            size = snapshot.stored_bytes()
            loads = list(load_states(snapshot))
            runs = list(last_runs(snapshot))
    except StorageError:
        return (_single(name, "gauge", text, 0),)
    return (
        _single(name, "gauge", text, 1),
        *(_single(f"k0rdentd_store_{table}", "gauge", _TABLES[table], count) for table, count in counts.items()),
        _single("k0rdentd_store_blob_bytes", "gauge", "The sizes of all blobs together.", size),
        *_loads(loads, store.layout),
        *_care(runs),
    )


def _loads(loads: Iterable[Mapping[str, object]], layout: Layout) -> Iterator[Family]:
    states, counts = [], []
    for load in loads:
        bundle = {"bundle": str(load["bundle"])}
        phase = load_phase(load, layout)
        states += [(bundle | {"state": state}, float(phase == state)) for state in _LOAD_STATES]
        counts.append((bundle, load))
    yield Family("k0rdentd_load_state", "gauge", "1 for the state that the last load is in.", tuple(states))
    for name, key, text in (
        ("images", "images", "Images of the bundle that the store holds."),
        ("failed_images", "failed", "Members of the bundle that could not be loaded."),
        ("bytes", "bytes", "Bytes of the bundle that were gone through."),
    ):
        samples = tuple((bundle, _number(load.get(key))) for bundle, load in counts)
        yield Family(f"k0rdentd_load_{name}", "gauge", text, samples)


def _care(runs: Sequence[Run]) -> Iterator[Family]:
    yield _by_work(
        "end_timestamp_seconds", "When the last run ended, or was last heard of.", {r.work: r.ended for r in runs}
    )
    yield _by_work(
        "duration_seconds", "How long it took, pauses of a scrub included.", {r.work: r.ended - r.began for r in runs}
    )
    yield _by_work("complete", "Whether it came to its end.", {r.work: r.complete for r in runs})
    yield _by_work("bytes", "Bytes that gc has freed, or scrub has read.", {r.work: r.bytes for r in runs})
    counts = tuple(({"work": run.work, "what": what}, float(n)) for run in runs for what, n in run.counts.items())
    yield Family("k0rdentd_store_care_count", "gauge", "What gc has removed, or scrub has found, by kind.", counts)


def _by_work(name: str, text: str, values: Mapping[str, float]) -> Family:
    samples = tuple(({"work": work}, float(value)) for work, value in values.items())
    return Family(f"k0rdentd_store_care_{name}", "gauge", text, samples)


def _disks(store: Store) -> Iterator[Family]:
    sizes, free = [], []
    for root in store.blobs.roots:
        label = {"root": str(root.layout.root)}
        try:
            usage = os.statvfs(root.layout.root)
        except OSError:
            continue
        sizes.append((label, float(usage.f_blocks * usage.f_frsize)))
        free.append((label, float(usage.f_bavail * usage.f_frsize)))
    yield Family("k0rdentd_store_disk_bytes", "gauge", "Size of the disk below a storage root.", tuple(sizes))
    yield Family("k0rdentd_store_disk_free_bytes", "gauge", "What is left on it.", tuple(free))


def _by_route(name: str, text: str, counts: Mapping[str, int]) -> Family:
    return Family(name, "counter", text, tuple(({"route": route}, count) for route, count in counts.items()))


def _single(name: str, kind: str, text: str, value: float) -> Family:
    return Family(name, kind, text, (({}, value),))


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) else 0


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
