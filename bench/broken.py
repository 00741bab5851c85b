"""Members that must fail, each in one way and alone; the path says which."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from bench.archive import Archive, Entry, files
from bench.layout import CONFIG, Layer, Tree, image, index_json, layer, manifest, oci_archive

VICTIM = "/etc/hostname"  # where links point: nothing secret, and only read
ESCAPED = "/k0rdentd-escaped"  # what must never come to exist


@dataclass(frozen=True, slots=True)
class Case:
    """A good image of its own, to be broken: no blob is known from elsewhere, so that nothing can be skipped."""

    name: str
    layer: Layer
    tree: Tree

    @classmethod
    def named(cls, name: str) -> Self:
        """The image of this name."""
        body = b"".join(f"{name} {number}\n".encode() for number in range(500))
        only = layer(files({"etc/case": body}))
        return cls(name, only, image([only]))

    @property
    def archive(self) -> Archive:
        """The image in an archive, still whole."""
        return oci_archive(self.tree)

    @property
    def layer_path(self) -> str:
        """Where the archive holds the layer."""
        return f"blobs/sha256/{self.layer.blob.hex}"

    def replaced(self, path: str, *instead: Entry) -> Archive:
        """The archive with other entries in the place of the one at `path`."""
        spread = ((entry,) if entry.name != path else instead for entry in self.archive.entries)
        return Archive(tuple(entry for entries in spread for entry in entries))


def broken_members() -> Iterator[tuple[Entry, str]]:
    """Every broken member, and why it must fail."""
    for name, reason, breaks in INNER:
        yield Entry.file(f"broken/{name}_1.0.0.tar", breaks(Case.named(name))), reason
    for path, reason in MISNAMED:
        yield Case.named(path).archive.as_entry(path), reason
    yield Entry.link("broken/symlink_1.0.0.tar", "absent_1.0.0.tar"), "a symbolic link"
    yield Entry.link("broken/hardlink_1.0.0.tar", "broken/absent_1.0.0.tar", tarfile.LNKTYPE), "a hard link"
    yield Entry.device("broken/device_1.0.0.tar"), "a device node"
    yield Entry.device("broken/fifo_1.0.0.tar", tarfile.FIFOTYPE), "a named pipe"


def _layer_digest(case: Case) -> bytes:
    body = bytearray(b"".join(case.layer.blob.content))
    body[-9] ^= 1
    return case.replaced(case.layer_path, Entry.file(case.layer_path, bytes(body))).to_bytes()


def _manifest_digest(case: Case) -> bytes:
    path = f"blobs/sha256/{case.tree.root.hex}"
    body = b"".join(case.tree.root.content).replace(b'"schemaVersion":2', b'"schemaVersion":3')
    return case.replaced(path, Entry.file(path, body)).to_bytes()


def _layer_size(case: Case) -> bytes:
    blob = case.layer.blob
    lie = replace(blob, size=blob.size + 1).descriptor()
    config = next(blob for blob in case.tree.blobs if blob.media_type == CONFIG)
    return oci_archive(manifest(config, [lie], [blob])).to_bytes()


def _manifest_size(case: Case) -> bytes:
    lie = Tree(replace(case.tree.root, size=case.tree.root.size + 1), ())
    return case.replaced("index.json", index_json(lie)).to_bytes()


def _truncated(case: Case) -> bytes:
    whole = case.archive.to_bytes()
    start = whole.index(b"".join(case.layer.blob.content))
    return whole[: start + case.layer.blob.size // 2]


def _no_index(case: Case) -> bytes:
    return case.replaced("index.json").to_bytes()


def _index(case: Case, body: bytes) -> bytes:
    return case.replaced("index.json", Entry.file("index.json", body)).to_bytes()


def _index_bomb(case: Case) -> bytes:
    return _index(case, gzip.compress(bytes(8 << 20), mtime=0))


def _index_deep(case: Case) -> bytes:
    return _index(case, b"[" * 200_000)


def _index_huge(case: Case) -> bytes:
    return _index(case, b"".join(index_json(case.tree).content) + b" " * (5 << 20))


def _index_empty(case: Case) -> bytes:
    return _index(case, b'{"schemaVersion":2,"manifests":[]}')


def _missing_manifest(case: Case) -> bytes:
    return case.replaced(f"blobs/sha256/{case.tree.root.hex}").to_bytes()


def _missing_layer(case: Case) -> bytes:
    return case.replaced(case.layer_path).to_bytes()


def _path(case: Case, name: str) -> bytes:
    return case.replaced(case.layer_path, Entry.file(name, b"".join(case.layer.blob.content))).to_bytes()


def _path_dotdot(case: Case) -> bytes:
    return _path(case, f"blobs/../../../..{ESCAPED}")


def _path_absolute(case: Case) -> bytes:
    return _path(case, ESCAPED)


def _blob_symlink(case: Case) -> bytes:
    return case.replaced(case.layer_path, Entry.link(case.layer_path, VICTIM)).to_bytes()


def _blob_hardlink(case: Case) -> bytes:
    return case.replaced(case.layer_path, Entry.link(case.layer_path, VICTIM, tarfile.LNKTYPE)).to_bytes()


def _blob_device(case: Case) -> bytes:
    return case.replaced(case.layer_path, Entry.device(case.layer_path)).to_bytes()


def _not_a_tar(case: Case) -> bytes:
    return b"".join(case.layer.blob.content)


def _gzip_bomb(case: Case) -> bytes:
    return gzip.compress(case.archive.to_bytes() + bytes(8 << 20), mtime=0)


def _nothing(_: Case) -> bytes:
    return b""


INNER: tuple[tuple[str, str, Callable[[Case], bytes]], ...] = (
    ("layer-digest", "a layer does not match its digest", _layer_digest),
    ("manifest-digest", "the manifest does not match its digest", _manifest_digest),
    ("layer-size", "a descriptor tells a wrong size of a layer", _layer_size),
    ("manifest-size", "index.json tells a wrong size of the manifest", _manifest_size),
    ("truncated", "the archive ends within a blob", _truncated),
    ("no-index", "the archive has no index.json", _no_index),
    ("index-bomb", "index.json is a gzip bomb", _index_bomb),
    ("index-deep", "index.json nests without end", _index_deep),
    ("index-huge", "index.json is larger than 4 MiB", _index_huge),
    ("index-empty", "index.json names no manifest", _index_empty),
    ("missing-manifest", "index.json names a blob that is not there", _missing_manifest),
    ("missing-layer", "the manifest names a blob that is not there", _missing_layer),
    ("path-dotdot", "a path in the archive climbs out of it", _path_dotdot),
    ("path-absolute", "a path in the archive is absolute", _path_absolute),
    ("blob-symlink", "a blob is a symbolic link", _blob_symlink),
    ("blob-hardlink", "a blob is a hard link", _blob_hardlink),
    ("blob-device", "a blob is a device node", _blob_device),
    ("not-a-tar", "the member is no tar", _not_a_tar),
    ("gzip-bomb", "the member is a gzip bomb", _gzip_bomb),
    ("empty", "the member is empty", _nothing),
)
MISNAMED = (
    (f"broken/../..{ESCAPED}_1.0.0.tar", "the member's path climbs out of the bundle"),
    (f"{ESCAPED}_1.0.0.tar", "the member's path is absolute"),
    ("broken/Upper_1.0.0.tar", "the path gives no legal repository"),
    ("broken/bad-tag_-1.0.0.tar", "the path gives no legal tag"),
    ("broken/no-name/_1.0.0.tar", "the path gives an empty repository name"),
)
