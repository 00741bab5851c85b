"""`python -m installer.packaging.cli`: what `make build`, `make build-airgap` and `make dist` run."""

import shutil
import sys
from pathlib import Path

import click

from installer.packaging.build import BEST_LEVEL, K0s, build_executable, build_runtime
from installer.packaging.k0s import checked_binary, checked_version
from installer.packaging.k0s import from_bundle as take_from_bundle
from installer.packaging.locks import ROOT
from installer.packaging.release import write_guide, write_sums
from registry.oci.errors import Failure
from registry.units import human


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build", help="Where the build takes place.")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "dist", help="Where the executables go.")
@click.option("--cache", type=click.Path(path_type=Path), help="Packages and wheels.  [default: WORK/cache]")
@click.option("--arch", "architecture", type=click.Choice(["amd64", "arm64"]), default="amd64", show_default=True)
@click.option("--level", type=click.IntRange(1, 22), default=BEST_LEVEL, show_default=True, help="Of zstd.")
@click.option("--online/--no-online", default=True, help="Build k0rdentd.")
@click.option("--k0s-binary", type=click.Path(path_type=Path), help="Build k0rdentd-airgap with this k0s.")
@click.option("--from-bundle", type=click.Path(path_type=Path), help="Build k0rdentd-airgap with this bundle's k0s.")
@click.option("--k0s-version", help="Which k0s that is; of a bundle, which one to take.")
@click.option("--release", is_flag=True, help="The operator's guide and checksums too.")
def main(
    work: Path,
    out: Path,
    cache: Path | None,
    architecture: str,
    level: int,
    online: bool,  # noqa: FBT001
    k0s_binary: Path | None,
    from_bundle: Path | None,
    k0s_version: str | None,
    release: bool,  # noqa: FBT001
) -> None:
    """Build the executables."""
    fresh = work / architecture
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    out.mkdir(parents=True, exist_ok=True)
    k0s = _k0s(fresh, architecture, k0s_binary, from_bundle, k0s_version)
    runtime = build_runtime(fresh, cache or work / "cache", architecture, level)
    licences = out / "licences"
    shutil.rmtree(licences, ignore_errors=True)
    shutil.copytree(runtime.licences, licences)
    for name, wanted, binary in (("k0rdentd", online, None), ("k0rdentd-airgap", k0s is not None, k0s)):
        if wanted:
            target = out / f"{name}-{architecture}"
            build_executable(runtime, target, binary)
            click.echo(f"{target}: {human(target.stat().st_size)}")
    if release:
        write_guide(runtime, f"k0rdentd-{architecture}", out / "operators-guide.html")
        write_sums(out)


def _k0s(work: Path, architecture: str, binary: Path | None, bundle: Path | None, version: str | None) -> K0s | None:
    if binary is not None and bundle is not None:
        raise click.UsageError("give the binary or the bundle, not both")
    if bundle is not None:
        target = work / "k0s"
        return K0s(target, take_from_bundle(bundle, architecture, target, version))
    if binary is None:
        return None
    if version is None:
        raise click.UsageError("say which k0s it is with --k0s-version (K0S_VERSION)")
    return K0s(checked_binary(binary), checked_version(version))


def run() -> None:
    """The command, with failures told in one sentence."""
    try:
        main()
    except Failure as error:
        click.echo(f"build: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    run()
