"""`k0s`: the Kubernetes distribution, its API, networks and storage."""

from ipaddress import IPv4Network
from typing import Literal, Self

from pydantic import Field, IPvAnyAddress, SecretStr, ValidationInfo, field_validator, model_validator

from installer.settings_base import Section, remark
from installer.settings_types import Addresses, Host, K0sVersion

OWN_ADDRESS = "this machine's own address is used; leave the key out"


class Api(Section):
    """The Kubernetes API."""

    address: IPvAnyAddress | None = Field(
        default=None, description="This node's address for the others; the one of the default route if left out."
    )
    external_address: Host | None = Field(
        default=None, description="A load balancer in front of all controllers; set it before the first install."
    )
    port: int = Field(default=6443, ge=1, le=65535, description="Port of the API server.")
    sans: tuple[Host, ...] = Field(default=(), description="More names and addresses for the API server's certificate.")

    @field_validator("address")
    @classmethod
    def _drop_wildcard(cls, address: IPvAnyAddress | None, info: ValidationInfo) -> IPvAnyAddress | None:
        if address is None or not (address.is_unspecified or address.is_loopback):
            return address
        remark(info, "k0s.api.address", f"{address} is no address for other nodes, and k0s refuses it", OWN_ADDRESS)
        return None


class Network(Section):
    """The cluster's own networks."""

    provider: Literal["kuberouter", "calico", "custom"] = "kuberouter"
    pod_cidr: Addresses = Field(
        default=IPv4Network("10.244.0.0/16"), description="Addresses of pods; must be free at this site."
    )
    service_cidr: Addresses = Field(
        default=IPv4Network("10.96.0.0/12"), description="Addresses of services; must be free at this site."
    )
    cluster_domain: Host = Field(default=Host("cluster.local"), description="Domain of the services.")

    @model_validator(mode="after")
    def _check_networks(self) -> Self:
        if self.pod_cidr.version != self.service_cidr.version:
            raise ValueError("podCIDR and serviceCIDR must both be IPv4, or both IPv6")
        if self.pod_cidr.overlaps(self.service_cidr):
            raise ValueError(f"podCIDR {self.pod_cidr} and serviceCIDR {self.service_cidr} overlap")
        return self


class Etcd(Section):
    """etcd on the controllers."""

    peer_address: IPvAnyAddress | None = Field(
        default=None, description="This node's address for other controllers; k0s.api.address if left out."
    )

    @field_validator("peer_address")
    @classmethod
    def _drop_loopback(cls, address: IPvAnyAddress | None, info: ValidationInfo) -> IPvAnyAddress | None:
        if address is None or not (address.is_loopback or address.is_unspecified):
            return address
        what = f"no other controller can join at {address}"
        remark(info, "k0s.storage.etcd.peerAddress", what, OWN_ADDRESS)
        return None


class Kine(Section):
    """A database in place of etcd."""

    data_source: SecretStr | None = Field(default=None, description="Its data source; SQLite on this node if left out.")


class Storage(Section):
    """Where the cluster keeps its state."""

    type: Literal["etcd", "kine"] = "etcd"
    etcd: Etcd = Field(default_factory=Etcd)
    kine: Kine = Field(default_factory=Kine)


class K0s(Section):
    """The Kubernetes distribution."""

    version: K0sVersion | None = Field(default=None, description="Its version; the bundle's if left out.")
    api: Api = Field(default_factory=Api)
    network: Network = Field(default_factory=Network)
    storage: Storage = Field(default_factory=Storage)
