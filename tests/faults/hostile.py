"""Archives that no honest tool writes, byte by byte."""

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path

from bench.archive import TAR_BLOCK, Archive, Content, Entry, files, tar_chunks
from bench.layout import INDEX, MANIFEST, Blob, Tree, image, index, index_json, layer, oci_archive

_SIZE, _CHECKSUM, _KIND = slice(124, 136), slice(148, 156), slice(156, 157)
_BLANK = bytearray(Entry.file("", b"").header(tarfile.GNU_FORMAT))
_BLANK[_CHECKSUM] = b" " * 8

GOOD = oci_archive(image([layer(files({"etc/good": b"good\n"}))]))
"""An image that has to be loaded, whatever stands before it."""


def header(name: str, size: bytes = b"00000000000", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header block with any bytes in the field for the size, and a right checksum."""
    block = bytearray(_BLANK)
    block[: len(name)], block[_SIZE], block[_KIND] = name.encode(), size.ljust(12, b"\0"), kind
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def base256(size: int) -> bytes:
    """A size as GNU tar writes one that octal digits cannot hold, or a negative one."""
    return (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)


def member(name: str, content: bytes) -> bytes:
    """A plain file with all its blocks."""
    return header(name, b"%011o" % len(content)) + padded(content)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % TAR_BLOCK)


def pax(key: bytes, value: bytes) -> bytes:
    """Extended attributes for the member that follows."""
    tail = b" " + key + b"=" + value + b"\n"
    length = len(tail) + next(digits for digits in range(1, 9) if len(str(len(tail) + digits)) == digits)
    record = b"%d%b" % (length, tail)
    return header("PaxHeaders/x", b"%011o" % len(record), tarfile.XHDTYPE) + padded(record)


def write_bundle(path: Path, *members: Iterable[bytes]) -> Path:
    """The members one after the other, then a good image, then the end of the tar."""
    with path.open("wb") as file:
        for chunks in members:
            file.writelines(chunks)
        file.writelines(tar_chunks([GOOD.as_entry("good_1.tar")], tarfile.GNU_FORMAT))
    return path


def packed(chunks: Iterable[bytes]) -> bytes:
    """A gzip file of one member a chunk; a chunk that comes again is packed once."""
    return b"".join(map(cache(partial(gzip.compress, compresslevel=1)), chunks))


def archive(name: str, body: bytes) -> Iterator[bytes]:
    """A member of the bundle, as a piece for `write_bundle`."""
    yield member(name, body)


def entry(name: str, content: Archive) -> Iterator[bytes]:
    """The same of an archive that need not fit into memory."""
    whole = content.as_entry(name)
    yield whole.header(tarfile.GNU_FORMAT)
    yield from whole.content
    yield bytes(-whole.size % TAR_BLOCK)


def layout_of(documents: dict[str, bytes], root: Blob) -> Archive:
    """An image layout that holds just these files and an index.json."""
    return Archive((*files(documents), index_json(Tree(root, ()))))


def blob_path(body: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(body).hexdigest()}"


def with_index(index_body: bytes) -> bytes:
    """A good image but for its index.json."""
    entries = (one for one in GOOD.entries if one.name != "index.json")
    return Archive((*entries, Entry.file("index.json", index_body))).to_bytes()


def with_root(body: bytes, media_type: str = INDEX) -> bytes:
    """A layout whose only manifest is `body`."""
    return layout_of({blob_path(body): body}, Blob.of((body,), media_type)).to_bytes()


def nested_index(depth: int) -> Archive:
    """An image below an index below an index…"""
    tree = image([layer(files({"etc/deep": b"deep\n"}))])
    blobs = list(tree.blobs)
    for _ in range(depth):
        tree = Tree(index([Tree(tree.root, ())]).root, ())
        blobs.append(tree.root)
    entries = (Entry(f"blobs/sha256/{blob.hex}", blob.content, blob.size) for blob in blobs)
    return Archive((*entries, index_json(tree)))


def docker_archive_of(layer_content: Content, size: int, diff_id: str) -> Archive:
    """A docker-archive with one layer of any bytes."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
    listing = json.dumps([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["layer.tar"]}]).encode()
    documents = files({"config.json": config, "manifest.json": listing})
    return Archive((Entry("layer.tar", layer_content, size), *documents))


ZEROS = bytes(1 << 24)
NO_DIGEST = f"sha256:{'0' * 64}"
_LISTED: dict[str, object] = {"mediaType": MANIFEST, "digest": NO_DIGEST, "size": 1}

LYING_SIZES = {
    "larger-than-the-file": header("bad_1.tar", b"77777777777"),
    "base-256": header("bad_1.tar", base256(1 << 45)),
    "base-256-beyond-any-disk": header("bad_1.tar", base256(1 << 80)),
    "negative": header("bad_1.tar", base256(-512)),
    "no-number": header("bad_1.tar", b"five"),
    "pax": pax(b"size", b"99999999999") + header("bad_1.tar"),
    "pax-negative": pax(b"size", b"-512") + header("bad_1.tar"),
    "pax-5000-digits": pax(b"size", b"9" * 5000) + header("bad_1.tar"),
    "pax-of-another-alphabet": pax(b"size", "٣٣".encode()) + header("bad_1.tar"),
    "pax-huge": header("x", base256(1 << 40), tarfile.XHDTYPE),
    "pax-damaged": header("x", b"00000000010", tarfile.XHDTYPE) + b"9999 a=b".ljust(512, b"\0"),
    "long-name-huge": header("x", base256(1 << 40), tarfile.GNUTYPE_LONGNAME),
    "sparse": header("bad_1.tar", b"00000000000", tarfile.GNUTYPE_SPARSE),
    "multi-volume": header("bad_1.tar", b"00000001000", b"M") + bytes(512),
}
"""Headers whose sizes cannot be; a liar is called `bad_1.tar`."""

UNFOLDING = {
    "deep": b"[" * 1_000_000,
    "deep-and-closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100000-entries": json.dumps({"schemaVersion": 2, "manifests": [_LISTED] * 100_000}).encode(),
    "100000-empty-entries": json.dumps({"schemaVersion": 2, "manifests": [{}] * 100_000}).encode(),
    "entries-to-the-limit": json.dumps({"manifests": [_LISTED | {"size": n} for n in range(30_000)]}).encode(),
    "number-without-end": b'{"schemaVersion":' + b"9" * 1_000_000 + b"}",
    "not-a-number": b'{"schemaVersion":NaN,"manifests":Infinity}',
    "half-a-surrogate": b'{"schemaVersion":2,"manifests":[{"mediaType":"\\ud800"}]}',
    "not-utf-8": b'{"schemaVersion":2,"a":"\xff\xfe"}',
    "gzip-bomb": gzip.compress(ZEROS),
}
"""JSON that is small until it is read."""
