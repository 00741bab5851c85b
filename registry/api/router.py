"""Paths below /v2/ to resources; text becomes a repository name, a digest or a tag here, once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import falcon
from falcon.routing import CompiledRouter

from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown, TagInvalid
from registry.oci.reference import RepositoryName, TagOrDigest, parse_tag_or_digest

MethodMap = dict[str, Callable[..., Any]]


# What follows the name in a template, and what we call it.
_KINDS = {
    "/manifests/{reference}": "manifests",
    "/blobs/{digest}": "blobs",
    "/blobs/uploads/": "uploads",
    "/blobs/uploads/{upload}": "upload",
    "/tags/list": "tags",
    "/referrers/{digest}": "referrers",
}


# Of these the kind is the last component but one.
_LASTS = frozenset({"manifests", "blobs", "tags", "referrers"})
# Paths that are routes by themselves, and what we call them.
_FIXED = {
    "/v2": "base",
    "/v2/": "base",
    "/v2/_catalog": "catalog",
    "/token": "token",
    "/healthz": "healthz",
    "/readyz": "readyz",
    "/metrics": "metrics",
    "/ca.crt": "ca",
    "/files": "files",
}
ROUTES = (*_KINDS.values(), *dict.fromkeys(_FIXED.values()), "other")


def route_of(path: str) -> str:
    """What a path is counted as, one of ROUTES: there are few of them, whatever clients ask for."""
    route = _FIXED.get(path)
    if route is not None:
        return route
    if path.startswith("/v2/"):
        return _split(path)[1] or "other"
    return "files" if path.startswith("/files/") else "other"


def _split(path: str) -> tuple[str, str, str]:
    """What is before the kind, the kind or nothing, and what is behind it."""
    head, _, last = path.rpartition("/")
    head, _, kind = head.rpartition("/")
    if kind == "blobs" and last == "uploads":
        return head, "uploads", ""  # without its last slash: clients that follow no redirect with a POST
    if kind == "uploads":
        head, _, parent = head.rpartition("/")
        return head, "" if parent != "blobs" else "upload" if last else "uploads", last
    if not last or kind not in _LASTS or (kind == "tags" and last != "list"):
        return head, "", last
    return head, kind, last


class _Route(NamedTuple):
    resource: object
    methods: MethodMap
    template: str


class V2Router(CompiledRouter):
    """Falcon's router, and before it one for `/v2/<name>/<kind>/<last>`, where the name holds slashes.

    `manifests`, `blobs` and `tags` are legal components of a name too, so the end of the path
    decides and the rest is the name. Responders get typed values: `name`, and `digest`, `reference`
    or the id of an `upload`.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, _Route] = {}

    def add_route(self, uri_template: str, resource: object, **options: Any) -> None:
        """Templates that begin with `/v2/{name}/` go by the word behind the name."""
        if not uri_template.startswith("/v2/{name}/"):
            super().add_route(uri_template, resource, **options)
            return
        methods: MethodMap = self.map_http_methods(resource, **options)
        falcon.routing.set_default_responders(methods)
        self._kinds[_KINDS[uri_template.removeprefix("/v2/{name}")]] = _Route(resource, methods, uri_template)

    def find(self, uri: str, req: falcon.Request | None = None) -> Any:
        """As Falcon's, but for paths that do not begin with one slash: those lead nowhere.

        Falcon would find `//v2/_catalog`, which is none of the paths that need credentials.

        Raises:
            NameInvalid, DigestInvalid, TagInvalid, ManifestUnknown: a part of the path is no such thing.
        """
        if not uri.startswith("/") or uri.startswith("//"):
            return None
        route, name, kind, last = self._find_kind(uri)
        if route is None:
            return super().find(uri, req)
        parameters: dict[str, object] = {"name": RepositoryName.parse(name)}
        if kind == "manifests":
            parameters["reference"] = _reference(last, writing=req is not None and req.method == "PUT")
        elif kind == "upload":
            parameters["upload"] = last
        elif kind in ("blobs", "referrers"):
            parameters["digest"] = Digest.parse(last)
        return route.resource, route.methods, parameters, route.template

    def _find_kind(self, uri: str) -> tuple[_Route | None, str, str, str]:
        head, kind, last = _split(uri)
        return self._kinds.get(kind) if head.startswith("/v2/") else None, head[4:], kind, last


def _reference(text: str, *, writing: bool) -> TagOrDigest:
    try:
        return parse_tag_or_digest(text)
    except TagInvalid as error:
        if writing:
            raise
        # end-3, end-9: there cannot be a manifest under a name that is no tag; the suite wants 404, not 400.
        raise ManifestUnknown(error.detail) from error
