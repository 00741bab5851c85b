"""Where things are on a host; the paths of k0s are its defaults."""

from pathlib import Path

K0S = Path("/usr/local/bin/k0s")
K0S_CONFIG = Path("/etc/k0s/k0s.yaml")
K0S_STATE = Path("/var/lib/k0s")
K0S_RUN = Path("/run/k0s")
K0S_MANIFESTS = K0S_STATE / "manifests/k0rdentd"
K0S_IMAGES = K0S_STATE / "images"
K0S_UNITS = tuple(Path(f"/etc/systemd/system/k0s{role}.service") for role in ("controller", "worker"))

CONTAINERD_CONFIG = Path("/etc/k0s/containerd.toml")
CONTAINERD_DROPIN = Path("/etc/k0s/containerd.d/k0rdentd.toml")
CONTAINERD_HOSTS = Path("/etc/k0s/certs.d")

REGISTRY_CA = Path("/etc/k0rdentd/registry-ca.crt")
STATE = Path("/var/lib/k0rdentd")
CHARTS = STATE / "charts"
INSTALLER = STATE / "installer"
STARTED_WITH = INSTALLER / "started-with.json"
PRELOAD_STORE = INSTALLER / "preload"
JOIN_TOKEN = INSTALLER / "join-token"
KUBE_CACHE = Path("/run/k0rdentd-kube-cache")
LOCK = Path("/run/k0rdentd-installer.lock")
