"""Whether the registry has every image that k0s and the charts in it will ask for, for this machine's architecture."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from installer.binary import EmbeddedBinary, K0sSource
from installer.chart import Chart
from installer.errors import CommandFailed, SourceUnusable, WillNot
from installer.host import Host
from installer.k0s import installed_version
from installer.paths import K0S
from installer.preflight.chart_images import ChartImages, chart_images
from installer.preflight.finding import Finding, Severity, fatal, note, refuse, warning
from installer.preflight.images import ImageName
from installer.preflight.unnamed import unnamed_program
from installer.remote import Remote
from installer.settings import Settings
from installer.site import Wishes, find_k0s
from installer.values import airgap_values, merged

_CHARTS = "charts/"
_AT_ONCE = 8
_TOLD = 10
_LOAD = "load a bundle that has it ('k0rdentd load'), or copy it ('k0rdentd store copy')"
_SYSTEM = "k0s' own images"
# Of charts and artifacts; images have a platform.
_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


@dataclass(frozen=True, slots=True)
class Absence:
    """An image that the registry cannot serve, why, and who will ask for it."""

    image: ImageName
    why: str
    wanted_by: tuple[str, ...]


def require_images(host: Host, remote: Remote, settings: Settings, k0s: K0sSource) -> list[Finding]:
    """Know that k0s finds all of its images, on this node's architecture; returns what else there is to say.

    Raises:
        WillNot: it does not; tells all of them.
        SourceUnusable: the registry cannot be asked.
    """
    found = list(check_images(host, remote, settings, k0s))
    _refuse([each for each in found if each.severity is Severity.FATAL], remote)
    return [each for each in found if each.severity is Severity.WARNING]


def require_system_images(host: Host, remote: Remote, k0s: K0sSource) -> None:
    """Know that k0s finds all of its images, where nothing else is to be installed.

    Raises:
        WillNot: it does not; tells all of them.
        SourceUnusable: there is no such k0s, or the registry cannot be asked.
        CommandFailed: k0s does not tell its images.
    """
    wanted = {image: [_SYSTEM] for image in system_images(host, k0s)}
    _refuse([_told(each) for each in missing_images(remote, host.architecture(), wanted)], remote)


def _refuse(found: Sequence[Finding], remote: Remote) -> None:
    refuse(found, f"{remote.address} lacks images of k0s")


def check_images(host: Host, remote: Remote, settings: Settings, k0s: K0sSource | None = None) -> Iterator[Finding]:
    """What is missing; the list of `k0s` is exact, and charts name images that are not always used.

    Without `k0s`, it is the one that an installation would take. Where a node joins, charts are not its concern.

    Raises:
        SourceUnusable: the registry cannot be asked.
    """
    charts, broken = ([], []) if settings.join else read_charts(remote, settings)
    wanted = {
        image: [each.chart for each in charts if image in each.images] for each in charts for image in each.images
    }
    try:
        for image in system_images(
            host, k0s or find_k0s(host, settings, Wishes(embedded=EmbeddedBinary.find()), remote)
        ):
            wanted.setdefault(image, []).append(_SYSTEM)
    except (SourceUnusable, CommandFailed, WillNot) as error:
        yield warning("images", f"k0s' own images are not known: {error}", "bring a k0s of the bundle's version")
    for absence in missing_images(remote, host.architecture(), wanted):
        yield _told(absence)
    yield from broken
    unknown = sum(each.unknown for each in charts)
    if unknown:
        what = (
            f"{len(wanted)} images looked for; {unknown} lines of {len(charts)} charts' templates name more or the same"
        )
        yield note("images", f"{what}, which only rendering would tell")


def _told(absence: Absence) -> Finding:
    users = ", ".join(absence.wanted_by[:_TOLD])
    what = f"{absence.image} is not in the registry for this machine ({absence.why}); wanted by {users}"
    return fatal("images", what, _LOAD) if _SYSTEM in absence.wanted_by else warning("images", what, _LOAD)


def read_charts(remote: Remote, settings: Settings) -> tuple[list[ChartImages], list[Finding]]:
    """What each chart in the registry names; those that cannot be read are findings."""
    found, broken = [], []
    for repository in remote.repositories():
        for tag in remote.tags(repository) if repository.startswith(_CHARTS) else ():
            try:
                found.append(_images_of(remote, repository, tag, settings))
            except SourceUnusable as error:
                broken.append(warning("images", str(error), "load the bundle again"))
    return found, broken


def _images_of(remote: Remote, repository: str, tag: str, settings: Settings) -> ChartImages:
    """k0rdent's own chart is read with the values that it will be installed with, all others with their own."""
    chart = Chart.fetch(remote, repository, tag)
    place = f"{repository.removeprefix(_CHARTS)} {chart.version}"
    if chart.name != settings.k0rdent.helm.chart.rpartition("/")[2]:
        return chart_images(chart.archive, place)
    values = merged(airgap_values(remote.address, nested=chart.nested), settings.k0rdent.helm.values)
    return chart_images(chart.archive, place, values)


def system_images(host: Host, k0s: K0sSource) -> list[ImageName]:
    """What `k0s airgap list-images` prints: the k0s of this host, if it is of that version.

    Raises:
        SourceUnusable: there is no such k0s.
        CommandFailed: it does not tell.
    """
    if installed_version(host) == k0s.version:
        return _listed(host, K0S)
    try:
        with unnamed_program(k0s.pieces()) as program:
            return _listed(Host(environment=host.environment), program)
    except OSError as error:
        raise CommandFailed(f"no room to unpack k0s, which is to tell its images: {error.strerror}") from error


def _listed(host: Host, program: Path) -> list[ImageName]:
    text = host.call((str(program), "airgap", "list-images", "--all"))
    found = [ImageName.parse(line) for line in text.split()]
    if not found or None in found:
        raise CommandFailed(f"'k0s airgap list-images' tells what nobody understands: {text[:200]!r}")
    return [image for image in found if image]


def missing_images(remote: Remote, architecture: str, wanted: dict[ImageName, list[str]]) -> Iterable[Absence]:
    """Those that the registry cannot serve."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        reasons = threads.map(partial(_lacking, remote, architecture), wanted)
        return [
            Absence(image, why, tuple(users))
            for (image, users), why in zip(wanted.items(), reasons, strict=True)
            if why
        ]


def _lacking(remote: Remote, architecture: str, image: ImageName) -> str | None:
    """Why no place of the registry serves the image; None if one does."""
    reasons = []
    for place in image.places:
        try:
            _check_platform(remote, place, image.reference, architecture)
        except SourceUnusable as error:
            reasons.append(
                str(error).partition(": ")[0].removeprefix(f"{remote.address} ").removeprefix(remote.address)
            )
        else:
            return None
    return reasons[0]


def _check_platform(remote: Remote, repository: str, reference: str, architecture: str) -> None:
    """Know that it is there; an image without an index says in its config what it is for."""
    manifest = remote.image(repository, reference, architecture)
    if manifest.config is None or manifest.config.media_type not in _CONFIGS:
        return
    try:
        said = json.loads(b"".join(remote.blob(repository, manifest.config))).get("architecture")
    except (ValueError, AttributeError) as error:
        raise SourceUnusable(f"its config cannot be read: {error}") from error
    if said not in (None, "", architecture):
        raise SourceUnusable(f"it is for {said}")
