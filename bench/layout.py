"""Images, charts and artifacts as the tools write them: OCI image layouts and docker-archives, built from values."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from bench.archive import Archive, Content, Entry, StoredGzip, deflate, files

Document = Mapping[str, object]

OCI = "application/vnd.oci."
MANIFEST = f"{OCI}image.manifest.v1+json"
INDEX = f"{OCI}image.index.v1+json"
CONFIG = f"{OCI}image.config.v1+json"
LAYER = f"{OCI}image.layer.v1.tar+gzip"
FILE = f"{OCI}image.layer.v1.tar"  # what `oras push` calls a file of no other type
EMPTY = f"{OCI}empty.v1+json"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "2025-01-01T00:00:00Z"
CONFIG_MAP = b"""apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  replicas: {{ .Values.replicas | quote }}
"""
OCI_LAYOUT = Entry.file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


@dataclass(frozen=True, slots=True)
class Blob:
    """Content with its media type, digest and size."""

    media_type: str
    digest: str
    size: int
    content: Content

    @classmethod
    def of(cls, content: Content, media_type: str) -> Self:
        """Read `content` once to learn its digest and size."""
        return cls(media_type, *measure(content), content)

    @classmethod
    def of_json(cls, document: Document, media_type: str) -> Self:
        """The blob that holds `document`."""
        return cls.of((orjson.dumps(document),), media_type)

    @property
    def hex(self) -> str:
        """The digest without its algorithm: the name of the file that holds the blob."""
        return self.digest.partition(":")[2]

    def descriptor(self, **more: object) -> Document:
        """The descriptor that points here; `more` are further fields (annotations, platform, …)."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


def measure(content: Iterable[bytes]) -> tuple[str, int]:
    """The digest and the length of `content`."""
    sha256, size = hashlib.sha256(), 0
    for chunk in content:
        sha256.update(chunk)
        size += len(chunk)
    return f"sha256:{sha256.hexdigest()}", size


@dataclass(frozen=True, slots=True)
class Layer:
    """A filesystem layer: the tar, and the blob it is packed into."""

    blob: Blob
    plain: Archive
    diff_id: str

    @classmethod
    def stored(cls, plain: Archive) -> Self:
        """A layer of any size that is streamed and not shrunk."""
        sha256 = hashlib.sha256()
        digest, size = measure(StoredGzip(_hashing(plain, sha256)))
        return cls(Blob(LAYER, digest, size, StoredGzip(plain)), plain, f"sha256:{sha256.hexdigest()}")

    @classmethod
    def deflated(cls, plain: Archive) -> Self:
        """A small layer, really compressed, kept in memory."""
        return cls(Blob.of((deflate(plain),), LAYER), plain, measure(plain)[0])


