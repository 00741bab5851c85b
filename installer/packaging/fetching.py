"""The parts of the runtime, into a folder where the next build finds them: no network is needed then."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from installer.packaging.errors import BuildFailed
from installer.packaging.locks import Deb, Pin

# No wheels are published for it.
_SOURCES = frozenset({"gunicorn-h1c"})
# The oldest tags first. The runtime brings its own C library; newer tags may ask for a newer processor.
_PLATFORMS = {
    "amd64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64"),
}


def fetch_debs(debs: Sequence[Deb], folder: Path) -> list[Path]:
    """The files of all of `debs`; apt brings those that are not in `folder` yet.

    Raises:
        BuildFailed: apt does not have one, or a file is not the locked one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [deb for deb in debs if not (folder / deb.file_name).exists()]
    if missing:
        names = [f"{deb.name}:{deb.architecture}={deb.version}" for deb in missing]
        try:
            run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *names], cwd=folder)
        except BuildFailed as error:
            wanted = ", ".join(deb.file_name for deb in missing)
            raise BuildFailed(
                f"{error}. If Debian has newer ones now: make lock-runtime, "
                f"or put {wanted} from snapshot.debian.org into {folder}"
            ) from error
    return [_checked(folder / deb.file_name, deb.sha256) for deb in debs]


def fetch_wheels(pins: Sequence[Pin], architecture: str, folder: Path) -> list[Path]:
    """The wheels of all of `pins`, of which pip brings those that are not in `folder` yet.

    Raises:
        BuildFailed: pip cannot bring one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    built = [pin for pin in pins if pin.name in _SOURCES]
    ready = [pin for pin in pins if pin.name not in _SOURCES]
    platforms = [word for each in _PLATFORMS[architecture] for word in ("--platform", each)]
    only = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11", *platforms]
    _download(ready, folder, only)
    for pin in built:
        _build(pin, folder)
    return [_wheel(pin, folder, architecture) for pin in pins]


def run(command: Sequence[str], cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """What the command prints.

    Raises:
        BuildFailed: it failed, or is not there.
    """
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BuildFailed(f"{command[0]} is missing: apt-get install gcc binutils libc6-dev dpkg") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise BuildFailed(f"{' '.join(command)[:200]} failed: {' '.join(last)}")
    return done.stdout


def _download(pins: Sequence[Pin], folder: Path, options: Sequence[str]) -> None:
    listed = folder / "wanted.txt"
    listed.write_text("\n".join(pin.text for pin in pins) + "\n")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement", str(listed)]
    command = [sys.executable, "-m", "pip", "download", *quiet, *options, "--dest", str(folder)]
    try:
        run([*command, "--no-index", "--find-links", str(folder)])
    except BuildFailed:
        run([*command, "--find-links", str(folder)])
    finally:
        listed.unlink()


def _build(pin: Pin, folder: Path) -> None:
    """A wheel out of its sources, once; without what a compiler may note of the time and place."""
    if _find(pin, folder):
        return
    _download([pin], folder, ["--no-binary", pin.name, "--no-build-isolation"])
    source = next(folder.glob(f"{pin.name.replace('-', '[-_]')}-{pin.version}.tar.gz"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    flags = {"CFLAGS": "-O2 -g0", "LDFLAGS": "-Wl,--build-id=none", "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)], environment=flags)


def _wheel(pin: Pin, folder: Path, architecture: str) -> Path:
    machine = _PLATFORMS[architecture][0].removeprefix("manylinux2014_")
    fitting = [path for path in _find(pin, folder) if path.stem.endswith(("-any", machine))]
    if len(fitting) != 1:
        raise BuildFailed(f"{folder} has {len(fitting)} wheels of {pin.name} {pin.version} for {architecture}")
    return fitting[0]


def _find(pin: Pin, folder: Path) -> list[Path]:
    name = re.sub("-", "[-_.]", pin.name)
    return sorted(
        path for path in folder.glob("*.whl") if re.match(f"{name}-{re.escape(pin.version)}-", path.name, re.IGNORECASE)
    )


def _checked(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise BuildFailed(f"{path} has SHA-256 {found}, runtime.lock says {sha256}")
    return path
