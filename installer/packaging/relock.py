"""`make lock-runtime`: runtime.lock anew, with the versions that apt offers now, on Debian 12."""

import hashlib
import sys
import tempfile
from pathlib import Path

import click

from installer.packaging.errors import BuildFailed
from installer.packaging.fetching import run
from installer.packaging.locks import debs

_HEAD = (
    "# What the runtime takes from Debian 12: architecture, package, version, SHA-256. `make lock-runtime` writes it.\n"
)


@click.command()
@click.option("--arch", "architecture", type=click.Choice(["amd64", "arm64"]), default="amd64", show_default=True)
def main(architecture: str) -> None:
    """Write runtime.lock anew for one architecture; the lines of the other stay."""
    lock = Path(__file__).parent / "runtime.lock"
    kept = [line for line in lock.read_text().splitlines() if line[:1] != "#" and line.split()[0] != architecture]
    names = [deb.name for deb in debs("amd64")]
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"{name}:{architecture}" for name in names]
        run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *wanted], cwd=Path(folder))
        fresh = [_line(path, architecture) for path in sorted(Path(folder).glob("*.deb"))]
    lock.write_text(_HEAD + "".join(f"{line}\n" for line in sorted([*kept, *fresh])))
    click.echo(f"{len(fresh)} packages for {architecture}")


def _line(deb: Path, architecture: str) -> str:
    name, version = run(["dpkg-deb", "-f", str(deb), "Package", "Version"]).split()[1::2]
    return f"{architecture} {name} {version} {hashlib.sha256(deb.read_bytes()).hexdigest()}"


if __name__ == "__main__":
    try:
        main()
    except BuildFailed as error:
        click.echo(f"lock-runtime: {error}", err=True)
        sys.exit(error.exit_code)
