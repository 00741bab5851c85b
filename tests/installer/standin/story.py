"""How the cluster moves: an object goes on when it has been looked at often enough."""

import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import yaml

from tests.installer.standin.cluster import Cluster, Document, Key
from tests.installer.standin.clusterconfig import charts
from tests.installer.standin.place import Place, Script

_PENDING = "HelmRelease is not ready yet"
_UI_PORT = 3000
_ADDRESS = "192.0.2.10"


class Story:
    """Of one run of a controller."""

    def __init__(self, place: Place, cluster: Cluster, version: str) -> None:
        self._place, self._cluster, self._version = place, cluster, version
        self._looks: Counter[str] = Counter()
        self._moves: Mapping[str, Callable[[], None]] = {
            "nodes": self._move_node,
            "charts": self._move_charts,
            "releases": self._move_releases,
            "managements": self._move_management,
            "credentials": self._move_credentials,
            "providertemplates": partial(self._move_templates, "ProviderTemplate"),
            "clustertemplates": partial(self._move_templates, "ClusterTemplate"),
        }

    @property
    def script(self) -> Script:
        return self._place.script

    def begin(self, config: Mapping[str, object], *, works: bool) -> None:
        """What a start brings by itself."""
        for name in ("default", "kube-system", "kube-public"):
            self._need("Namespace", name)
        if works and not self._cluster.list(self._cluster.key("Node", "").kind):
            self._set_node(ready=False)
        self._set_charts(config)
        self.deploy_manifests()

    def looked(self, plural: str) -> None:
        """Somebody asks for objects of this kind."""
        self.deploy_manifests()
        if plural in self._moves:
            self._moves[plural]()

    def is_due(self, what: str) -> bool:
        """Whether this look is behind the last one that sees the old state."""
        self._looks[what] += 1
        if self._looks[what] <= self.script.looks:
            return False
        self._looks[what] = 0
        return True

    def deploy_manifests(self) -> None:
        """What lies in var/lib/k0s/manifests, and no longer what lay there."""
        found: set[str] = set()
        for path in sorted((self._place.lasting / "manifests").glob("*/*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                found.add(self._deploy(document, path.parent.name))
        for kind in self._cluster.kinds:
            for each in self._cluster.list(kind):
                stack = each["metadata"].get("labels", {}).get("k0s.k0sproject.io/stack")
                key = Key(kind, each["metadata"].get("namespace", ""), each["metadata"]["name"])
                if stack and str(key) not in found:
                    self._cluster.delete(key)

    def _deploy(self, document: Document, stack: str) -> str:
        metadata = document["metadata"]
        key = self._cluster.key(document["kind"], metadata["name"], metadata.get("namespace", "default"))
        metadata.setdefault("labels", {})["k0s.k0sproject.io/stack"] = stack
        if self._cluster.find(key) is None:
            self._cluster.create(key, document)
        else:
            self._cluster.apply(key, document, "k0s", force=True)
        return str(key)

    def _need(self, kind: str, name: str, namespace: str = "", **parts: object) -> Key:
        key = self._cluster.key(kind, name, namespace)
        if self._cluster.find(key) is None:
            self._cluster.put(key, dict(parts))
        return key

    def _set_node(self, *, ready: bool, message: str = "kubelet is posting ready status") -> None:
        name = socket.gethostname().lower()
        condition = {"type": "Ready", "status": "True" if ready else "False", "message": message}
        status = {"conditions": [condition], "nodeInfo": {"kubeletVersion": self._version}}
        status |= {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": _ADDRESS}]}
        self._cluster.put(self._cluster.key("Node", name), {"metadata": {"labels": {}}, "status": status})

    def _move_node(self) -> None:
        nodes = self._cluster.list(self._cluster.key("Node", "").kind)
        if not nodes or self._is_well(nodes[0]["status"]) or not self.is_due("nodes"):
            return
        if self.script.node_ready:
            self._set_node(ready=True)
        else:
            self._set_node(ready=False, message="container runtime network not ready: cni plugin not initialized")

    def _is_well(self, status: Document) -> bool:
        """After a restart the node is for a while what it was before."""
        ready = status["conditions"][0]["status"] == "True"
        return ready and bool(status["nodeInfo"]["kubeletVersion"] == self._version)

    def _set_charts(self, config: Mapping[str, object]) -> None:
        wanted = {f"k0s-addon-chart-{chart['name']}": chart for chart in charts(config)}
        kind = self._cluster.key("Chart", "").kind
        for each in self._cluster.list(kind):
            if each["metadata"]["name"] not in wanted:
                self._uninstall(each)
        for name, chart in wanted.items():
            key = self._cluster.key("Chart", name, "kube-system")
            spec = {"chartName": chart["chartname"], "releaseName": chart["name"]}
            spec |= {each: chart.get(each, "") for each in ("version", "namespace", "values", "timeout")}
            live = self._cluster.find(key)
            if live is None or live["spec"] != spec:
                self._cluster.put(key, {"spec": spec})

    def _uninstall(self, chart: Document) -> None:
        """As k0s' finalizer does when a controller no longer knows the chart."""
        self._cluster.delete(self._cluster.key("Chart", chart["metadata"]["name"], "kube-system"))
        if not _is_k0rdent(chart["spec"]):
            return
        for kind in self._cluster.kinds:
            for each in self._cluster.list(kind) if kind.since else []:
                self._cluster.delete(Key(kind, each["metadata"].get("namespace", ""), each["metadata"]["name"]))

    def _move_charts(self) -> None:
        for chart in self._cluster.list(self._cluster.key("Chart", "").kind):
            name = chart["metadata"]["name"]
            if not chart.get("status", {}).get("version") and self.is_due(name):
                self._install(self._cluster.key("Chart", name, "kube-system"), chart["spec"])

    def _install(self, key: Key, spec: Document) -> None:
        status = {"releaseName": spec["releaseName"], "namespace": spec["namespace"]}
        file = spec["chartName"]
        error = self.script.chart_error
        if not error and file.startswith("/") and not self._place.at(file).exists():
            error = f"can't locate chart `{file}-{spec['version']}`: no such file or directory"
        if error:
            self._cluster.set_status(key, status | {"error": error})
            return
        self._need("Namespace", spec["namespace"])
        if _is_k0rdent(spec):
            self._bring_k0rdent(spec)
        self._cluster.set_status(key, status | {"version": spec["version"], "revision": 1, "error": ""})

    def _bring_k0rdent(self, spec: Document) -> None:
        self._cluster.bring("k0rdent")
        release = _release_name(spec)
        self._need("Release", release, spec={"version": spec["version"]})
        config = yaml.safe_load(spec["values"] or "") or {}
        for name in self.script.components:
            self._need("ProviderTemplate", f"{name}-1-0-0")
        self._need("ClusterTemplate", "aws-standalone-cp-1-0-0", spec["namespace"])
        self._need("Management", "kcm", spec={"release": release, "core": {"kcm": {"config": config}, "capi": {}}})
        ports = [{"name": "http", "port": _UI_PORT, "targetPort": _UI_PORT, "protocol": "TCP"}]
        labels = {"app.kubernetes.io/name": "k0rdent-ui", "app.kubernetes.io/instance": spec["releaseName"]}
        key = self._need("Service", f"{spec['releaseName']}-k0rdent-ui", spec["namespace"])
        service = {"type": "ClusterIP", "selector": labels, "ports": ports}
        self._cluster.put(key, {"metadata": {"labels": labels}, "spec": service})

    def _move_releases(self) -> None:
        for release in self._cluster.list(self._cluster.key("Release", "").kind):
            name = release["metadata"]["name"]
            if not release.get("status", {}).get("ready") and self.is_due(f"release {name}"):
                self._cluster.set_status(self._cluster.key("Release", name), {"ready": True})

    def _move_templates(self, kind: str) -> None:
        errors = self.script.template_errors or {}
        for template in self._cluster.list(self._cluster.key(kind, "").kind):
            name, namespace = template["metadata"]["name"], template["metadata"].get("namespace", "")
            if not template.get("status", {}).get("valid") and self.is_due(f"template {name}"):
                status = {"valid": False, "validationError": errors[name]} if name in errors else {"valid": True}
                self._cluster.set_status(self._cluster.key(kind, name, namespace), status)

    def _move_management(self) -> None:
        key = self._cluster.key("Management", "kcm")
        live = self._cluster.find(key)
        if live is None:
            return
        wanted = live["spec"]["release"]
        status = live.get("status", {})
        if status.get("underway", status.get("release")) != wanted:
            status = self._fresh_status(status, wanted)
        elif _is_ready(status) or not self.is_due("management"):
            return
        else:
            self._advance(status, wanted)
        self._cluster.set_status(key, status)

    def _fresh_status(self, status: Document, wanted: str) -> Document:
        if self._cluster.find(self._cluster.key("Release", wanted)) is None:
            message = f"failed to get Release {wanted}: not found"
            return status | {"conditions": [_condition("Ready", False, "ReleaseNotFound", message)]}
        components = {name: {"success": False, "error": _PENDING} for name in self.script.components}
        condition = _condition("Ready", False, "NotAllComponentsHealthy", "components are not ready")
        kept = {"release": status["release"]} if "release" in status else {}
        return kept | {"underway": wanted, "components": components, "conditions": [condition]}

    def _advance(self, status: Document, wanted: str) -> None:
        errors = self.script.component_errors or {}
        for name, component in status["components"].items():
            if name in errors:
                component["error"] = errors[name]
        waiting = [name for name, each in status["components"].items() if not each["success"] and name not in errors]
        if waiting:
            status["components"][waiting[0]] = {"success": True, "template": f"{waiting[0]}-{wanted}"}
            self._cluster.bring(waiting[0])
        if all(each["success"] for each in status["components"].values()):
            status["release"] = wanted
            status["conditions"] = [_condition("Ready", True, "AllComponentsHealthy", "all components are ready")]

    def _move_credentials(self) -> None:
        errors = self.script.credential_errors or {}
        for each in self._cluster.list(self._cluster.key("Credential", "").kind):
            name, namespace = each["metadata"]["name"], each["metadata"]["namespace"]
            if each.get("status", {}).get("ready") or not self.is_due(f"credential {name}"):
                continue
            problem = errors.get(name) or self._identity_problem(each["spec"]["identityRef"])
            condition = _condition("CredentialReady", not problem, "Failed" if problem else "Succeeded", problem)
            key = self._cluster.key("Credential", name, namespace)
            self._cluster.set_status(key, {"ready": not problem, "conditions": [condition]})

    def _identity_problem(self, reference: Document) -> str:
        key = self._cluster.key(reference["kind"], reference["name"], reference.get("namespace", ""))
        if key.kind.api_version != reference["apiVersion"]:
            return f"no matches for kind {reference['kind']!r} in version {reference['apiVersion']!r}"
        identity = self._cluster.find(key)
        if identity is None:
            return f"ClusterIdentity object of Kind={reference['kind']} {reference['name']} not found"
        secret = identity.get("spec", {}).get("secretRef")
        if secret and self._cluster.find(self._cluster.key("Secret", secret, "kcm-system")) is None:
            return f"the identity's Secret kcm-system/{secret} is not there"
        return ""


def _condition(kind: str, holds: bool, reason: str, message: str) -> Document:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}


def _is_ready(status: Document) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))


def _is_k0rdent(spec: Document) -> bool:
    return spec["releaseName"] == "kcm" or "k0rdent" in Path(spec["chartName"]).name


def _release_name(spec: Document) -> str:
    chart = Path(spec["chartName"]).name.removesuffix(".tgz").removesuffix(f"-{spec['version']}")
    return re.sub(r"[^a-z0-9]+", "-", f"{chart}-{spec['version']}")
