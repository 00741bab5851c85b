"""Which images a chart will ask for, as far as that can be known without rendering it.

values.yaml      mappings of registry, repository and tag, with what the chart says of its dependencies laid over theirs
templates/       lines `image:` that are written out, or name one value
not known        lines that call helpers or conditions: they mostly assemble what values.yaml says, but nobody can tell
"""

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from installer.errors import SourceUnusable
from installer.preflight.images import ImageName
from installer.values import merged

_LARGEST = 4 << 20
_TOTAL = 128 << 20
_DEEPEST = 40
_WANTED = re.compile(r"(?:Chart\.ya?ml|values\.ya?ml|templates/.+\.(?:ya?ml|tpl))$")
_LINE = re.compile(r"^\s*(?:-\s+)?image:\s*(?P<image>\S.*?)\s*$", re.MULTILINE)
_VALUE = re.compile(r"\{\{-?\s*\.(?P<path>(?:Values|Chart)(?:\.\w+)+)\s*(?:\|\s*quote\s*)?-?\}\}")
_NAMES, _TAGS = ("repository", "image"), ("tag", "version", "imageTag")


@dataclass(frozen=True, slots=True)
class ChartImages:
    """Images that a chart names, and how many lines of its templates nobody can read without rendering."""

    chart: str
    images: frozenset[ImageName] = frozenset()
    unknown: int = 0


@dataclass(slots=True)
class _Folder:
    """The files of one chart; those of its dependencies are below it."""

    files: dict[str, str] = field(default_factory=dict)
    below: dict[str, "_Folder"] = field(default_factory=dict)


def chart_images(archive: bytes, place: str, over: Mapping[str, object] | None = None) -> ChartImages:
    """What the chart in this archive names, with the values that it is to be installed with.

    Raises:
        SourceUnusable: the archive cannot be read.
    """
    try:
        folder = _Folder()
        for path, text in _texts(archive):
            _put(folder, path.split("/")[1:], text)
        found, unknown = _walk_chart(folder, over or {})
    except (tarfile.TarError, OSError, EOFError, yaml.YAMLError, RecursionError) as error:
        raise SourceUnusable(f"{place} cannot be read as a chart: {error}") from error
    return ChartImages(place, frozenset(found), unknown)


def _texts(archive: bytes) -> Iterator[tuple[str, str]]:
    total = 0
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in files:
            total += member.size
            if total > _TOTAL:
                raise tarfile.TarError(f"it unpacks to more than {_TOTAL >> 20} MiB")
            if member.isreg() and member.size <= _LARGEST and _WANTED.search(member.name):
                file = files.extractfile(member)
                yield member.name.removeprefix("./"), (file.read() if file else b"").decode(errors="replace")


def _put(folder: _Folder, parts: list[str], text: str) -> None:
    while len(parts) > 2 and parts[0] == "charts":
        folder = folder.below.setdefault(parts[1], _Folder())
        parts = parts[2:]
    folder.files["/".join(parts)] = text


def _walk_chart(folder: _Folder, over: Mapping[str, object]) -> tuple[set[ImageName], int]:
    """The images of a chart and of its dependencies, which get the part of its values that bears their name."""
    chart = _mapping(folder.files.get("Chart.yaml", ""))
    values = merged(_mapping(folder.files.get("values.yaml", "")), over)
    found = set(_in_values(values, str(chart.get("appVersion") or ""), frozenset()))
    unknown = 0
    for path, text in folder.files.items():
        if path.startswith("templates/"):
            lines = [_written_out(each["image"], values, chart) for each in _LINE.finditer(text)]
            found.update(each for each in lines if each)
            unknown += lines.count(None)
    for name, below in folder.below.items():
        part = values.get(_key(chart, name))
        part = part if isinstance(part, Mapping) else {}
        if part.get("enabled") is False:
            continue
        images, more = _walk_chart(below, part)
        found, unknown = found | images, unknown + more
    return found, unknown


def _key(chart: Mapping[str, object], name: str) -> str:
    """Under which key a dependency's values stand."""
    dependencies = chart.get("dependencies")
    for each in dependencies if isinstance(dependencies, list) else []:
        if isinstance(each, Mapping) and each.get("name") == name:
            return str(each.get("alias") or name)
    return name


def _in_values(values: object, version: str, above: frozenset[int]) -> Iterator[ImageName]:
    """Every mapping that names an image, however deep; YAML's aliases can lead in circles."""
    if id(values) in above or len(above) > _DEEPEST:
        return
    above |= {id(values)}
    if isinstance(values, list):
        for each in values:
            yield from _in_values(each, version, above)
    if isinstance(values, Mapping):
        image = _triple(values, version)
        if image is not None:
            yield image
        for each in values.values():
            yield from _in_values(each, version, above)


def _triple(values: Mapping[str, object], version: str) -> ImageName | None:
    """Of registry, repository and tag; where a chart leaves the tag empty it means its appVersion."""
    parts = [str(values[key]) for key in _NAMES if isinstance(values.get(key), str) and values[key]]
    if not parts or any(part.startswith(("oci:", "http:", "https:")) for part in parts):
        return None
    tag = next((str(values[key]) for key in _TAGS if values.get(key)), "")
    whole = ImageName.parse(parts[0])
    if whole is not None and not tag:
        return whole
    if not tag and not any(key in values for key in (*_TAGS, "pullPolicy", "imagePullPolicy")):
        return None  # a repository of something else
    host = str(values.get("registry") or "")
    name = "/".join(parts) if len(parts) > 1 and "/" not in parts[0] and "." in parts[0] else parts[0]
    digest = str(values.get("digest") or "")
    return ImageName.parse(f"{host + '/' if host else ''}{name}:{tag or version}{'@' + digest if digest else ''}")


def _written_out(text: str, values: Mapping[str, object], chart: Mapping[str, object]) -> ImageName | None:
    """The image of a line; None where only rendering would tell."""
    described: Mapping[str, object] = {key[:1].upper() + key[1:]: value for key, value in chart.items()}

    def value(match: re.Match[str]) -> str:
        found: object = {"Values": values, "Chart": described}
        for key in match["path"].split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return "" if found is None or isinstance(found, Mapping | list) else str(found)

    return ImageName.parse(_VALUE.sub(value, text).partition(" #")[0].strip().strip("\"'"))


def _mapping(text: str) -> Mapping[str, object]:
    document = yaml.safe_load(text)
    return document if isinstance(document, dict) else {}
