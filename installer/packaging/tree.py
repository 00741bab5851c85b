"""The runtime as a folder: a trimmed Python of Debian with its C library, the dependencies, and ours.

bin/python3   lib/ (libraries)   lib/python3.11/ (all modules, as bytecode)   share/licences/   RUNTIME
"""

import importlib.util
import py_compile
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from installer.packaging.errors import BuildFailed
from installer.packaging.fetching import run
from installer.packaging.locks import ROOT

PYTHON = "lib/python3.11"
OURS = ("registry", "loader", "installer", "bench")

LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
# The launcher writes the loader's absolute path into as much room.
_LOADER_ROOM = 1024
_LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libgcc_s.so.1", "libz.so.1", "libexpat.so.1"),
    *("libssl.so.3", "libcrypto.so.3", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5"),
    # Empty nowadays, but still asked for: by wheels, and by name services of the host, which must not bring its own.
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2", "libanl.so.1"),
)
# Debian's own hooks; what needs a display, a terminal library, a database or a compiler; what runs tests.
_NO_MODULES = (
    *("sitecustomize.py", "EXTERNALLY-MANAGED", "antigravity.py", "this.py", "turtle.py", "turtledemo"),
    *("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "venv", "pydoc_data", "distutils", "unittest"),
    *("_distutils_system_mod.py", "curses", "dbm", "sqlite3", "crypt.py", "_sysconfigdata__linux_*"),
)
_NO_EXTENSIONS = (
    *("_crypt", "_curses", "_curses_panel", "_dbm", "_sqlite3", "_uuid", "nis", "readline", "ossaudiodev"),
    *("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_multibytecodec"),
    *("_ctypes_test", "_testbuffer", "_testcapi", "_testclinic", "_testimportmultiple", "_testinternalcapi"),
    *("_testmultiphase", "_xxtestfuzz", "xxlimited", "xxlimited_35", "audioop"),
)
# Another backend of zstandard, 12 MB; sources that extensions were made of.
_NO_FILES = ("zstandard/_cffi.*", "**/*.pyx", "**/*.pxd", "**/*.c", "**/*.h", "**/*.pyi", "**/tests", "**/py.typed")


def assemble(tree: Path, debs: Sequence[Path], wheels: Sequence[Path], architecture: str) -> None:
    """Make `tree`, which must not exist, with everything but bytecode and licences."""
    unpacked = tree.with_name("debian")
    for deb in debs:
        run(["dpkg-deb", "-x", str(deb), str(unpacked)])
    _copy_libraries(tree, unpacked, architecture)
    _copy_python(tree, unpacked, architecture)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as file:
            file.extractall(tree / PYTHON)
    for pattern in _NO_FILES:
        _remove((tree / PYTHON).glob(pattern))
    _strip(tree)
    _tie_to_own_libraries(tree, unpacked)
    (tree / "RUNTIME").write_text("Unpacked by the k0rdentd executable, which makes it anew if it is removed.\n")


def add_own(tree: Path, version: str) -> None:
    """k0rdentd itself: what git knows of the four packages, this one left out."""
    listed = run(["git", "ls-files", "-z", "--", *OURS, ":!installer/packaging"], cwd=ROOT).split("\0")
    for name in filter(None, listed):
        target = tree / PYTHON / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    described = tree / PYTHON / f"k0rdentd-{version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: k0rdentd\nVersion: {version}\n")


def compile_all(tree: Path) -> None:
    """Bytecode in place of the sources: a third less to unpack, and to look for at a start."""
    if importlib.util.MAGIC_NUMBER != b"\xa7\r\r\n":
        raise BuildFailed("the bytecode must be Python 3.11's: build with python3.11")
    for source in sorted((tree / PYTHON).rglob("*.py")):
        named = str(source.relative_to(tree / PYTHON))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(source), str(source.with_suffix(".pyc")), named, doraise=True, invalidation_mode=mode)
        source.unlink()


def _copy_libraries(tree: Path, unpacked: Path, architecture: str) -> None:
    (tree / "lib").mkdir(parents=True)
    triplet = _TRIPLETS[architecture]
    for name in _LIBRARIES:
        found = [
            path for path in (unpacked / "lib" / triplet / name, unpacked / "usr/lib" / triplet / name) if path.exists()
        ]
        shutil.copyfile(found[0], tree / "lib" / name)
    shutil.copyfile(unpacked / "lib" / triplet / LOADERS[architecture], tree / "lib/ld.so")
    (tree / "lib/ld.so").chmod(0o755)


def _copy_python(tree: Path, unpacked: Path, architecture: str) -> None:
    source = unpacked / "usr" / PYTHON
    shutil.copytree(source, tree / PYTHON, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", *_NO_MODULES))
    for name in _NO_EXTENSIONS:
        (tree / PYTHON / "lib-dynload" / f"{name}.cpython-311-{_TRIPLETS[architecture]}.so").unlink()
    (tree / "bin").mkdir()
    shutil.copyfile(unpacked / "usr/bin/python3.11", tree / "bin/python3")
    (tree / "bin/python3").chmod(0o755)


def _remove(paths: Iterable[Path]) -> None:
    for path in sorted(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _strip(tree: Path) -> None:
    """Wheels come with symbols for debuggers: 40 MB of them."""
    libraries = sorted(map(str, (tree / PYTHON).rglob("*.so")))
    run(["strip", "--strip-unneeded", *libraries])


def _tie_to_own_libraries(tree: Path, unpacked: Path) -> None:
    """DT_RPATH, unlike DT_RUNPATH, holds for what libraries ask for too, and cannot be overruled."""
    patchelf = str(unpacked / "usr/bin/patchelf")
    python = str(tree / "bin/python3")
    room = "/".ljust(_LOADER_ROOM - 1, "x")
    run([patchelf, "--set-interpreter", room, "--force-rpath", "--set-rpath", "$ORIGIN/../lib", python])
    for path in sorted((tree / "lib").rglob("*.so*")):
        if run([patchelf, "--print-rpath", str(path)]).strip():
            run([patchelf, "--remove-rpath", str(path)])
