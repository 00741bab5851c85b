"""What child clusters get to reach their cloud, rendered by a real engine of Go templates."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from installer.cloud_templates import AZURE_CLOUD_CONFIG, OPENSTACK_CLOUD_CONFIG
from tests.e2e.helm import Helm, extract_helm

pytestmark = pytest.mark.client

PASSWORD = 'a"b\\c: {}'


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    folder = tmp_path_factory.mktemp("helm")
    return Helm(extract_helm(folder), folder)


def render(helm: Helm, folder: Path, template: str, **resources: object) -> dict[str, object]:
    """Sveltos' way of asking for resources, in Helm's words: the language and its functions are the same."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: demo, version: 1.0.0}")
    (chart / "values.yaml").write_text(json.dumps(resources))
    text = template.replace(".InfrastructureProvider.", ".Values.InfrastructureProvider.")
    (chart / "templates/it.yaml").write_text(text.replace("getResource", "index $.Values"))
    return dict(yaml.safe_load(helm.run("template", "demo", chart)))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_azure_gets_its_account_and_the_network_of_the_workers(helm: Helm, tmp_path: Path) -> None:
    subnets = [{"name": name, "role": role, **parts(name)} for name, role in (("c", "control-plane"), ("w", "node"))]
    spec = {
        "azureEnvironment": "AzurePublicCloud",
        "location": "here",
        "resourceGroup": "group",
        "subscriptionID": "subscription",
        "networkSpec": {"vnet": {"name": "net", "resourceGroup": "net-group"}, "subnets": subnets},
    }
    secret = render(
        helm,
        tmp_path,
        AZURE_CLOUD_CONFIG,
        InfrastructureProvider={"spec": spec},
        InfrastructureProviderIdentity={"spec": {"clientID": "client", "tenantID": "tenant"}},
        InfrastructureProviderIdentitySecret={"data": {"clientSecret": encoded(PASSWORD)}},
    )
    assert secret["metadata"] == {"name": "azure-cloud-provider", "namespace": "kube-system"}
    assert isinstance(secret["data"], dict)
    config = json.loads(base64.b64decode(secret["data"]["cloud-config"]))
    assert (config["aadClientId"], config["aadClientSecret"], config["tenantId"]) == ("client", PASSWORD, "tenant")
    assert (config["subnetName"], config["securityGroupName"], config["routeTableName"]) == ("w", "w-group", "w-routes")
    assert config["vnetResourceGroup"] == config["securityGroupResourceGroup"] == "net-group"


@pytest.mark.parametrize(
    ("auth", "line"),
    [
        (["application_credential_id", "application_credential_secret"], "application-credential-secret"),
        (["username", "password", "project_name", "user_domain_name", "project_domain_name"], "password"),
    ],
)
@pytest.mark.parametrize("network", [{}, {"externalNetwork": {"id": "n1", "name": "public"}}])
def test_openstack_gets_its_account_and_the_outer_network_if_there_is_one(
    helm: Helm, tmp_path: Path, auth: list[str], line: str, network: dict[str, object]
) -> None:
    said = dict.fromkeys(["auth_url", *auth], PASSWORD)
    clouds = yaml.safe_dump({"clouds": {"openstack": {"auth": said, "region_name": "r"}}})
    secret = render(
        helm,
        tmp_path,
        OPENSTACK_CLOUD_CONFIG,
        InfrastructureProvider={"status": network},
        InfrastructureProviderIdentity={"data": {"clouds.yaml": encoded(clouds)}},
    )
    assert isinstance(secret["stringData"], dict)
    lines = secret["stringData"]["cloud.conf"].splitlines()
    assert lines[0] == "[Global]"
    assert f"{line}={json.dumps(PASSWORD)}" in lines
    assert ('floating-network-id="n1"' in lines) is bool(network)


def parts(name: str) -> dict[str, object]:
    return {"securityGroup": {"name": f"{name}-group"}, "routeTable": {"name": f"{name}-routes"}}
