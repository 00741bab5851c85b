"""Several images as one tar: an OCI image layout that skopeo, containerd, podman and docker load (image-layout.md).

oci-layout  index.json      every image, under its full name
manifest.json               the same for `docker load` and `podman load`, which want it where images are several
blobs/<algorithm>/<hex>     each blob and manifest once

Nothing in it depends on the clock, the machine or the order of the arguments: the same images are the same bytes.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from registry.oci import mediatype
from registry.oci.annotation import LEFT_OUT
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.transfer.copying import CheckedBlob
from registry.transfer.patience import Endurance
from registry.transfer.selection import Named
from registry.transfer.source import Source
from registry.transfer.tarball import END, header, padded, padding
from registry.transfer.tree import Tree, read_referrers, read_tree

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_RUNNABLE = frozenset({mediatype.OCI_CONFIG, _DOCKER_CONFIG})
_PREFERRED = "linux/amd64"


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob or manifest of the archive, and a repository that has it."""

    repository: RepositoryName
    blob: Descriptor
    is_manifest: bool


@dataclass(slots=True)
class Archive:
    """What the archive is to hold; collected before a byte of it is written."""

    source: Source
    entries: dict[Digest, Entry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    _index: list[dict[str, object]] = field(default_factory=list)
    _docker: dict[Digest, dict[str, object]] = field(default_factory=dict)

    @classmethod
    def collect(cls, source: Source, images: Iterable[Named], host: str = "", *, referrers: bool = False) -> "Archive":
        """All that these images need, named as below the registry `host`; with what refers to them, if wanted.

        Raises:
            ManifestUnknown: one of them is not there.
        """
        archive = cls(source)
        for image in sorted(set(images), key=str):
            tree = read_tree(source, image.repository, image.reference)
            archive._add(tree)
            archive._name(tree, f"{host}/{image}" if host else str(image), tagged=image.tag is not None)
            for referrer in read_referrers(source, tree) if referrers else ():
                if referrer.root not in archive.entries:
                    archive._index.append(_root(referrer).to_json())
                archive._add(referrer)
        return archive

    @property
    def size(self) -> int:
        """The bytes of the archive."""
        names = sum(len(block) + padded(size) for block, size in self._headers())
        return names + len(END)

    def chunks(self) -> Iterator[bytes]:
        """The archive, piece by piece.

        Raises:
            DigestInvalid, SizeInvalid, StorageError: the store does not hold what its index says.
        """
        for name, body in self._documents():
            yield header(name, len(body)) + body + padding(len(body))
        endurance = Endurance.patient()
        for entry in self._sorted():
            yield header(_path(entry.blob.digest), entry.blob.size)
            if entry.is_manifest:
                yield self.source.get_manifest(entry.repository, entry.blob.digest).body
            else:
                with closing(CheckedBlob(self.source, entry.repository, entry.blob, endurance).read(0)) as chunks:
                    yield from chunks
            yield padding(entry.blob.size)
        yield END

    def leave_out(self, known: Collection[Digest]) -> int:
        """Do without the blobs that a reader has already, never without a manifest; how many bytes that saves."""
        left_out = [each.blob for each in self.entries.values() if not each.is_manifest and each.blob.digest in known]
        for blob in left_out:
            del self.entries[blob.digest]
        return sum(blob.size for blob in left_out)

    def _add(self, tree: Tree) -> None:
        for digest, manifest in tree.manifests:
            self.entries[digest] = Entry(tree.repository, manifest.descriptor(digest), is_manifest=True)
        for blob in tree.blobs:
            self.entries.setdefault(blob.digest, Entry(tree.repository, blob, is_manifest=False))
        self.notes += [f"{tree.repository}: {digest} is listed, and not there" for digest in tree.missing]

    def _name(self, tree: Tree, name: str, *, tagged: bool) -> None:
        self.names.append(name)
        annotations = {_CONTAINERD_NAME: name, _REF_NAME: name}
        if tree.missing:
            annotations[LEFT_OUT] = " ".join(map(str, tree.missing))
        self._index.append(_root(tree).to_json() | {"annotations": annotations})
        runnable = _runnable(tree)
        if runnable is None or not tagged:
            return
        assert runnable.config is not None
        entry = self._docker.setdefault(
            runnable.config.digest,
            {
                "Config": _path(runnable.config.digest),
                "RepoTags": [],
                "Layers": [_path(layer.digest) for layer in runnable.layers],
            },
        )
        tags = entry["RepoTags"]
        assert isinstance(tags, list)
        tags.append(name)

    def _documents(self) -> Sequence[tuple[str, bytes]]:
        index = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": self._index}
        documents = [("oci-layout", _LAYOUT), ("index.json", _json(index))]
        if self._docker:
            documents.append(("manifest.json", _json(list(self._docker.values()))))
        return documents

    def _headers(self) -> Iterator[tuple[bytes, int]]:
        for name, body in self._documents():
            yield header(name, len(body)), len(body)
        for entry in self.entries.values():
            yield header(_path(entry.blob.digest), entry.blob.size), entry.blob.size

    def _sorted(self) -> list[Entry]:
        """Manifests first: a reader of a stream then knows what is to come."""
        return sorted(self.entries.values(), key=lambda entry: (not entry.is_manifest, entry.blob.digest))


def _root(tree: Tree) -> Descriptor:
    digest, manifest = tree.manifests[-1]
    described = manifest.descriptor(digest)
    return Descriptor(described.media_type, digest, described.size, manifest.artifact_type)


def _runnable(tree: Tree) -> Manifest | None:
    """The image that docker is to load: of an index the one for the commonest platform, or else the first."""
    manifests = dict(tree.manifests)
    root = manifests[tree.root]
    children = sorted(root.children, key=lambda child: child.platform != _PREFERRED)
    found = (manifests[child.digest] for child in children if child.digest in manifests)
    return next((each for each in (root, *found) if _is_runnable(each)), None)


def _is_runnable(manifest: Manifest) -> bool:
    """Whether docker can make sense of it: charts and artifacts are no images, and it cannot fetch foreign layers."""
    config = manifest.config
    whole = all(mediatype.is_distributable(layer.media_type) for layer in manifest.layers)
    return config is not None and config.media_type in _RUNNABLE and whole and bool(manifest.layers)


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
