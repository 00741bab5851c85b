"""Referrers (end-12): what was pushed about a manifest."""

import falcon
import orjson

from registry.oci.digest import Digest
from registry.oci.mediatype import OCI_INDEX
from registry.oci.reference import RepositoryName
from registry.storage.store import Store


class Referrers:
    """The manifests of one repository that name a subject, as an image index; never a 404."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """Filtered where `artifactType` is given, which the answer then says."""
        referrers = self._store.list_referrers(name, digest)
        wanted = req.get_param("artifactType")
        if wanted is not None:
            # A '+' arrives as a space from clients that do not escape it; no media type holds a space.
            wanted = wanted.replace(" ", "+")
            referrers = [referrer for referrer in referrers if referrer.artifact_type == wanted]
            resp.set_header("OCI-Filters-Applied", "artifactType")
        resp.content_type = OCI_INDEX
        resp.data = orjson.dumps(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [each.to_json() for each in referrers]}
        )

    on_head = on_get
