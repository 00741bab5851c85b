"""The WSGI application: resources on their routes."""

from collections.abc import Callable
from pathlib import Path

import falcon

from registry.api import errors
from registry.api.access import METRICS, Access, Guard, TokenEndpoint
from registry.api.base import Base
from registry.api.blobs import Blob
from registry.api.catalog import Catalog
from registry.api.files import File, FileList, Shelf
from registry.api.health import Live, Ready
from registry.api.manifests import Manifest
from registry.api.metrics import Metrics
from registry.api.missing import Missing
from registry.api.referrers import Referrers
from registry.api.router import V2Router
from registry.api.tags import TagList
from registry.api.trust import CACertificate
from registry.api.uploads import Upload, Uploads
from registry.api.upstream import Upstream
from registry.storage.folder import Folder
from registry.storage.store import Store

RegistryApp = falcon.App[falcon.Request, falcon.Response]


def create_app(
    store: Store,
    access: Access,
    manifest_limit: int,
    blob_limit: int,
    bundle: str | None,
    read_ca: Callable[[], bytes | None],
    files: Path | None,
    read_metrics: Callable[[], bytes] | None,
) -> RegistryApp:
    """The registry over `store`; it is ready when `bundle`, if one is named, is loaded."""
    shelf = Shelf(store.binaries, Folder(files) if files else None)
    app = RegistryApp(router=V2Router(), middleware=[Upstream(), Guard(access)])
    errors.install(app)
    _add_distribution(app, store, manifest_limit, blob_limit)
    if access.passwords is not None:
        app.add_route("/token", TokenEndpoint(access))
    app.add_route("/files", FileList(shelf))
    app.add_route("/files/", FileList(shelf))
    app.add_route("/files/{name}", File(shelf))
    app.add_route("/healthz", Live())
    app.add_route("/readyz", Ready(store, bundle))
    app.add_route("/ca.crt", CACertificate(read_ca))
    if read_metrics is not None:
        app.add_route(METRICS, Metrics(read_metrics))
    return app


def _add_distribution(app: RegistryApp, store: Store, manifest_limit: int, blob_limit: int) -> None:
    app.add_route("/v2", Base())
    app.add_route("/v2/", Base())
    app.add_route("/v2/_catalog", Catalog(store))
    app.add_route("/v2/{name}/blobs/{digest}", Blob(store))
    app.add_route("/v2/{name}/blobs/uploads/", Uploads(store, blob_limit))
    app.add_route("/v2/{name}/blobs/uploads/{upload}", Upload(store, blob_limit))
    app.add_route("/v2/{name}/manifests/{reference}", Manifest(store, manifest_limit, Missing(store.ledger)))
    app.add_route("/v2/{name}/tags/list", TagList(store))
    app.add_route("/v2/{name}/referrers/{digest}", Referrers(store))
