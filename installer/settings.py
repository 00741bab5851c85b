"""The installer's sections of the configuration file, as frozen types.

What earlier files say and what cannot work is put right here, with a remark: the models hold only what will do.
None means that the machine, the bundle or k0s itself decides.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from installer.settings_base import Section, read_secret, remark
from installer.settings_credentials import Credentials
from installer.settings_k0s import OWN_ADDRESS, K0s
from installer.settings_types import ChartVersion, Duration, Host, HostPort, is_loopback
from registry.config import DEFAULT_PORT, DEFAULT_STORAGE

DEFAULT_CHART = "oci://registry.mirantis.com/k0rdent-enterprise/charts/k0rdent-enterprise"
DEFAULT_NAMESPACE = "kcm-system"
# What charts and k0s ask for; see the images of both.
DEFAULT_MIRRORS = (
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "k8s.gcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.k8s.io",
    "registry.mirantis.com",
)
_HTTP = "k0rdent's own components speak HTTPS only"
_LOOPBACK = "pods and other machines do not reach this machine under that name"


class Helm(Section):
    """The chart of k0rdent."""

    chart: str = Field(
        default=DEFAULT_CHART, description="oci:// reference or absolute path; airgapped, its last part counts."
    )
    namespace: str = Field(default=DEFAULT_NAMESPACE, description="Where k0rdent's components live.")
    timeout: Duration = Field(
        default=timedelta(minutes=45), description="How long the first installation may take, pulls included."
    )
    values: Mapping[str, object] = Field(default_factory=dict, description="Values that win over those made here.")

    @field_validator("timeout", mode="before")
    @classmethod
    def _remark_number(cls, said: object, info: ValidationInfo) -> object:
        if isinstance(said, int):
            what = f"k0s reads a number as nanoseconds; here {said} is taken as seconds"
            remark(info, "k0rdent.helm.timeout", what, "write the unit, as in 45m")
        return said

    @model_validator(mode="after")
    def _remark_places(self, info: ValidationInfo) -> Self:
        if not (self.chart.startswith(("oci://", "/", "http://", "https://"))):
            what = f"{self.chart!r} names a Helm repository that nothing defines"
            remark(info, "k0rdent.helm.chart", what, f"write it as {DEFAULT_CHART}")
        if self.namespace != DEFAULT_NAMESPACE:
            what = f"k0rdent's own objects and documents say {DEFAULT_NAMESPACE}"
            remark(info, "k0rdent.helm.namespace", what, "leave the key out unless you know better")
        self._remark_registry(info)
        return self

    def _remark_registry(self, info: ValidationInfo) -> None:
        controller = self.values.get("controller")
        if not isinstance(controller, Mapping):
            return
        for key in ("globalRegistry", "templatesRepoURL"):
            said = str(controller.get(key, ""))
            path = f"k0rdent.helm.values.controller.{key}"
            if said.startswith("http://"):
                remark(info, path, _HTTP, "give the registry's HTTPS address")
            elif is_loopback(said.rpartition("//")[2].partition("/")[0].partition(":")[0]):
                remark(info, path, _LOOPBACK, "give the registry's own address")


class K0rdent(Section):
    """The platform on top."""

    version: ChartVersion | None = Field(default=None, description="Its version; the bundle's if left out.")
    helm: Helm = Field(default_factory=Helm)
    credentials: Credentials = Field(default_factory=Credentials)


class RegistryAccess(Section):
    """How nodes and pods reach the registry."""

    address: HostPort | None = Field(
        default=None, description="Its host and port, without a scheme; this machine's own address if left out."
    )
    insecure: bool = Field(
        default=False, description="Kept for earlier files, and without effect: the registry serves TLS."
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) of its CA; the registry's own if left out."
    )

    @field_validator("address", mode="before")
    @classmethod
    def _drop_scheme(cls, said: object, info: ValidationInfo) -> object:
        if not isinstance(said, str) or "://" not in said:
            return said
        if said.startswith("http://"):
            remark(info, "airgap.registry.address", f"{_HTTP}, never plain http", "leave the scheme out")
        return said.partition("://")[2].rstrip("/")

    @field_validator("insecure")
    @classmethod
    def _remark_insecure(cls, insecure: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        if insecure:
            what = f"{_HTTP}, and verify certificates: this has no effect"
            remark(info, "airgap.registry.insecure", what, "leave it out; the registry has a CA of its own")
        return insecure

    @model_validator(mode="after")
    def _remark_loopback(self, info: ValidationInfo) -> Self:
        if self.address is not None and is_loopback(self.address.host):
            remark(info, "airgap.registry.address", f"{self.address}: {_LOOPBACK}", OWN_ADDRESS)
        return self

    @property
    def host(self) -> str | None:
        """Where others reach it; None is this machine, under an address of its own."""
        return None if self.address is None or is_loopback(self.address.host) else self.address.host

    @property
    def port(self) -> int:
        return DEFAULT_PORT if self.address is None else self.address.port


class Images(Section):
    """k0s' own images."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When k0s' own pods pull their images."
    )
    preload: bool = Field(
        default=False, description="Also put them into the container runtime before it starts, from files."
    )

    @model_validator(mode="before")
    @classmethod
    def _correct_never(cls, said: object, info: ValidationInfo) -> object:
        if not isinstance(said, Mapping) or said.get("pullPolicy") != "Never" or said.get("preload"):
            return said
        what = "with Never the registry is not asked, and pods wait for ever for images that nobody preloads"
        remark(info, "airgap.images.pullPolicy", what, "IfNotPresent is used; or set preload")
        return {**said, "pullPolicy": "IfNotPresent"}


