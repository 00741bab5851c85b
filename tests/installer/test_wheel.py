"""The other way to install: a wheel, as pipx does it, into an environment with nothing but our dependencies."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from installer.packaging.fetching import fetch_wheels, run
from installer.packaging.locks import ROOT, runtime_pins

pytestmark = pytest.mark.slow

_OURS = """
import importlib, importlib.metadata, sys
owners = importlib.metadata.packages_distributions()
for name in ("registry", "loader", "installer", "bench"):
    assert set(owners[name]) == {"k0rdentd"}, owners[name]
    assert importlib.import_module(name).__file__.startswith(sys.prefix)
assert importlib.util.find_spec("installer.packaging") is None
"""


def test_the_wheel_installs_and_its_names_belong_to_us(tmp_path: Path) -> None:
    cache = Path(os.environ.get("K0RDENTD_WHEELHOUSE", ROOT / "build/cache"))
    wheels = fetch_wheels(runtime_pins(), "amd64", cache)
    source = tmp_path / "source"
    run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(source)])
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    modern = int(version("setuptools").split(".")[0]) >= 77  # else pip fetches one that is
    isolation = ["--no-build-isolation"] if modern else []
    run([sys.executable, "-m", "pip", "wheel", *quiet, *isolation, "-w", str(tmp_path), str(source)])
    environment = tmp_path / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
    python = str(environment / "bin/python")
    for wheel in wheels:  # as pip does with them, in a tenth of its time
        zipfile.ZipFile(wheel).extractall(next(environment.glob("lib/python*/site-packages")))
    own = next(tmp_path.glob("k0rdentd-*.whl"))
    install = [sys.executable, "-m", "pip", "--python", python, "install", *quiet, "--no-index", "--no-compile"]
    run([*install, str(own)])
    subprocess.run([python, "-I", "-c", _OURS], check=True, cwd=tmp_path)
    shown = subprocess.run([environment / "bin/k0rdentd", "show-flavor"], check=True, capture_output=True, text=True)
    assert shown.stdout == "online\n"
