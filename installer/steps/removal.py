"""The way back: k0s gone, and every file as it was before the installation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from installer.changes import Change, Replaced, Run
from installer.host import Host
from installer.journal import JOURNAL, Record, close, has_begun_k0s, records
from installer.k0s import has_peers, has_state, installed_role, installed_version, is_running
from installer.paths import K0S
from installer.steps.remains import take_away


@dataclass(frozen=True, slots=True)
class K0sGone:
    """No k0s of ours runs, is a service, or has state here."""

    title: str = "k0s"

    def changes(self, host: Host) -> Iterator[Change]:
        if not has_begun_k0s(host):
            return  # a k0s that runs here all the same is somebody else's
        if installed_version(host) is None:  # gone, or broken: it can take nothing away
            yield from take_away(host)
            return
        if has_peers(host):
            yield Run((str(K0S), "etcd", "leave"), "the other controllers go on without this one")
        if is_running(host):
            yield Run((str(K0S), "stop"), "k0s ends on this node")
        if installed_role(host) or has_state(host):
            yield Run((str(K0S), "reset"), "its service, containers and state go", patience=900)


@dataclass(frozen=True, slots=True)
class Restore:
    """Have a path be what it was before the installation, and need no record of it any more."""

    record: Record
    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        if self.record.before is None:
            return f"remove {self.record.path}"
        return f"restore {self.record.path} as it was before the installation"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        if not self.record.is_back(host):
            self.record.restore(host)
        self.record.forget(host)
        return ()


@dataclass(frozen=True, slots=True)
class CloseJournal:
    """Have no journal: all is as it was."""

    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        return f"remove {JOURNAL}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        close(host)
        return ()


@dataclass(frozen=True, slots=True)
class FilesBack:
    """Every file that was replaced is back; one that somebody changed since stays, unless `force` says otherwise."""

    force: bool = False
    title: str = "files"

    def changes(self, host: Host) -> Iterator[Change]:
        left = () if self.force else changed_since(host)
        for record in records(host):
            stays = any(each.path.is_relative_to(record.path) for each in left)
            if not stays and not record.is_of_the_journal:
                yield Restore(record)
        if not left and host.look(JOURNAL) is not None:
            yield CloseJournal()


def changed_since(host: Host) -> list[Record]:
    """Paths where something stands that is neither what was there before nor what we wrote."""
    return [record for record in records(host) if not record.is_back(host) and not record.is_ours(host)]
