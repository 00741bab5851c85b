"""Which k0s a host gets, and when an installation keeps its hands off the one that is there.

installed       service           asked for            what happens
nothing         none              any                  installed
the same        none or ours      the same             kept
another         none              any                  refused without --replace-k0s
any             somebody else's   any                  refused
older           ours              next minor at most   refused without --replace-k0s, then upgraded
older           ours              further              refused: k0s goes one minor version at a time
newer           ours              older                refused: k0s does not go back
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from installer.errors import SourceUnusable, WillNot
from installer.host import Host
from installer.k0s import Status, has_state, installed_role, installed_version
from installer.paths import K0S, STARTED_WITH
from installer.remote import Remote
from installer.settings_types import K0sVersion
from installer.started import Started

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class K0sHere:
    """The k0s of a host: its executable, the one that runs, as what service, and whether that is of our making."""

    version: K0sVersion | None
    role: str | None
    ours: bool

    @classmethod
    def of(cls, host: Host) -> Self:
        """As it is now; what runs counts for more than the file, which may have been replaced already, or be gone."""
        status, started = Status.of(host), Started.of(host)
        text = status.version if status else installed_version(host) or (started.version if started else None)
        role = installed_role(host) or ("unknown" if has_state(host) else None)
        try:
            version = None if text is None else K0sVersion.parse(text)
        except ValueError as error:
            raise WillNot(
                f"{K0S} is of a version that nobody knows ({text}): remove it, or use --replace-k0s"
            ) from error
        return cls(version, role, host.look(STARTED_WITH) is not None)


def check_replacement(here: K0sHere, wanted: K0sVersion, *, allowed: bool, unfinished: bool) -> None:
    """Know that `wanted` may take the place of what is there; `unfinished`: an installation of ours began here.

    Raises:
        WillNot: it may not, and why.
    """
    if here.role is not None and not (here.ours or unfinished):
        raise WillNot(
            f"k0s is on this host already, and k0rdentd did not install it (service: {here.role}): "
            "remove it with 'k0s stop' and 'k0s reset', or choose another host"
        )
    if here.version is None or here.version == wanted:
        return
    if here.ours and _order(wanted) < _order(here.version):
        raise WillNot(f"k0s {here.version} runs here, and k0s cannot go back to {wanted}: ask for {here.version}")
    if here.ours and not _is_next(here.version, wanted):
        raise WillNot(
            f"k0s {here.version} runs here, and can be upgraded by one minor version at a time: {wanted} is further"
        )
    if not (allowed or unfinished):
        raise WillNot(f"{K0S} is {here.version}, and {wanted} is to be installed: allow that with --replace-k0s")


def choose(available: Iterable[str], asked: K0sVersion | None, here: K0sVersion | None, registry: str) -> K0sVersion:
    """What is asked for, else what is there, else the newest: of those that the registry has images of.

    Raises:
        SourceUnusable: it does not have that one.
    """
    known = sorted(_parsed(available), key=_order)
    if not known:
        raise SourceUnusable(f"{registry} has no image of k0s: load the bundle ('k0rdentd load', or --bundle-path)")
    if asked is None:
        return here if here in known else known[-1]
    if asked not in known:
        raise SourceUnusable(
            f"{registry} has no k0s {asked}, only {', '.join(known)}: k0s and its images must be of one version, "
            "so ask for one of these, or load the bundle that has it"
        )
    return asked


def newest_chart(remote: Remote, repository: str) -> str:
    """The newest version of a chart that the registry has.

    Raises:
        SourceUnusable: it has none.
    """
    tags = [tag for tag in remote.tags(repository) if tag[:1].isdigit()]
    if not tags:
        raise SourceUnusable(f"{remote.address} has no {repository}: load the bundle that has it")
    return max(tags, key=chart_order).replace("_", "+")


def chart_order(version: str) -> tuple[list[int], bool, list[tuple[bool, int, str]]]:
    """By which versions of charts, or their tags, are older and newer, as Semantic Versioning has it."""
    number, dash, before = version.replace("_", "+").partition("+")[0].partition("-")
    parts = [(not each.isdigit(), int(each) if each.isdigit() else 0, each) for each in before.split(".")]
    return [int(each) for each in _NUMBER.findall(number)], not dash, parts


def _parsed(tags: Iterable[str]) -> Iterable[K0sVersion]:
    for tag in tags:
        try:
            yield K0sVersion.parse(tag)
        except ValueError:
            continue  # a signature, or whatever else has a tag there


def _order(version: K0sVersion) -> tuple[int, int, int, int, str, int]:
    """By which versions are older and newer; what is before a release (`-rc.1`) comes before it."""
    number, _, build = version.removeprefix("v").partition("+k0s.")
    release, dash, before = number.partition("-")
    major, minor, patch = (int(part) for part in release.split("."))
    return major, minor, patch, 0 if dash else 1, before, int(build)


def _is_next(here: K0sVersion, wanted: K0sVersion) -> bool:
    return wanted.minor[0] == here.minor[0] and wanted.minor[1] - here.minor[1] <= 1
