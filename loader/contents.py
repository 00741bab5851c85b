"""What is in a bundle, read without loading it: a listing, and the version of k0rdent."""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from loader.archive import ENTRY, read_archive
from loader.errors import BundleInvalid, LoaderError, MemberInvalid, MemberTruncated
from loader.layout import INDEX, is_blob, read_layout
from loader.member import Member
from loader.naming import reference_for
from loader.platforms import select
from loader.rawfile import Pipe
from loader.selection import Selection
from loader.source import Source
from loader.stream import Window, open_stream
from loader.tar import Kind, read_entries
from registry.oci.descriptor import as_list, as_object
from registry.oci.errors import OCIError
from registry.oci.manifest import SIZE_LIMIT, Manifest, load_json
from registry.oci.mediatype import HELM_CHART, HELM_CONFIG
from registry.oci.reference import Reference
from registry.text import printable
from registry.units import human

_ENTERPRISE_CHART = "charts/k0rdent-enterprise_*.tar"
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,128}")  # it goes to a terminal, and into file names
_CHART_YAML_LIMIT = 256 * 1024
_CHART_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """One member of a bundle; `error` tells why it would not load, and `is_wanted` whether a load is to take it."""

    path: str
    size: int
    kind: str
    reference: Reference | None = None
    platforms: tuple[str, ...] = ()
    error: str | None = None
    is_wanted: bool = False

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what is not known."""
        document: dict[str, object] = {"path": self.path, "size": self.size, "kind": self.kind}
        if self.reference is not None:
            document["image"] = str(self.reference)
        if self.platforms:
            document["platforms"] = list(self.platforms)
        if self.error is not None:
            document["error"] = self.error
        return document

    @property
    def outcome(self) -> str:
        """What a load would do."""
        if self.error is not None:
            return "would fail"
        return "would load" if self.is_wanted else "excluded"

    def line(self) -> str:
        """One line for an operator."""
        if self.error is not None:
            return f"{'broken':<14} {human(self.size):>9}  {printable(self.path)}: {printable(self.error)}"
        platforms = f"  {', '.join(self.platforms)}" if self.platforms else ""
        return f"{self.kind:<14} {human(self.size):>9}  {self.reference}{platforms}"


def list_members(source: Source, selection: Selection | None = None) -> Iterator[Listed]:
    """Every image and chart, in the bundle's order; blobs are passed over, not checked.

    Raises:
        BundleInvalid: the bundle cannot be read on.
    """
    selection = selection or Selection()
    for member in source.members():
        try:
            yield _listed(member, selection)
        except (MemberInvalid, OCIError) as error:
            yield Listed(member.path, member.content.size, "unknown", error=str(error))


def k0rdent_version(source: Source) -> str:
    """The version in the Chart.yaml of the bundle's k0rdent-enterprise chart; nothing behind it is read.

    Raises:
        BundleInvalid: there is no such chart, or it cannot be read.
    """
    for member in source.members():
        if member.fault is None and fnmatchcase(member.path, _ENTERPRISE_CHART):
            try:
                return _chart_version(_read_files(member, SIZE_LIMIT))
            except (LoaderError, OCIError) as error:
                raise BundleInvalid(f"{source.path}: {member.path} cannot be read: {error}") from error
    raise BundleInvalid(f"{source.path} holds no {_ENTERPRISE_CHART}: is it the airgap bundle?")


def _listed(member: Member, selection: Selection) -> Listed:
    if member.fault is not None:
        raise member.fault
    files = _read_files(member, 0)
    listed = (
        _oci_listed(member, files, selection) if INDEX in files else _docker_listed(member, files, selection.prefix)
    )
    is_for_others = bool(selection.platforms) and select(files, selection).is_excluded
    return replace(listed, is_wanted=selection.admits(listed.reference) and not is_for_others)


def _oci_listed(member: Member, files: Mapping[str, bytes], selection: Selection) -> Listed:
    layout = read_layout(files, selection)
    root = layout.manifests[layout.root]
    platforms = sorted(
        {child.platform for each in layout.manifests.values() for child in each.children if child.platform}
    )
    reference = reference_for(member.path, layout.versions, selection.prefix)
    return Listed(member.path, member.content.size, _kind(root), reference, tuple(platforms))


def _docker_listed(member: Member, files: Mapping[str, bytes], prefix: str) -> Listed:
    if "manifest.json" not in files:
        raise MemberInvalid("neither an OCI layout (index.json) nor a docker-archive (manifest.json) is in it")
    document = load_json(files["manifest.json"])
    entry = as_object(document[0] if isinstance(document, list) and document else None, "entry of manifest.json")
    tags = [str(tag).rpartition(":")[2] for tag in as_list(entry, "RepoTags")]
    return Listed(member.path, member.content.size, "docker-archive", reference_for(member.path, tags, prefix))


def _kind(root: Manifest) -> str:
    if root.config is not None and root.config.media_type == HELM_CONFIG:
        return "chart"
    return "artifact" if root.artifact_type else "image"


def _read_files(member: Member, blob_limit: int) -> dict[str, bytes]:
    """The JSON documents of an archive, and with `blob_limit` its other small blobs too."""
    files: dict[str, bytes] = {}
    held = 0
    for entry in read_archive(member.content):
        name = entry.name.removeprefix("./")
        if entry.kind is not Kind.FILE or entry.content.size > SIZE_LIMIT:
            continue
        head = entry.content.read(1)
        if name.endswith(".json") or (is_blob(name) and (head == b"{" or entry.content.size <= blob_limit)):
            files[name] = head + entry.content.read(entry.content.size)
            held += ENTRY + len(files[name])
        if held > _CHART_LIMIT:
            raise MemberInvalid(f"its documents have more than {_CHART_LIMIT} bytes")
    return files


def _chart_version(files: Mapping[str, bytes]) -> str:
    layout = read_layout(files)
    for layer in layout.manifests[layout.root].layers:
        body = files.get(f"blobs/{str(layer.digest).replace(':', '/')}")
        if layer.media_type == HELM_CHART and body is not None:
            return _version_of(_chart_yaml(body))
    raise MemberInvalid("it holds no Helm chart")


def _chart_yaml(chart: bytes) -> bytes:
    damaged = MemberTruncated("the chart in it ends early")
    # A chart that unpacks without end is cut off: its Chart.yaml stands at the front.
    with open_stream(Path("chart.tgz"), Pipe(io.BytesIO(chart))) as stream:
        for entry in read_entries(Window(stream, _CHART_LIMIT, damaged), damaged):
            if entry.name.count("/") == 1 and entry.name.endswith("/Chart.yaml") and entry.content.size <= SIZE_LIMIT:
                return entry.content.read(entry.content.size)
    raise MemberInvalid("the chart in it has no Chart.yaml")


def _version_of(chart_yaml: bytes) -> str:
    if len(chart_yaml) > _CHART_YAML_LIMIT:
        raise MemberInvalid(f"its Chart.yaml has {len(chart_yaml)} bytes")
    try:
        document = yaml.safe_load(chart_yaml)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise MemberInvalid("its Chart.yaml is not YAML") from error
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise MemberInvalid("its Chart.yaml has no version")
    return version
