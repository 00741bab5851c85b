"""The cluster of this host, asked and changed by `k0s kubectl`: always the client that fits, and no library.

Objects are applied on the server under our own name, so fields that others own stay theirs. They go by standard input:
a command line can be read by everybody on the machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from installer.errors import ClusterBusy, ClusterRefuses, KindUnknown, NoProgram
from installer.host import Host, Output
from installer.paths import K0S, KUBE_CACHE

MANAGER = "k0rdentd"
Manifest = Mapping[str, object]
"""An object as it is written: apiVersion, kind, metadata and what it is to be."""

_REQUEST = "--request-timeout=30s"
_FOUND = ("--ignore-not-found", "--output=json")
_BUSY = (
    "failed calling webhook",
    "connection refused",
    "Unable to connect to the server",
    "etcdserver: ",
    "(ServiceUnavailable)",
    "(Timeout)",
    "(TooManyRequests)",
)
_UNKNOWN = ("no matches for kind", "doesn't have a resource type", "could not find the requested resource")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of an object's status."""

    holds: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Object:
    """An object as the API server has it; parts that are not there are empty."""

    document: Mapping[str, object]

    @classmethod
    def parse(cls, value: object) -> Self:
        """From parsed JSON.

        Raises:
            ClusterRefuses: it is no object.
        """
        if not isinstance(value, dict):
            raise ClusterRefuses(f"the Kubernetes API answers with no object: {str(value)[:200]}")
        return cls(value)

    @property
    def name(self) -> str:
        return self.text("metadata", "name")

    @property
    def namespace(self) -> str:
        return self.text("metadata", "namespace")

    def part(self, *path: str) -> object:
        """What stands at a path of keys; None where nothing does."""
        found: object = self.document
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def section(self, *path: str) -> Mapping[str, object]:
        found = self.part(*path)
        return found if isinstance(found, Mapping) else {}

    def text(self, *path: str) -> str:
        found = self.part(*path)
        return "" if found is None else str(found)

    def several(self, *path: str) -> Sequence["Object"]:
        """The mappings of a list."""
        found = self.part(*path)
        return [Object(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def condition(self, kind: str) -> Condition | None:
        """One of `status.conditions`."""
        for each in self.several("status", "conditions"):
            if each.text("type") == kind:
                return Condition(each.text("status") == "True", each.text("reason"), each.text("message"))
        return None


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Kubernetes API, as root of this controller reaches it."""

    host: Host

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """An object by the full name of its kind, such as `managements.k0rdent.mirantis.com`.

        Raises:
            KindUnknown: the cluster has no such kind.
            ClusterRefuses: it does not answer.
        """
        what = f"{kind} {_place(name, namespace)}"
        return self._one(self._kubectl(("get", kind, name, *_in(namespace), *_FOUND)), what)

    def find_like(self, manifest: Manifest) -> Object | None:
        """The object that this manifest is about, as it is now.

        Raises:
            KindUnknown: the cluster has no such kind.
            ClusterRefuses: it does not answer.
        """
        about = {key: manifest[key] for key in ("apiVersion", "kind", "metadata")}
        return self._one(self._kubectl(("get", "-f", "-", *_FOUND), about), title(manifest))

    def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Object]:
        """The objects of a kind, in all namespaces unless one is given.

        Raises:
            KindUnknown: the cluster has no such kind.
            ClusterRefuses: it does not answer.
        """
        places = _in(namespace) or ("--all-namespaces",)
        chosen = ("--selector", labels) if labels else ()
        text = self._checked(self._kubectl(("get", kind, *places, *chosen, "--output=json")), f"list {kind}")
        return [*Object.parse(_parsed(text)).several("items")]

    def apply(self, manifest: Manifest) -> Object:
        """Have an object as the manifest says, and what became of it; other fields stay as others want them.

        Raises:
            KindUnknown: the cluster has no such kind yet.
            ClusterRefuses: it takes no such object, or does not answer.
        """
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--output=json")
        text = self._checked(self._kubectl((*words, "-f", "-"), manifest), f"apply {title(manifest)}")
        return Object.parse(_parsed(text))

    def patch(self, kind: str, name: str, change: Mapping[str, object], namespace: str = "") -> None:
        """Change fields that belong to somebody else; nothing secret, for everybody can read a command line.

        Raises:
            ClusterRefuses: there is no such object, or it takes no such change.
        """
        words = ("patch", kind, name, *_in(namespace), "--type=merge", f"--patch={json.dumps(change)}")
        self._checked(self._kubectl(words), f"change {kind} {_place(name, namespace)}")

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Have an object go away; it may take its time, and what is not there is fine.

        Raises:
            ClusterRefuses: it may not be deleted.
        """
        words = ("delete", kind, name, *_in(namespace), "--ignore-not-found", "--wait=false")
        self._checked(self._kubectl(words), f"delete {kind} {_place(name, namespace)}")

    def unready(self) -> str | None:
        """What the API server lacks until it takes requests; None once it does."""
        output = self._kubectl(("get", "--raw=/readyz"))
        return None if output.code == 0 else output.last_words

    def _kubectl(self, words: Sequence[str], manifest: Manifest | None = None) -> Output:
        stdin = b"" if manifest is None else json.dumps(manifest).encode()
        try:
            return self.host.run((*kubectl(self.host), _REQUEST, *words), stdin)
        except NoProgram:
            return Output(1, "", "there is no k0s on this host")

    def _one(self, output: Output, what: str) -> Object | None:
        text = self._checked(output, f"look at {what}")
        if not text.strip():
            return None
        found = Object.parse(_parsed(text))  # a list, where a file said what to look at
        return next(iter(found.several("items")), None) if found.text("kind") == "List" else found

    def _checked(self, output: Output, doing: str) -> str:
        if output.code == 0:
            return output.text
        raise _kind(output.errors)(f"cannot {doing}: {output.last_words}")


def kubectl(host: Host) -> tuple[str, ...]:
    """The host's own, with a cache of ours: in root's home it would be left behind."""
    return (str(K0S), "kubectl", f"--cache-dir={host.at(KUBE_CACHE)}")


def title(manifest: Manifest) -> str:
    """The object's kind and name, as people say them: `Secret kcm-system/cloud-identity-secret`."""
    named = Object(manifest)
    return f"{named.text('kind')} {_place(named.name, named.namespace)}"


def holds(live: object, wanted: object) -> bool:
    """Whether all that is wanted is so; what else the server has does not matter, except where wanted is nothing.

    Controllers write `{}` back as `{selector: {}}`, which is the same to them; `{selector: {matchLabels: {}}}` is not.
    """
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        if not wanted:
            return not any(live.values())
        return all(key in live and holds(live[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list) and len(live) == len(wanted):
        return all(holds(old, new) for old, new in zip(live, wanted, strict=True))
    return live == wanted


def _kind(words: str) -> type[ClusterRefuses]:
    """What kubectl's last words mean for who wants to try again."""
    if any(each in words for each in _UNKNOWN):
        return KindUnknown
    return ClusterBusy if any(each in words for each in _BUSY) else ClusterRefuses


def _place(name: str, namespace: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _in(namespace: str) -> tuple[str, ...]:
    return (f"--namespace={namespace}",) if namespace else ()


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ClusterRefuses(f"kubectl prints what is no JSON: {text[:200]!r}") from error
