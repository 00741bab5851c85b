"""Where the k0s executable comes from: a file, the bundle's own image in the registry, or k0s' release page."""

import io
import tarfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

import httpx
import zstandard

from installer.errors import SourceUnusable
from installer.flavor import EmbeddedK0s
from installer.settings_types import K0sVersion
from registry.oci.descriptor import Descriptor
from registry.oci.manifest import Manifest

REPOSITORY = "k0sproject/k0s"
RELEASES = "https://github.com/k0sproject/k0s/releases/download"
_IN_IMAGE = "usr/local/bin/k0s"
_PIECE = 1 << 20
_LARGEST = 1 << 30
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"


class ImagePlace(Protocol):
    """Where images can be read: a registry, or an archive."""

    @property
    def address(self) -> str: ...

    def image(self, repository: str, reference: str, architecture: str) -> Manifest: ...

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]: ...


class K0sSource(Protocol):
    """A k0s executable of a known version (see `changes.Source`)."""

    @property
    def version(self) -> K0sVersion: ...

    def describe(self) -> str: ...

    def pieces(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class EmbeddedBinary:
    """The one that this k0rdentd brought along."""

    embedded: EmbeddedK0s
    version: K0sVersion

    @classmethod
    def find(cls) -> Self | None:
        """None in the online flavor, and where nobody says of which version it is.

        Raises:
            ExecutableDamaged: the executable cannot be read any more.
        """
        found = EmbeddedK0s.find()
        return None if found is None or found.version is None else cls(found, K0sVersion.parse(found.version))

    def describe(self) -> str:
        return self.embedded.describe()

    def pieces(self) -> Iterator[bytes]:
        try:
            yield from self.embedded.pieces()
        except OSError as error:
            raise SourceUnusable(f"cannot read {self.describe()}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class FileBinary:
    """A file that the operator brought."""

    path: Path
    version: K0sVersion

    def describe(self) -> str:
        return f"{self.path} ({self.version})"

    def pieces(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as error:
            raise SourceUnusable(f"cannot read {self.path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class ImageBinary:
    """The image of k0s in the registry, so that k0s and its images are of one version."""

    place: ImagePlace
    version: K0sVersion
    architecture: str

    @property
    def tag(self) -> str:
        """As the version is written where `+` is not allowed."""
        return self.version.replace("+", "-")

    def describe(self) -> str:
        return f"{self.place.address}/{REPOSITORY}:{self.tag}"

    def pieces(self) -> Iterator[bytes]:
        image = self.place.image(REPOSITORY, self.tag, self.architecture)
        for layer in reversed(image.layers):  # the topmost hides what lies below
            if (yield from self._in_layer(layer)):
                return
        raise SourceUnusable(f"{self.describe()} holds no /{_IN_IMAGE}")

    def _in_layer(self, layer: Descriptor) -> Generator[bytes, None, bool]:
        """Yields the executable, if the layer has it, and returns whether it does."""
        pieces = self.place.blob(REPOSITORY, layer)
        plain = _unpacked(pieces)
        found = False
        try:
            with tarfile.open(fileobj=_Reader(plain), mode="r|") as archive:
                for member in archive:
                    if not found and member.isreg() and member.name.lstrip("./") == _IN_IMAGE:
                        found = True
                        yield from _content(archive, member)
            for _ in plain:
                pass  # the layer's digest is known at its end only
        except (tarfile.TarError, zlib.error, zstandard.ZstdError) as error:
            raise SourceUnusable(f"{self.describe()}: the layer {layer.digest} is broken: {error}") from error
        return found


@dataclass(frozen=True, slots=True)
class DownloadedBinary:
    """k0s' own release page, checked against its list of digests."""

    version: K0sVersion
    architecture: str
    releases: str = RELEASES

    @property
    def url(self) -> str:
        return f"{self._folder}/{self._name.replace('+', '%2B')}"

    def describe(self) -> str:
        return self.url

    def pieces(self) -> Iterator[bytes]:
        wanted, hashing = self._digest(), sha256()
        try:
            with httpx.stream("GET", self.url, follow_redirects=True, timeout=60) as answer:
                answer.raise_for_status()
                for piece in answer.iter_bytes(_PIECE):
                    hashing.update(piece)
                    yield piece
        except httpx.HTTPError as error:
            raise SourceUnusable(f"cannot download {self.url}: {error}") from error
        if hashing.hexdigest() != wanted:
            raise SourceUnusable(f"{self.url} is not what {self._sums} says: it was changed on the way, or cut short")

    @property
    def _folder(self) -> str:
        return f"{self.releases}/{self.version.replace('+', '%2B')}"

    @property
    def _name(self) -> str:
        return f"k0s-{self.version}-{self.architecture}"

    @property
    def _sums(self) -> str:
        return f"{self._folder}/sha256sums.txt"

    def _digest(self) -> str:
        try:
            answer = httpx.get(self._sums, follow_redirects=True, timeout=60)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SourceUnusable(f"cannot download {self._sums}: {error}") from error
        for line in answer.text.splitlines():
            digest, _, name = line.partition(" ")
            if name.strip().lstrip("*") == self._name:
                return digest
        raise SourceUnusable(f"{self._sums} does not list {self._name}: there is no such release")


class _Reader(io.BufferedIOBase):
    """Pieces, for who asks for bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; none at the end only."""
        self._rest = self._rest or next(self._pieces, b"")
        end = len(self._rest) if size is None or size < 0 else size
        taken, self._rest = self._rest[:end], self._rest[end:]
        return taken


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What is in a layer, whichever way it is compressed."""
    start = b""
    while len(start) < len(_ZSTD) and (piece := next(pieces, b"")):
        start += piece
    whole = chain((start,), pieces)
    if start.startswith(_GZIP):
        return _gunzipped(whole)
    if start.startswith(_ZSTD):
        inflating = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        return (plain for piece in whole if (plain := inflating.decompress(piece)))
    return whole


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflating = zlib.decompressobj(wbits=31)
    for piece in pieces:
        rest = piece
        while rest:
            if plain := inflating.decompress(rest, _PIECE):
                yield plain
            rest = inflating.unconsumed_tail
            if inflating.eof:  # a gzip file may hold several, one behind the other
                rest, inflating = inflating.unused_data, zlib.decompressobj(wbits=31)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    if file is None or member.size > _LARGEST:
        raise SourceUnusable(f"/{_IN_IMAGE} in the image is not an executable of k0s ({member.size} bytes)")
    while piece := file.read(_PIECE):
        yield piece
