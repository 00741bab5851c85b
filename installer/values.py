"""Values for k0rdent's chart, so that everything it starts comes from the registry of this site."""

from collections.abc import Mapping

CA_SECRET = "registry-ca"  # noqa: S105  # the name of a Kubernetes object
_UPSTREAM_PARTS: Mapping[str, Mapping[str, object]] = {
    "cert-manager": {
        "image": {"repository": "jetstack/cert-manager-controller"},
        "webhook": {"image": {"repository": "jetstack/cert-manager-webhook"}},
        "cainjector": {"image": {"repository": "jetstack/cert-manager-cainjector"}},
        "startupapicheck": {"image": {"repository": "jetstack/cert-manager-startupapicheck"}},
    },
    "cluster-api-operator": {"image": {"manager": {"repository": "capi-operator/cluster-api-operator"}}},
    "velero": {"image": {"repository": "velero/velero"}},
}


def airgap_values(registry: str, *, nested: bool) -> dict[str, object]:
    """For pods that reach nothing but `registry` (host:port); they never know it as localhost.

    `nested` says where the chart looks for cert-manager and its like: below `regional`, or at the top.
    """
    parts: dict[str, object] = {name: _on(registry, values) for name, values in _UPSTREAM_PARTS.items()}
    telemetry = {"mode": "disabled", "controller": {"image": {"repository": f"{registry}/kcm-telemetry"}}}
    regional = {"telemetry": telemetry, **parts}
    own: dict[str, object] = {
        "controller": _controller(registry),
        "image": {"repository": f"{registry}/kcm-controller"},
        "flux2": {
            "helmController": {"image": f"{registry}/fluxcd/helm-controller"},
            "sourceController": {"image": f"{registry}/fluxcd/source-controller"},
            "cli": {"image": f"{registry}/fluxcd/flux-cli"},
        },
        "rbac-manager": {"image": {"repository": f"{registry}/reactiveops/rbac-manager"}},
        "k0rdent-ui": {"image": {"repository": f"{registry}/k0rdent-ui"}},
        "datasourceController": {"image": {"repository": f"{registry}/datasource-controller"}},
    }
    return own | ({"regional": regional} if nested else parts)


def _controller(registry: str) -> dict[str, object]:
    """k0rdent's own: its templates, and what it hands on to child clusters."""
    return {
        "templatesRepoURL": f"oci://{registry}/charts",
        "globalRegistry": registry,
        "globalK0sURL": f"https://{registry}/files",
        "k0sURLCertSecret": CA_SECRET,
        "registryCertSecret": CA_SECRET,
        "defaultHelmTimeout": "30m",
    }


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """`base` with what `over` says in its place; mappings are merged, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _on(registry: str, values: Mapping[str, object]) -> dict[str, object]:
    """Every `repository` in these values, in the registry."""
    return {
        key: _on(registry, value) if isinstance(value, Mapping) else f"{registry}/{value}"
        for key, value in values.items()
    }
