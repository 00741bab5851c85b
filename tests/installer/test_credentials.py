"""Accounts at clouds become the objects that k0rdent finds by name, and become them once."""

import base64
import json
from pathlib import Path

import pytest
import yaml

from installer.credentials import CloudCredentials, manifests
from installer.errors import HostRefuses
from installer.host import Host
from installer.kube import Object
from installer.plan import apply, plan
from installer.settings_credentials import AwsCredential, Credentials
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import run, start_controller

PASSWORD = "a: b'\"#{}\n%"
SAID = {
    "aws": [{"name": "cloud-a", "accessKeyID": "AKIA1", "secretAccessKey": "secret-a", "region": "r"}],
    "azure": [
        {
            "name": "cloud-z",
            "clientID": "client",
            "tenantID": "tenant",
            "clientSecret": "secret-z",
            "subscriptionID": "s",
        }
    ],
    "openstack": [
        {
            "name": "cloud-o",
            "authURL": "https://keystone.example:5000/v3",
            "region": "here",
            "username": "me",
            "password": PASSWORD,
            "projectName": "p",
            "domainName": "Default",
        }
    ],
}
ACCOUNTS = Credentials.model_validate(SAID)


def objects(cloud: str) -> list[Object]:
    said: tuple[AwsCredential, ...] = getattr(ACCOUNTS, cloud)
    return [Object(each) for each in manifests(said[0], "kcm-system")]


@pytest.mark.parametrize(
    ("cloud", "names"),
    [
        ("aws", ["cloud-a-identity-secret", "cloud-a-identity", "cloud-a-identity-resource-template", "cloud-a"]),
        ("azure", ["cloud-z-identity-secret", "cloud-z-identity", "cloud-z-identity-resource-template", "cloud-z"]),
        ("openstack", ["cloud-o-config", "cloud-o-config-resource-template", "cloud-o"]),
    ],
)
def test_the_names_are_those_by_which_k0rdent_finds_them(cloud: str, names: list[str]) -> None:
    found = objects(cloud)
    assert [each.name for each in found] == names
    identity = found[-1].section("spec", "identityRef")
    assert identity["namespace"] == "kcm-system"
    assert f"{identity['name']}-resource-template" in names


def test_every_namespace_may_use_an_identity_by_the_exact_empty_mapping() -> None:
    for cloud in ("aws", "azure"):
        identity = objects(cloud)[1]
        assert identity.part("spec", "allowedNamespaces") == {}
    assert objects("aws")[1].namespace == ""
    assert objects("azure")[1].namespace == "kcm-system"


def test_clouds_yaml_holds_whatever_a_password_holds() -> None:
    text = base64.b64decode(objects("openstack")[0].text("data", "clouds.yaml")).decode()
    cloud = yaml.safe_load(text)["clouds"]["openstack"]
    assert cloud["auth"]["password"] == PASSWORD
    assert (cloud["auth_type"], cloud["region_name"]) == ("v3password", "here")


def test_a_secret_whose_file_is_missing_is_told_by_name(tmp_path: Path) -> None:
    said = {"name": "cloud-a", "accessKeyID": "AKIA1", "secretAccessKeyFile": tmp_path / "missing"}
    with pytest.raises(HostRefuses, match=r"credential cloud-a: cannot read .*missing"):
        manifests(AwsCredential.model_validate(said), "kcm-system")
    for content, why in ((b" \n", "it is empty"), (b"\xff\xfe", "it holds what is no text")):
        (tmp_path / "missing").write_bytes(content)
        with pytest.raises(HostRefuses, match=rf"credential cloud-a: cannot read .*missing: {why}"):
            manifests(AwsCredential.model_validate(said), "kcm-system")


@pytest.mark.client
def test_an_account_is_there_once_and_never_on_a_command_line(machine: Machine, host: Host) -> None:
    machine.script(looks=0, components=["cluster-api-provider-aws"], credential_errors={"cloud-a": "key revoked"})
    start_controller(machine)
    look(machine, "charts")
    steps = [CloudCredentials(Credentials(aws=ACCOUNTS.aws), "kcm-system")]
    told = []
    for each in apply(host, plan(host, steps)):
        told.append(f"{each.planned.change.describe()} {each.note}")
        if "does not know the kind AWSClusterStaticIdentity yet" in each.note:
            look(machine, "managements")
            look(machine, "managements")
        elif "key revoked" in each.note:
            machine.script(credential_errors={})
    assert [each.partition(" kcm-system")[0] for each in told if each.endswith(" ")] == [
        "apply Secret",
        "apply AWSClusterStaticIdentity cloud-a-identity ",
        "apply ConfigMap",
        "apply Credential",
        "wait until the Credential cloud-a is ready (up to 10 min) ",
    ]
    assert plan(host, steps) == []
    shown = json.dumps(machine.calls()) + " ".join(told)
    assert "secret-a" not in shown
    assert base64.b64encode(b"secret-a").decode() not in shown


def look(machine: Machine, kind: str) -> None:
    """Somebody looks, and the cluster moves on."""
    run(machine, "k0s", "kubectl", "get", kind, "-A")
