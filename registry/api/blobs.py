"""Blobs (end-2, end-10): big ones by sendfile, small ones in one write with their headers."""

from contextlib import suppress

import falcon

from registry.api.conditions import condition, is_known, require_match
from registry.api.ranges import ByteRange, parse_range
from registry.api.upstream import other_name
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown
from registry.oci.mediatype import OCTET_STREAM
from registry.oci.reference import RepositoryName
from registry.storage.blobs import StoredBlob
from registry.storage.store import Store

# Below it one read and one write are cheaper than sendfile: see bench/README.md.
SENDFILE_FROM = 64 * 1024


class Blob:
    """One blob of one repository."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_head(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """The size is in the index: no file is touched. Ranges are not for HEAD (RFC 9110 section 14.2)."""
        blob = self._find(req, name, digest)
        if not _describe(req, resp, blob):
            resp.content_length = blob.size

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """The bytes, or the range of them that is asked for."""
        blob = self._find(req, name, digest)
        if not _describe(req, resp, blob):
            self._send(resp, blob, _asked_range(req, blob))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """From this repository alone (end-10)."""
        self._store.delete_blob(name, digest, condition(req))
        resp.status = falcon.HTTP_202

    def _find(self, req: falcon.Request, name: RepositoryName, digest: Digest) -> StoredBlob:
        try:
            return self._store.stat_blob(name, digest)
        except BlobUnknown:
            other = other_name(req, name)
            if other is not None:
                with suppress(BlobUnknown):
                    return self._store.stat_blob(other, digest)
            raise

    def _send(self, resp: falcon.Response, blob: StoredBlob, part: ByteRange | None) -> None:
        if part is not None:
            resp.status = falcon.HTTP_206
            resp.set_header("Content-Range", str(part))
        first, length = (part.first, part.length) if part else (0, blob.size)
        if length < SENDFILE_FROM:
            resp.data = self._store.read_cached_blob(blob, first, length)
            if resp.data is not None:
                return
        file = self._store.open_blob(blob)
        file.seek(first)
        resp.stream = file  # the worker sends from the file's position, and closes it
        resp.content_length = length


def _describe(req: falcon.Request, resp: falcon.Response, blob: StoredBlob) -> bool:
    """The headers of every answer; True where a 304 is all that the client needs."""
    digest = str(blob.digest)
    require_match(req, digest)
    etag = f'"{digest}"'
    resp.content_type = OCTET_STREAM
    resp.set_headers(
        (
            ("Docker-Content-Digest", digest),
            ("ETag", etag),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", "max-age=31536000, immutable"),
        )
    )
    if not is_known(req, digest):
        return False
    resp.status = falcon.HTTP_304
    return True


def _asked_range(req: falcon.Request, blob: StoredBlob) -> ByteRange | None:
    header = req.get_header("Range")
    if header is None:
        return None
    condition = req.get_header("If-Range")
    if condition is not None and condition.strip() != f'"{blob.digest}"':
        return None
    return parse_range(header, blob.size)
