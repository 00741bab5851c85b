"""What goes into the runtime is what the lock files say, and no more than the product needs."""

import tomllib

from installer.packaging.locks import ROOT, debs, runtime_pins


def test_the_runtime_takes_what_the_product_needs_and_nothing_of_developers() -> None:
    names = {pin.name for pin in runtime_pins()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(names) >= len(project["dependencies"])
    assert {"click", "falcon", "httpcore", "certifi"} <= names
    assert not {"pytest", "mypy", "ruff", "setuptools", "pygments"} & names


def test_everything_is_locked_by_its_hash() -> None:
    assert all("--hash=sha256:" in pin.text and "#" not in pin.text for pin in runtime_pins())
    assert all(len(deb.sha256) == 64 for deb in debs("amd64"))
