"""Manifests (end-3, end-7, end-9), byte for byte as they came."""

from contextlib import suppress

import falcon

from registry.api.bodies import read_limited
from registry.api.conditions import condition, is_known, require_match
from registry.api.missing import Missing
from registry.api.upstream import other_name, upstream
from registry.oci import manifest as oci
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestUnknown
from registry.oci.reference import RepositoryName, Tag, TagOrDigest
from registry.storage.history import Cause
from registry.storage.index import StoredManifest
from registry.storage.misses import Wanted
from registry.storage.store import Store


class Manifest:
    """One manifest of one repository, by tag or by digest."""

    def __init__(self, store: Store, limit: int, missing: Missing) -> None:
        self._store = store
        self._limit = limit
        self._missing = missing

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, reference: TagOrDigest) -> None:
        """Served whatever Accept says: another type would be another digest, and a refusal helps no client."""
        manifest = self._find(req, name, reference)
        digest = str(manifest.digest)
        require_match(req, digest)
        etag = f'"{digest}"'
        resp.content_type = manifest.media_type
        resp.set_headers((("Docker-Content-Digest", digest), ("ETag", etag)))
        if is_known(req, digest):
            resp.status = falcon.HTTP_304
        else:
            resp.data = manifest.body

    on_head = on_get

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, reference: TagOrDigest) -> None:
        """Under a tag, or under a digest and as many tags as the query names (end-7b)."""
        body = read_limited(req, self._limit)
        digest = Digest.of(body, reference.algorithm if isinstance(reference, Digest) else "sha256")
        if isinstance(reference, Digest) and digest != reference:
            raise DigestInvalid(f"the manifest hashes to {digest}, not to {reference}")
        manifest = oci.Manifest.parse(body, _media_type(req))
        tags = [reference] if isinstance(reference, Tag) else _asked_tags(req)
        self._store.put_manifest(name, digest, manifest, tags, condition(req), _cause(req))
        resp.status = falcon.HTTP_201
        resp.set_headers({"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": str(digest)})
        if isinstance(reference, Digest) and tags:
            resp.set_header("OCI-Tag", ", ".join(tags))
        if manifest.subject is not None:
            resp.set_header("OCI-Subject", str(manifest.subject.digest))

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, reference: TagOrDigest
    ) -> None:
        """A tag alone, or a manifest with all its tags."""
        self._store.delete_manifest(name, reference, _cause(req), condition(req))
        resp.status = falcon.HTTP_202

    def _find(self, req: falcon.Request, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        try:
            return self._store.get_manifest(name, reference)
        except ManifestUnknown:
            other = other_name(req, name)
            if other is not None:
                with suppress(ManifestUnknown):
                    return self._store.get_manifest(other, reference)
            self._missing.note(Wanted(upstream(req), name, reference), req.remote_addr)
            raise


def _media_type(req: falcon.Request) -> str | None:
    """Without parameters, which the specification says to ignore."""
    return (req.content_type or "").partition(";")[0].strip() or None


def _cause(req: falcon.Request) -> Cause:
    return Cause("client", user=req.env.get("REMOTE_USER") or None, client=req.remote_addr)


def _asked_tags(req: falcon.Request) -> list[Tag]:
    return [Tag.parse(tag) for tag in req.get_param_as_list("tag") or []]
