"""Manifests (end-3), byte for byte as they came."""

import falcon

from registry.api.base import is_match
from registry.oci.reference import RepositoryName, TagOrDigest
from registry.storage.store import Store


class Manifest:
    """One manifest of one repository, by tag or by digest."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, reference: TagOrDigest) -> None:
        """Served whatever Accept says: another type would be another digest, and a refusal helps no client."""
        manifest = self._store.get_manifest(name, reference)
        digest = str(manifest.digest)
        etag = f'"{digest}"'
        resp.content_type = manifest.media_type
        resp.set_headers((("Docker-Content-Digest", digest), ("ETag", etag)))
        if is_match(req.get_header("If-None-Match"), etag):
            resp.status = falcon.HTTP_304
        else:
            resp.data = manifest.body

    on_head = on_get
