"""The kinds that the API knows: from the start, with k0rdent, or with a provider of clusters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A resource; `since` is the chart or the component that brings it, empty for Kubernetes' own."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    since: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


_K0RDENT = "k0rdent.mirantis.com"
_CAPI = "infrastructure.cluster.x-k8s.io"
KINDS = (
    Kind("", "v1", "Namespace", "namespaces", namespaced=False),
    Kind("", "v1", "Node", "nodes", namespaced=False),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "Service", "services"),
    Kind("", "v1", "Pod", "pods"),
    Kind("", "v1", "Event", "events"),
    Kind("apps", "v1", "Deployment", "deployments"),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    Kind("helm.k0sproject.io", "v1beta1", "Chart", "charts"),
    Kind(_K0RDENT, "v1beta1", "Management", "managements", namespaced=False, since="k0rdent"),
    Kind(_K0RDENT, "v1beta1", "Release", "releases", namespaced=False, since="k0rdent"),
    Kind(_K0RDENT, "v1beta1", "Credential", "credentials", since="k0rdent"),
    Kind(_K0RDENT, "v1beta1", "ClusterDeployment", "clusterdeployments", since="k0rdent"),
    Kind(_K0RDENT, "v1beta1", "ClusterTemplate", "clustertemplates", since="k0rdent"),
    Kind(_K0RDENT, "v1beta1", "ProviderTemplate", "providertemplates", namespaced=False, since="k0rdent"),
    Kind("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", since="k0rdent"),
    Kind(
        _CAPI,
        "v1beta2",
        "AWSClusterStaticIdentity",
        "awsclusterstaticidentities",
        namespaced=False,
        since="cluster-api-provider-aws",
    ),
    Kind(_CAPI, "v1beta1", "AzureClusterIdentity", "azureclusteridentities", since="cluster-api-provider-azure"),
)