def _hashing(content: Content, sha256: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in content:
        sha256.update(chunk)
        yield chunk


def layer(entries: Iterable[Entry]) -> Layer:
    """A layer of the given files, to make an image that runs: `layer(files({"bin/busybox": body}, mode=0o755))`."""
    return Layer.deflated(Archive(tuple(entries)))


@dataclass(frozen=True, slots=True)
class Tree:
    """A manifest or an index, and every blob below it."""

    root: Blob
    below: tuple[Blob, ...]
    platforms: tuple[str, ...] = ()
    """As `linux/amd64`: one for an image, those of all children for an index, none for a chart."""

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All distinct blobs, the root too, in the order of their digests."""
        distinct = {blob.digest: blob for blob in (self.root, *self.below)}
        return tuple(distinct[digest] for digest in sorted(distinct))


def manifest(config: Blob, layers: Sequence[Document], below: Iterable[Blob], **more: object) -> Tree:
    """An image manifest over a config and layer descriptors; `more` are further fields (annotations, subject, …)."""
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": layers, **more}
    return Tree(Blob.of_json(document, MANIFEST), (config, *below))


def image(
    layers: Sequence[Layer], arch: str = "amd64", entrypoint: Sequence[str] = ("/bin/app",), **more: object
) -> Tree:
    """A container image for linux on `arch`; `more` are further fields of its manifest."""
    config = Blob.of_json(image_config(layers, arch, entrypoint), CONFIG)
    blobs = tuple(layer.blob for layer in layers)
    tree = manifest(config, [blob.descriptor() for blob in blobs], blobs, **more)
    return Tree(tree.root, tree.below, (f"linux/{arch}",))


def image_config(layers: Sequence[Layer], arch: str, entrypoint: Sequence[str]) -> Document:
    """The config of an image: what to run, and the digests of its unpacked layers."""
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "created": CREATED,
        "architecture": arch,
        "os": "linux",
        "config": {"Env": [path], "Entrypoint": list(entrypoint)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": f"COPY {layer.diff_id}"} for layer in layers],
    }


def index(children: Sequence[Tree], **more: object) -> Tree:
    """An index over images, or over other indexes."""
    manifests = [_listed(child) for child in children]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, **more}
    below = tuple(blob for child in children for blob in child.blobs)
    return Tree(Blob.of_json(document, INDEX), below, tuple(name for child in children for name in child.platforms))


def _listed(child: Tree) -> Document:
    if child.root.media_type == INDEX or not child.platforms:
        return child.root.descriptor()
    system, _, arch = child.platforms[0].partition("/")
    return child.root.descriptor(platform={"architecture": arch, "os": system})


def artifact(bodies: Mapping[str, bytes], artifact_type: str = "application/vnd.unknown.artifact.v1") -> Tree:
    """Files as `oras push` stores them: one layer each, titled, below the empty config."""
    blobs = {title: Blob.of((body,), FILE) for title, body in bodies.items()}
    layers = [blob.descriptor(annotations={TITLE: title}) for title, blob in blobs.items()]
    empty = Blob.of((b"{}",), EMPTY)
    return manifest(empty, layers, blobs.values(), artifactType=artifact_type)


def chart(name: str, version: str, bodies: Mapping[str, bytes] | None = None) -> Tree:
    """A Helm chart as `helm push` stores it; `bodies` are further files of the chart, or replace its own."""
    about = {"apiVersion": "v2", "name": name, "version": version, "type": "application"}
    annotations = {TITLE: name, VERSION: version, "org.opencontainers.image.created": CREATED}
    content = Blob.of((deflate(Archive(_chart_files(about, bodies or {}))),), CHART_CONTENT)
    return manifest(Blob.of_json(about, CHART_CONFIG), [content.descriptor()], [content], annotations=annotations)


def _chart_files(about: Mapping[str, str], bodies: Mapping[str, bytes]) -> tuple[Entry, ...]:
    own = {
        "Chart.yaml": "".join(f'{key}: "{value}"\n' for key, value in about.items()).encode(),
        "values.yaml": b"replicas: 1\n",
        "templates/configmap.yaml": CONFIG_MAP,
    }
    return files({f"{about['name']}/{path}": body for path, body in (own | dict(bodies)).items()})


def oci_archive(tree: Tree, annotations: Mapping[str, str] | None = None, extra: Iterable[Entry] = ()) -> Archive:
    """`tree` as skopeo's `oci-archive:` writes it; `annotations` go to its entry in index.json (ref.name)."""
    folders = (Entry.directory("blobs"), Entry.directory("blobs/sha256"))
    blobs = (Entry(f"blobs/sha256/{blob.hex}", blob.content, blob.size) for blob in tree.blobs)
    return Archive((*folders, *blobs, index_json(tree, annotations), OCI_LAYOUT, *extra))


def index_json(tree: Tree, annotations: Mapping[str, str] | None = None) -> Entry:
    """The index.json that names `tree` alone."""
    entry = tree.root.descriptor(annotations=annotations) if annotations else tree.root.descriptor()
    return Entry.file("index.json", orjson.dumps({"schemaVersion": 2, "manifests": [entry]}))


def chart_archive(name: str, version: str, bodies: Mapping[str, bytes] | None = None) -> Archive:
    """A Helm chart in an OCI archive."""
    return oci_archive(chart(name, version, bodies))


def docker_archive(layers: Sequence[Layer], repo_tag: str, arch: str = "amd64") -> Archive:
    """An image as `skopeo copy … docker-archive:` writes it: layers unpacked, manifest.json last."""
    config = Blob.of_json(image_config(layers, arch, ("/bin/app",)), CONFIG)
    names = [f"{layer.diff_id.partition(':')[2]}.tar" for layer in layers]
    tars = (Entry(name, layer.plain, layer.plain.size, 0o444) for name, layer in zip(names, layers, strict=True))
    listing = [{"Config": f"{config.hex}.json", "RepoTags": [repo_tag], "Layers": names}]
    body = files({f"{config.hex}.json": b"".join(config.content)}, 0o444)
    return Archive((*tars, *body, *_legacy(names, repo_tag), *files({"manifest.json": orjson.dumps(listing)}, 0o444)))


def _legacy(names: Sequence[str], repo_tag: str) -> Iterator[Entry]:
    """What docker before 1.10 read, and skopeo still writes: a folder with links for each layer."""
    parent = ""
    for name in names:
        parent_field = {"parent": parent} if parent else {}
        parent = hashlib.sha256(f"{parent}/{name}".encode()).hexdigest()
        yield Entry.link(f"{parent}/layer.tar", f"../{name}")
        yield Entry.file(f"{parent}/VERSION", b"1.0", 0o444)
        yield Entry.file(f"{parent}/json", orjson.dumps({"id": parent, **parent_field}), 0o444)
    repository, _, tag = repo_tag.rpartition(":")
    yield Entry.file("repositories", orjson.dumps({repository: {tag: parent}}), 0o444)
