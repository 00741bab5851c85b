"""helm pushes charts, and pulls, shows and renders them from the registry."""

from pathlib import Path

import pytest
import yaml

from bench.layout import CHART_CONFIG, CHART_CONTENT
from tests.conftest import Server, resolve
from tests.e2e.helm import ACCOUNT, Helm, package

pytestmark = pytest.mark.client

VERSIONS = ("1.0.0", "1.0.0+b1", "2.0.0-rc.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chart_that_helm_pushes_is_pulled_byte_for_byte(
    anonymous: Server, helm: Helm, tmp_path: Path, version: str
) -> None:
    packed = package(helm, tmp_path, version)
    helm.run("push", packed, f"oci://{anonymous.host}/charts", "--plain-http")
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    options = ("--version", version, "--plain-http", "--destination", pulled)
    helm.run("pull", f"oci://{anonymous.host}/charts/demo", *options)
    assert (pulled / packed.name).read_bytes() == packed.read_bytes()
    manifest = resolve(anonymous, "charts/demo", version.replace("+", "_")).json()
    assert manifest["config"]["mediaType"] == CHART_CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [CHART_CONTENT]


def test_helm_pushes_with_credentials_and_renders_without(guarded: Server, helm: Helm, tmp_path: Path) -> None:
    packed = package(helm, tmp_path, "1.2.3")
    helm.run("push", packed, f"oci://{guarded.host}/charts", "--plain-http", *ACCOUNT)
    chart = (f"oci://{guarded.host}/charts/demo", "--plain-http")
    assert yaml.safe_load(helm.run("show", "chart", *chart))["version"] == "1.2.3"  # found among the tags
    assert yaml.safe_load(helm.run("template", "release", *chart))["data"] == {"replicas": "3"}


def test_helm_without_credentials_is_refused(guarded: Server, helm: Helm, tmp_path: Path) -> None:
    refused = helm.attempt("push", package(helm, tmp_path, "6.6.6"), f"oci://{guarded.host}/charts", "--plain-http")
    assert refused.returncode != 0
    assert "401" in refused.stderr or "unauthorized" in refused.stderr
    assert resolve(guarded, "charts/demo", "6.6.6").status_code == 404
