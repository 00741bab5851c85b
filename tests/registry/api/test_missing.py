"""Misses are collected without the disk, bounded, and not lost when the disk refuses."""

import logging
import time

import pytest
from falcon.testing import create_req

from registry.api import missing
from registry.api.missing import Missing
from registry.api.upstream import UPSTREAM, Upstream, other_name, upstream
from registry.oci.reference import RepositoryName, Tag
from registry.storage.errors import StorageFull
from registry.storage.ledger import Ledger
from registry.storage.misses import Miss, Wanted
from registry.storage.store import Store
from tests.faults.processes import wait_until


class FullDisk(Ledger):
    """A ledger that can be written to only once its disk has room."""

    full = True

    def add(self, misses: object) -> None:
        if self.full:
            raise StorageFull("no space left")
        super().add(misses)  # type: ignore[arg-type]


def wanted(name: str) -> Wanted:
    return Wanted(None, RepositoryName(name), Tag("1"))


def test_misses_are_written_behind_the_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "PAUSE", 0.05)
    collected = Missing(store.ledger)
    for _ in range(5):
        collected.note(wanted("a"), "10.0.0.1")
    wait_until(lambda: [each.count for each in store.ledger.still_missing()] == [5], "nothing was written")


def test_a_full_disk_loses_nothing_and_is_told_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    ledger = FullDisk(store._index)
    collected = Missing(ledger)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            collected.note(wanted("a"), "10.0.0.1")
            collected.flush()
    assert [record.message for record in caplog.records] == ["missing images cannot be written down: no space left"]
    ledger.full = False
    collected.flush()
    assert [each.count for each in ledger.still_missing()] == [3]


def test_a_flood_stays_small_and_leaves_the_others(store: Store) -> None:
    collected = Missing(FullDisk(store._index))
    collected.note(wanted("quiet"), "10.0.0.1")
    for number in range(3 * missing._WAITING):
        collected.note(wanted(f"flood{number}"), "10.9.9.9")
        assert len(collected._waiting) <= missing._WAITING
    assert wanted("quiet") in collected._waiting


def test_records_of_one_name_become_one() -> None:
    now = time.time()
    one, two = Miss(wanted("a"), 1, now, now, "x"), Miss(wanted("a"), 2, now - 5, now + 5, "y")
    assert one + two == two + one == Miss(wanted("a"), 3, now - 5, now + 5, "y")


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("ns=docker.io", "docker.io"),
        ("ns=Docker.IO", "docker.io"),
        ("ns=192.168.1.10%3A5000", "192.168.1.10:5000"),
        ("ns=[fd00::1]:5000", "[fd00::1]:5000"),
        ("n=1&ns=quay.io", "quay.io"),
        ("ns=", None),
        ("ns=a%20b", None),
        ("ns=a%0d%0ab", None),
        ("ns=" + "a" * 300, None),
        ("ns=../../etc", None),
        ("", None),
    ],
)
def test_the_upstream_is_noted_for_log_and_resources_where_it_is_a_host(query: str, host: str | None) -> None:
    req = create_req(path="/v2/", query_string=query)
    Upstream().process_request(req, None)  # type: ignore[arg-type]
    assert upstream(req) == req.env.get(UPSTREAM) == host
    assert (other_name(req, RepositoryName("library/a")) == "a") == (host == "docker.io")
