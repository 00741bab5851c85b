"""The chart of k0rdent, as the registry has it."""

import io
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import yaml

from installer.errors import SourceUnusable
from installer.remote import Remote

_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_LARGEST = 64 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")  # it becomes the name of a file


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's archive, and what it says of itself."""

    name: str
    version: str
    archive: bytes
    nested: bool
    """Whether cert-manager and the like are configured below `regional`."""

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.version}.tgz"

    @classmethod
    def fetch(cls, remote: Remote, repository: str, version: str) -> Self:
        """The chart of this version.

        Raises:
            SourceUnusable: there is none, or it is not what Helm calls a chart.
        """
        tag = version.replace("+", "_")  # as Helm writes versions in tags
        manifest = remote.manifest(repository, tag)
        layer = next((each for each in manifest.layers if each.media_type == _LAYER), None)
        if layer is None or layer.size > _LARGEST:
            raise SourceUnusable(f"{remote.address}/{repository}:{tag} is no Helm chart")
        return cls.parse(b"".join(remote.blob(repository, layer)), f"{remote.address}/{repository}:{tag}")

    @classmethod
    def parse(cls, archive: bytes, place: str) -> Self:
        """From a chart's archive.

        Raises:
            SourceUnusable: it is none.
        """
        try:
            document = _chart_yaml(archive)
        except (tarfile.TarError, zlib.error, OSError, EOFError, yaml.YAMLError) as error:
            raise SourceUnusable(f"{place} is no Helm chart: {error!r}") from error
        name, version = str(document.get("name")), str(document.get("version"))
        if not (_NAME.fullmatch(name) and _NAME.fullmatch(version)):
            raise SourceUnusable(f"{place} is no Helm chart: its Chart.yaml has no name and version")
        return cls(name, version, archive, "regional" in _aliases(document))


def _aliases(document: Mapping[str, object]) -> set[object]:
    """Under which names values for the chart's dependencies stand."""
    dependencies = document.get("dependencies")
    if not isinstance(dependencies, list):
        return set()
    return {each.get("alias") for each in dependencies if isinstance(each, dict)}


def _chart_yaml(archive: bytes) -> Mapping[str, object]:
    """The chart's own Chart.yaml; those of its dependencies lie deeper."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member in files:
            if member.isreg() and member.name.count("/") == 1 and member.name.endswith("/Chart.yaml"):
                file = files.extractfile(member)
                document = yaml.safe_load(file.read() if file else b"")
                if isinstance(document, dict):
                    return document
    return {}
