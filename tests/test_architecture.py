"""Who may import whom (ARCHITECTURE.md): a test, so that it stays true."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("registry", "loader", "installer", "bench")

# package: what of ours it may import besides itself
ALLOWED = {
    "registry.oci": (),
    "registry.storage": ("registry.oci",),
    "registry.api": ("registry.oci", "registry.storage"),
    "registry.pki": ("registry.oci", "registry.storage", "registry.config"),
    "registry.server": (
        "registry.oci",
        "registry.storage",
        "registry.api",
        "registry.pki",
        "registry.config",
        "registry.program",
        "registry.wsgi",
    ),
    "registry.transfer": ("registry.oci", "registry.storage", "registry.text", "registry.units"),
    "registry": ("registry",),
    "loader": (
        "registry.oci",
        "registry.storage",
        "registry.transfer",
        "registry.credentials",
        "registry.lazy_group",
        "registry.options",
        "registry.path_name",
        "registry.selection",
        "registry.text",
        "registry.units",
        "registry.verification",
    ),
    "installer": (
        *("registry.oci", "registry.config", "registry.lazy_group", "registry.path_name", "registry.program"),
        "registry.options",
        *("loader.errors", "loader.signature", "registry.verification"),  # of the executable itself
    ),
    # Not part of the product: it builds the executables.
    "installer.packaging": (
        *("installer.executable", "installer.runtime"),
        *("registry.oci", "registry.storage", "registry.program", "registry.units"),
    ),
    "bench": ("registry", "loader"),
}
# module: the only files that may import it
KEEPERS = {
    "lmdb": {"registry/storage/environment.py"},
    "gunicorn": {
        "registry/server/application.py",
        "registry/server/arbiter.py",
        "registry/server/request.py",
        "registry/server/loop.py",
        "registry/server/worker.py",
    },
}


def modules() -> list[Path]:
    return sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names, `from a import b` as `a.b`, wherever in the file they stand."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def owner(path: Path) -> str:
    dotted = ".".join(path.parent.parts)
    return dotted if dotted in ALLOWED else path.parts[0]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_go_one_way(path: Path) -> None:
    own = owner(path)
    for name in imports(path):
        if name.split(".")[0] in PACKAGES:
            assert within(name, own) or any(within(name, other) for other in ALLOWED[own]), f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_nothing_imports_a_command_line_or_an_entry_point(path: Path) -> None:
    allowed = {"registry.wsgi"} if path == Path("registry/server/application.py") else set()
    for name in imports(path):
        tail = [part for part in name.split(".") if part in ("cli", "wsgi")]
        assert not tail or any(within(name, each) for each in allowed) or name.split(".")[0] not in PACKAGES, name


@pytest.mark.parametrize("module", KEEPERS)
def test_some_libraries_have_one_keeper(module: str) -> None:
    users = {str(path) for path in modules() if any(within(name, module) for name in imports(path))}
    assert users == KEEPERS[module]


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import registry.oci.manifest", {"falcon", "lmdb", "orjson", "click"}),
        ("import installer.command", {"falcon", "lmdb", "gunicorn", "cryptography", "zstandard", "rich"}),
        ("from installer.command import run; run(['version'])", {"logging", "yaml", "registry.config", "hashlib"}),
        ("import loader.cli", {"falcon", "gunicorn", "rich", "importlib.metadata"}),
        ("import loader.bundle_cli", {"falcon", "gunicorn", "httpx", "rich"}),
        ("import registry.store_cli", {"falcon", "gunicorn", "httpx", "cryptography", "importlib.metadata"}),
    ],
)
def test_an_import_costs_only_what_it_needs(statement: str, unwanted: set[str]) -> None:
    script = f"{statement}; import sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not unwanted & set(shown.stdout.split())


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    tops = {path.parts[0] for path in modules()}
    assert not tops & sys.stdlib_module_names
    assert not {path.stem for path in modules()} & {"utils", "helpers", "manager", "common"}
