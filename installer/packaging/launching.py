"""The launcher, a static program: it must run where there is no C library."""

from pathlib import Path

from installer.packaging.errors import BuildFailed
from installer.packaging.fetching import run

_COMPILERS = {"amd64": "gcc", "arm64": "aarch64-linux-gnu-gcc"}
_TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_FLAGS = (
    *("-std=c11", "-D_GNU_SOURCE", "-O2", "-g0", "-Wall", "-Wextra", "-Werror"),
    *("-static", "-s", "-fstack-protector-strong", "-Wl,--build-id=none"),
)


def build_launcher(target: Path, unpacked: Path, architecture: str) -> None:
    """Compile it, with the zstd of the unpacked packages."""
    usr = unpacked / "usr"
    sources = sorted(map(str, (Path(__file__).parent / "launcher").glob("*.c")))
    library = usr / "lib" / _TRIPLETS[architecture] / "libzstd.a"
    if not library.exists():
        raise BuildFailed(f"libzstd-dev is not among the locked packages for {architecture}")
    include = str(usr / "include")
    run([_COMPILERS[architecture], *_FLAGS, "-I", include, "-o", str(target), *sources, str(library)])
