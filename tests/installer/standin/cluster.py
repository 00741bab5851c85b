"""Objects as an API server keeps them: created, applied by managers, patched, listed, deleted."""

import base64
import copy
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.installer.standin.kinds import KINDS, Kind

Document = dict[str, Any]
_BORN = "2026-01-01T00:00:00Z"


class ApiError(Exception):
    """An answer of class 4xx."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Key:
    """An object's place."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.api_version}/{self.kind.plural}/{self.namespace}/{self.name}"

    @property
    def shown(self) -> str:
        group = f".{self.kind.group}" if self.kind.group else ""
        return f'{self.kind.plural}{group} "{self.name}"'


class Cluster:
    """All objects, and the kinds known so far; lasting in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock = threading.RLock()
        kept = json.loads(path.read_text()) if path.exists() else {}
        self._objects: dict[str, Document] = kept.get("objects", {})
        self._applied: dict[str, dict[str, Document]] = kept.get("applied", {})
        self._brought: list[str] = kept.get("brought", [])
        self._number: int = kept.get("number", 0)

    @property
    def kinds(self) -> list[Kind]:
        return [kind for kind in KINDS if not kind.since or kind.since in self._brought]

    def bring(self, since: str) -> None:
        """From now on its kinds are known."""
        if since not in self._brought:
            self._brought.append(since)
            self._keep()

    def key(self, kind: str, name: str, namespace: str = "") -> Key:
        """By the kind's name."""
        found = next(each for each in KINDS if each.kind == kind)
        return Key(found, namespace if found.namespaced else "", name)

    def find(self, key: Key) -> Document | None:
        return copy.deepcopy(self._objects.get(str(key)))

    def get(self, key: Key) -> Document:
        found = self.find(key)
        if found is None:
            raise ApiError(404, "NotFound", f"{key.shown} not found")
        return found

    def list(
        self, kind: Kind, namespace: str = "", name: str = "", labels: Mapping[str, str] | None = None
    ) -> list[Document]:
        start = f"{kind.api_version}/{kind.plural}/"
        found = [each for key, each in sorted(self._objects.items()) if key.startswith(start)]
        return [copy.deepcopy(each) for each in found if _matches(each["metadata"], namespace, name, labels or {})]

    def put(self, key: Key, document: Document) -> Document:
        """Write it as it is; nothing happens if that changes nothing."""
        live = self._objects.get(str(key))
        fresh = _normal(key, document)
        _give_ports(fresh)
        identity = live["metadata"] if live else {"uid": str(uuid.uuid4()), "creationTimestamp": _BORN}
        fresh["metadata"] |= {each: identity[each] for each in ("uid", "creationTimestamp")}
        if live is not None and _without_version(live) == _without_version(fresh):
            return copy.deepcopy(live)
        self._number += 1
        fresh["metadata"]["resourceVersion"] = str(self._number)
        self._objects[str(key)] = fresh
        self._keep()
        return copy.deepcopy(fresh)

    def create(self, key: Key, document: Document) -> Document:
        if str(key) in self._objects:
            raise ApiError(409, "AlreadyExists", f"{key.shown} already exists")
        self._need_namespace(key)
        return self.put(key, document)

    def apply(self, key: Key, config: Document, manager: str, *, force: bool, dry: bool = False) -> Document:
        """Server-side apply: what a manager no longer says goes, what another said is not taken without force."""
        self._need_namespace(key)
        config = _normal(key, config)
        managers = self._applied.get(str(key), {})
        live = self.find(key) or {}
        others = {name: said for name, said in managers.items() if name != manager}
        if not force:
            _refuse_conflicts(key, config, live, others)
        kept = {path for said in (config, *others.values()) for path, _ in _leaves(said)}
        for path, _ in _leaves(managers.get(manager, {})):
            if path not in kept:
                _remove(live, path)
        _merge(live, config)
        if dry:
            return live
        self._applied.setdefault(str(key), {})[manager] = config
        return self.put(key, live)

    def patch(self, key: Key, patch: Document) -> Document:
        """A JSON merge patch."""
        live = self.get(key)
        _merge_patch(live, patch)
        return self.put(key, live)

    def set_status(self, key: Key, status: Document) -> None:
        self.put(key, self.get(key) | {"status": status})

    def delete(self, key: Key) -> Document:
        found = self.get(key)
        del self._objects[str(key)]
        self._applied.pop(str(key), None)
        self._keep()
        return found

    def _need_namespace(self, key: Key) -> None:
        if key.namespace and self.find(self.key("Namespace", key.namespace)) is None:
            raise ApiError(404, "NotFound", f'namespaces "{key.namespace}" not found')

    def _keep(self) -> None:
        kept = {
            "objects": self._objects,
            "applied": self._applied,
            "brought": self._brought,
            "number": self._number,
        }
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(kept))
        partial.rename(self._path)


def _normal(key: Key, document: Document) -> Document:
    fresh = copy.deepcopy(document)
    fresh |= {"apiVersion": key.kind.api_version, "kind": key.kind.kind}
    fresh.setdefault("metadata", {})["name"] = key.name
    if key.namespace:
        fresh["metadata"]["namespace"] = key.namespace
    if key.kind.kind == "Secret":
        for name, text in fresh.pop("stringData", {}).items():
            fresh.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
    return fresh


def _give_ports(document: Document) -> None:
    """As Kubernetes does for a Service of type NodePort; the same one each time."""
    spec = document.get("spec", {})
    if spec.get("type") == "NodePort":
        for number, port in enumerate(spec["ports"]):
            port.setdefault("nodePort", 30080 + number)


def _matches(metadata: Document, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
    if namespace not in ("", metadata.get("namespace", "")) or name not in ("", metadata["name"]):
        return False
    return all(metadata.get("labels", {}).get(label) == value for label, value in labels.items())


def _without_version(document: Document) -> Document:
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    return document | {"metadata": metadata}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    else:
        yield path, value


_OF_ALL = {(), ("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


def _refuse_conflicts(key: Key, config: Document, live: Document, others: Mapping[str, Document]) -> None:
    current = dict(_leaves(live))
    for path, value in _leaves(config):
        for manager, said in others.items():
            if path not in _OF_ALL and path in dict(_leaves(said)) and current.get(path) != value:
                field = "." + ".".join(path)
                raise ApiError(409, "Conflict", f'Apply failed with 1 conflict: conflict with "{manager}": {field}')


def _remove(document: Document, path: tuple[str, ...]) -> None:
    if path in _OF_ALL:
        return
    below: Any = document
    for step in path[:-1]:
        below = below.get(step)
        if not isinstance(below, dict):
            return
    below.pop(path[-1], None)


def _merge(live: Document, config: Document) -> None:
    for name, value in config.items():
        if isinstance(value, dict) and isinstance(live.get(name), dict):
            _merge(live[name], value)
        else:
            live[name] = copy.deepcopy(value)


def _merge_patch(live: Document, patch: Document) -> None:
    for name, value in patch.items():
        if value is None:
            live.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(live.get(name), dict):
                live[name] = {}
            _merge_patch(live[name], value)
        else:
            live[name] = value
