"""Accounts at clouds as k0rdent wants them: secret, identity, a template for child clusters, and the Credential.

k0rdent finds two of them by name alone: `<identity>-secret` and `<identity>-resource-template`, in the namespace of
the identity. Where one is called otherwise, child clusters come up without access to their cloud.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from installer.changes import Change, Wait
from installer.cloud_templates import AZURE_CLOUD_CONFIG, OPENSTACK_CLOUD_CONFIG
from installer.errors import HostRefuses, InstallFailed
from installer.host import Host
from installer.kube import Manifest
from installer.objects import ensure_object
from installer.settings_credentials import (
    AwsCredential,
    AzureCredential,
    Credential,
    Credentials,
    OpenStackCredential,
)
from installer.waiting import CredentialReady

_PATIENCE = 600.0
_INFRASTRUCTURE = "infrastructure.cluster.x-k8s.io"
_LABELS = {"k0rdent.mirantis.com/component": "kcm"}
_CLOUD = "openstack"  # the name that k0rdent's templates look for in clouds.yaml


@dataclass(frozen=True, slots=True)
class CloudCredentials:
    """k0rdent knows the accounts of the settings."""

    credentials: Credentials = field(repr=False)
    namespace: str
    title: str = "credentials of clouds"

    def changes(self, host: Host) -> Iterator[Change]:
        for credential in self.credentials.all:
            for manifest in manifests(credential, self.namespace):
                yield from ensure_object(host, manifest)
            ready = CredentialReady(credential.name, self.namespace)
            if ready.lacking(host) is not None:
                yield Wait(ready, _PATIENCE)


def manifests(credential: Credential, namespace: str) -> tuple[Manifest, ...]:
    """The objects of an account, in the order in which they need each other.

    Raises:
        HostRefuses: a file with a secret cannot be read.
    """
    try:
        match credential:
            case AwsCredential():
                return _aws(credential, namespace)
            case AzureCredential():
                return _azure(credential, namespace)
            case OpenStackCredential():
                return _openstack(credential, namespace)
    except OSError as error:
        raise HostRefuses(f"credential {credential.name}: cannot read {error.filename}: {error.strerror}") from error
    raise InstallFailed(f"credential {credential.name} is for no cloud that is known here")


def _aws(said: AwsCredential, namespace: str) -> tuple[Manifest, ...]:
    identity = f"{said.name}-identity"
    keys = {
        "AccessKeyID": said.secret("access_key_id"),
        "SecretAccessKey": said.secret("secret_access_key"),
        "SessionToken": said.secret("session_token"),
    }
    kind = {"apiVersion": f"{_INFRASTRUCTURE}/v1beta2", "kind": "AWSClusterStaticIdentity"}
    # All namespaces: the exact empty mapping; a selector that selects by nothing would allow none.
    spec = {"secretRef": f"{identity}-secret", "allowedNamespaces": {}}
    return (
        _secret(f"{identity}-secret", namespace, {key: value for key, value in keys.items() if value}),
        {**kind, "metadata": {"name": identity, "labels": _LABELS}, "spec": spec},
        _template(identity, namespace, ""),
        _credential(said.name, namespace, "AWS", {**kind, "name": identity}),
    )


def _azure(said: AzureCredential, namespace: str) -> tuple[Manifest, ...]:
    identity = f"{said.name}-identity"
    kind = {"apiVersion": f"{_INFRASTRUCTURE}/v1beta1", "kind": "AzureClusterIdentity"}
    labels = {"clusterctl.cluster.x-k8s.io/move-hierarchy": "true", **_LABELS}
    spec = {
        "allowedNamespaces": {},
        "clientID": said.client_id,
        "clientSecret": {"name": f"{identity}-secret", "namespace": namespace},
        "tenantID": said.tenant_id,
        "type": "ServicePrincipal",
    }
    return (
        _secret(f"{identity}-secret", namespace, {"clientSecret": said.secret("client_secret") or ""}),
        {**kind, "metadata": {"name": identity, "namespace": namespace, "labels": labels}, "spec": spec},
        _template(identity, namespace, AZURE_CLOUD_CONFIG),
        _credential(said.name, namespace, "Azure", {**kind, "name": identity}),
    )


def _openstack(said: OpenStackCredential, namespace: str) -> tuple[Manifest, ...]:
    config = f"{said.name}-config"
    clouds = yaml.safe_dump({"clouds": {_CLOUD: _cloud(said)}}, sort_keys=False)
    return (
        _secret(config, namespace, {"clouds.yaml": clouds}),
        _template(config, namespace, OPENSTACK_CLOUD_CONFIG),
        _credential(said.name, namespace, "OpenStack", {"apiVersion": "v1", "kind": "Secret", "name": config}),
    )


def _cloud(said: OpenStackCredential) -> dict[str, object]:
    """One cloud of clouds.yaml."""
    auth: dict[str, object] = {"auth_url": said.auth_url}
    if said.application_credential_id is not None:
        kind = "v3applicationcredential"
        auth["application_credential_id"] = said.application_credential_id
        auth["application_credential_secret"] = said.secret("application_credential_secret")
    else:
        kind = "v3password"
        domains = dict.fromkeys(("user_domain_name", "project_domain_name"), said.domain_name)
        auth |= {"username": said.username, "password": said.secret("password"), "project_name": said.project_name}
        auth |= domains
    return {
        "auth": auth,
        "region_name": said.region,
        "interface": "public",
        "identity_api_version": 3,
        "auth_type": kind,
    }


def _secret(name: str, namespace: str, content: Mapping[str, str]) -> Manifest:
    # `data`, not `stringData`: the server never tells the latter back, so nobody could see that nothing is to be done.
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": _LABELS},
        "type": "Opaque",
        "data": encoded,
    }


def _template(identity: str, namespace: str, text: str) -> Manifest:
    """What k0rdent renders into each child cluster; it has to be there, even where nothing is to be rendered."""
    metadata = {
        "name": f"{identity}-resource-template",
        "namespace": namespace,
        "labels": _LABELS,
        "annotations": {"projectsveltos.io/template": "true"},
    }
    content = {"data": {"configmap.yaml": text}} if text else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}


def _credential(name: str, namespace: str, cloud: str, identity: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "k0rdent.mirantis.com/v1beta1",
        "kind": "Credential",
        "metadata": {"name": name, "namespace": namespace, "labels": _LABELS},
        # The namespace counts for identities without one too: k0rdent looks for secret and template there.
        "spec": {"description": f"{cloud} account {name}", "identityRef": {**identity, "namespace": namespace}},
    }
