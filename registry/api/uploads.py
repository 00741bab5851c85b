"""Blob uploads (end-4 to end-6, end-11, end-13, end-14): begin, append, finish, ask, cancel, mount."""

from contextlib import suppress

import falcon

from registry.api.bodies import content_range, pieces, upload_range
from registry.oci.digest import HEX_LENGTH, Digest
from registry.oci.errors import BlobUploadUnknown, DigestInvalid, NameInvalid
from registry.oci.reference import RepositoryName
from registry.storage.store import Store


class Uploads:
    """Where uploads begin."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName) -> None:
        """A mount, a whole blob in one request, or a session."""
        _refuse_unknown_algorithm(req)
        mounted = req.get_param("mount")
        if mounted is not None and self._mount(name, Digest.parse(mounted), req.get_param("from")):
            created(resp, name, Digest.parse(mounted))
            return
        text = None if mounted is not None else req.get_param("digest")
        if text is None:
            _accepted(resp, name, self._store.uploads.start(name), 0)
            return
        digest = Digest.parse(text)
        upload = self._store.uploads.start(name)
        try:
            self._store.uploads.finish(name, upload, digest, pieces(req, self._limit), None)
        except BaseException:
            with suppress(BlobUploadUnknown):  # bytes that were wrong ended it already
                self._store.uploads.cancel(name, upload)
            raise
        created(resp, name, digest)

    def _mount(self, name: RepositoryName, digest: Digest, source: str | None) -> bool:
        """end-11: what cannot be mounted is uploaded; never an error."""
        if source is None:
            return self._store.mount_blob(name, digest, None)
        with suppress(NameInvalid):
            return self._store.mount_blob(name, digest, RepositoryName.parse(source))
        return False


class Upload:
    """One session. Its URL holds nothing but the id, so an old one is as good as the newest."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, upload: str) -> None:
        """end-13: how far it is."""
        offset = self._store.uploads.offset(name, upload)
        _accepted(resp, name, upload, offset)
        resp.status = falcon.HTTP_204

    def on_patch(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, upload: str) -> None:
        """end-5: the next chunk, or a stream of any length."""
        chunk, before = content_range(req), self._store.uploads.offset(name, upload)
        body = pieces(req, self._limit, before, chunk.length)
        offset = self._store.uploads.append(name, upload, body, chunk.first)
        _accepted(resp, name, upload, offset)

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, upload: str) -> None:
        """end-6: the last bytes, if any are missing, and what all of them must hash to."""
        digest = _asked_digest(req)
        chunk, before = content_range(req), self._store.uploads.offset(name, upload)
        body = pieces(req, self._limit, before, chunk.length)
        self._store.uploads.finish(name, upload, digest, body, chunk.first)
        created(resp, name, digest)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, upload: str) -> None:
        """end-14: forget it."""
        self._store.uploads.cancel(name, upload)
        resp.status = falcon.HTTP_204


def created(resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
    """The answer for a blob that is there now."""
    resp.status = falcon.HTTP_201
    resp.set_headers({"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": str(digest)})


def _accepted(resp: falcon.Response, name: RepositoryName, upload: str, offset: int) -> None:
    resp.status = falcon.HTTP_202
    resp.set_headers(
        {
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Range": upload_range(offset),
            "Docker-Upload-UUID": upload,
        }
    )


def _asked_digest(req: falcon.Request) -> Digest:
    text = req.get_param("digest")
    if text is None:
        raise DigestInvalid("the query must name the blob's digest")
    return Digest.parse(text)


def _refuse_unknown_algorithm(req: falcon.Request) -> None:
    """end-4c: a client may say early which algorithm it will finish with; the final digest decides."""
    algorithm = req.get_param("digest-algorithm")
    if algorithm is not None and algorithm not in HEX_LENGTH:
        raise DigestInvalid(f"algorithm {algorithm[:40]!r} is not supported")
