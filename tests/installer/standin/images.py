"""What `k0s airgap list-images` prints, for the two versions that tests know."""

from collections.abc import Iterator

_ALWAYS = {
    "1.32": (
        "quay.io/k0sproject/apiserver-network-proxy-agent:v0.31.0",
        "registry.k8s.io/metrics-server/metrics-server:v0.7.2",
        "quay.io/k0sproject/kube-proxy:v{version}",
        "quay.io/k0sproject/coredns:1.12.2",
        "registry.k8s.io/pause:3.9",
    ),
    "1.36": (
        "quay.io/k0sproject/apiserver-network-proxy-agent:v0.36.0-k0s.0",
        "quay.io/k0sproject/metrics-server:v0.9.0-k0s.0",
        "quay.io/k0sproject/kube-proxy:v{version}-1",
        "quay.io/k0sproject/coredns:1.14.6-k0s.0",
        "quay.io/k0sproject/pause:3.10.2-0",
    ),
}
_CALICO = {
    "1.32": [f"quay.io/k0sproject/calico-{each}:v3.29.4-0" for each in ("cni", "kube-controllers", "node")],
    "1.36": [f"quay.io/k0sproject/calico-{each}:v3.32.1-2" for each in ("cni", "kube-controllers", "node")],
}
_KUBEROUTER = {
    "1.32": ["quay.io/k0sproject/kube-router:v2.4.1-iptables1.8.9-0", "quay.io/k0sproject/cni-node:1.3.0-k0s.0"],
    "1.36": [
        "quay.io/k0sproject/kube-router:v2.10.0-iptables1.8.13-k0s.1",
        "quay.io/k0sproject/cni-node:v1.9.1-k0s.1",
    ],
}
_MORE = {
    "1.32": [
        "quay.io/k0sproject/pushgateway-ttl:1.4.0-k0s.0",
        "quay.io/k0sproject/envoy-distroless:v1.31.10",
    ],
    "1.36": [
        "quay.io/k0sproject/pushgateway-ttl:1.4.0-k0s.2",
        "quay.io/k0sproject/envoy-distroless:v1.39.0",
        "quay.io/k0sproject/traefik:v3.7.7-k0s.0",
    ],
}


def list_images(version: str, provider: str, repository: str, *, everything: bool) -> Iterator[str]:
    """Old versions print both networks, new ones the configured one; `repository` takes the place of every host."""
    line = "1.36" if is_at_least(version, 1, 36) else "1.32"
    both = everything or line == "1.32"
    found = [image.format(version=version) for image in _ALWAYS[line]]
    found += _CALICO[line] if both or provider == "calico" else []
    found += _KUBEROUTER[line] if both or provider == "kuberouter" else []
    found += _MORE[line] if everything else []
    for image in found:
        host, _, path = image.partition("/")
        yield f"{repository or host}/{path}"


def is_at_least(version: str, major: int, minor: int) -> bool:
    numbers = version.removeprefix("v").split(".")
    return (int(numbers[0]), int(numbers[1])) >= (major, minor)
