"""The requests that kubectl makes: discovery, and objects of the known kinds."""

import json
import threading
from collections.abc import Mapping

import yaml

from tests.installer.standin.cluster import ApiError, Cluster, Document, Key
from tests.installer.standin.kinds import Kind
from tests.installer.standin.story import Story

_JSON = "application/json"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
Answer = tuple[int, str, bytes]


class Api:
    """Answers one request at a time."""

    def __init__(self, cluster: Cluster, story: Story, version: str) -> None:
        self._cluster, self._story, self._version = cluster, story, version
        self._ready = False

    @property
    def lock(self) -> threading.RLock:
        return self._cluster.lock

    def answer(self, method: str, path: str, query: Mapping[str, str], kind: str, body: bytes) -> Answer:
        parts = path.strip("/").split("/")
        if path in ("/readyz", "/livez", "/healthz"):
            return self._readiness()
        if path == "/openapi/v2":  # an empty document: kubectl then leaves the checks to the server
            return 200, _PROTOBUF, b""
        found = self._discovery(parts)
        if found is None:
            if not self._ready:
                self._readiness()
            found = self._objects(method, parts, query, kind, body)
        return 201 if method == "POST" else 200, _JSON, json.dumps(found).encode()

    def _readiness(self) -> Answer:
        self._ready = self._ready or (self._story.script.readyz and self._story.is_due("readyz"))
        if self._ready:
            return 200, "text/plain", b"ok"
        return 500, "text/plain", b"[-]etcd failed: reason withheld\nreadyz check failed\n"

    def _discovery(self, parts: list[str]) -> Document | None:
        major, minor = self._version.removeprefix("v").split(".")[:2]
        fixed: Mapping[tuple[str, ...], Document] = {
            ("version",): {"major": major, "minor": minor, "gitVersion": self._version},
            ("openapi", "v3"): {"paths": {}},
            ("api",): {"kind": "APIVersions", "apiVersion": "v1", "versions": ["v1"]},
            ("apis",): self._groups(),
        }
        match parts:
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group, version]:
                return self._resources(group, version)
        return fixed.get(tuple(parts))

    def _groups(self) -> Document:
        versions: dict[str, list[str]] = {}
        for kind in self._cluster.kinds:
            if kind.group and kind.version not in versions.setdefault(kind.group, []):
                versions[kind.group].append(kind.version)
        groups = [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{each}", "version": each} for each in found],
                "preferredVersion": {"groupVersion": f"{group}/{found[0]}", "version": found[0]},
            }
            for group, found in versions.items()
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _resources(self, group: str, version: str) -> Document:
        found = [kind for kind in self._cluster.kinds if (kind.group, kind.version) == (group, version)]
        resources = [
            {
                "name": kind.plural,
                "singularName": kind.kind.lower(),
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": _VERBS,
            }
            for kind in found
        ]
        if not found:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        name = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}

    def _objects(self, method: str, parts: list[str], query: Mapping[str, str], kind: str, body: bytes) -> Document:
        found, namespace, name = self._locate(parts)
        self._story.looked(found.plural)
        if not name:
            return self._collection(method, found, namespace, query, body)
        key = Key(found, namespace, name)
        match method:
            case "GET":
                return self._cluster.get(key)
            case "DELETE":
                return self._cluster.delete(key)
            case "PUT":
                return self._cluster.put(key, yaml.safe_load(body))
            case "PATCH":
                return self._patch(key, query, kind, yaml.safe_load(body))
        raise ApiError(405, "MethodNotAllowed", method)

    def _patch(self, key: Key, query: Mapping[str, str], kind: str, document: Document) -> Document:
        if kind.startswith("application/apply-patch"):
            if "fieldManager" not in query:
                raise ApiError(400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
            if self._story.script.webhook_down:
                message = 'Internal error occurred: failed calling webhook "validate.example": connection refused'
                raise ApiError(500, "InternalError", message)
            dry, force = query.get("dryRun") == "All", query.get("force") == "true"
            return self._cluster.apply(key, document, query["fieldManager"], force=force, dry=dry)
        return self._cluster.patch(key, document)

    def _collection(self, method: str, kind: Kind, namespace: str, query: Mapping[str, str], body: bytes) -> Document:
        if method == "POST":
            document = yaml.safe_load(body)
            return self._cluster.create(Key(kind, namespace, document["metadata"]["name"]), document)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        labels = dict(each.split("=", 1) for each in query.get("labelSelector", "").split(",") if each)
        items = self._cluster.list(kind, namespace, name, labels)
        metadata = {"resourceVersion": "1"}
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    def _locate(self, parts: list[str]) -> tuple[Kind, str, str]:
        """The kind, namespace and name of a path such as apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME."""
        group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        for kind in self._cluster.kinds:
            if (kind.group, kind.version, kind.plural) == (group, version, rest[0]):
                return kind, namespace, rest[1] if len(rest) > 1 else ""
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