class Airgap(Section):
    """Installing without internet."""

    bundle_path: Path | None = Field(
        default=None, description="The vendor's bundle; not needed once the registry holds it."
    )
    registry: RegistryAccess = Field(default_factory=RegistryAccess)
    mirrors: tuple[str, ...] = Field(default=DEFAULT_MIRRORS, description="Registries in whose place ours is asked.")
    images: Images = Field(default_factory=Images)

    @field_validator("mirrors")
    @classmethod
    def _drop_scheme(cls, said: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Each is a folder of containerd's; `_default` is what it calls all others."""
        hosts = tuple(each.partition("://")[2] if "://" in each else each for each in said)
        hosts = tuple(each.rstrip("/") for each in hosts)
        for each, host in zip(said, hosts, strict=True):
            if host != "_default":
                HostPort.parse(host)
            if each != host:
                remark(info, "airgap.mirrors", f"{each} is read as {host}", "name hosts only")
        return hosts


class Join(Section):
    """Becoming a node of a cluster that is there."""

    mode: Literal["controller", "worker"]
    server: Host = Field(description="Address of a controller.")
    token: SecretStr | None = Field(default=None, description="What `k0s token create` printed; better in tokenFile.")
    token_file: Path | None = Field(default=None, description="A file of it, which nobody else may read.")

    @field_validator("server")
    @classmethod
    def _refuse_own(cls, server: Host) -> Host:
        if is_loopback(server):
            raise ValueError(f"{server} is this machine: name a controller of the cluster to join")
        return server

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("needs either token or tokenFile")
        return self

    def secret_token(self) -> str:
        """The token, from the settings or from its file.

        Raises:
            OSError: the file cannot be read.
        """
        if self.token is not None:
            return self.token.get_secret_value().strip()
        assert self.token_file is not None
        return read_secret(self.token_file)


class Settings(Section):
    """All of the installer's sections; `registry` holds options of `k0rdentd registry`, as they are said."""

    k0s: K0s = Field(default_factory=K0s)
    k0rdent: K0rdent = Field(default_factory=K0rdent)
    airgap: Airgap = Field(default_factory=Airgap)
    join: Join | None = Field(default=None, description="Only on a node that joins a cluster.")
    registry: Mapping[str, object] = Field(default_factory=dict)
    debug: bool = Field(default=False, description="Log everything, and show tracebacks.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much is logged.")
    log_format: Literal["text", "json"] = Field(default="text", description="As what it is logged.")

    @field_validator("join", mode="before")
    @classmethod
    def _drop_empty_join(cls, said: object) -> object:
        """Earlier exports write the section with every key empty."""
        return None if isinstance(said, Mapping) and not any(said.values()) else said

    @field_validator("log_level", mode="before")
    @classmethod
    def _name_level(cls, said: object) -> object:
        return "warning" if said == "warn" else said

    @property
    def registry_address(self) -> HostPort | None:
        """Where nodes and pods reach the registry; None is this machine, under an address of its own."""
        access = self.airgap.registry
        host = access.host or (self.join.server if self.join else None)
        return None if host is None else HostPort.parse(f"[{host}]:{access.port}")

    @property
    def storage_roots(self) -> tuple[Path, ...]:
        """Where the registry of this machine keeps its content."""
        said = self.registry.get("storage") or DEFAULT_STORAGE
        return tuple(Path(str(each)) for each in (said if isinstance(said, list) else [said]))
