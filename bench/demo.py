"""`make run`: load a signed bundle, serve it, pull one image back with skopeo, and check every byte of it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench.corpus import BundleSpec, ByteSize, write_bundle
from bench.signing import sign_with_a_fresh_key
from registry.path_name import PathName

FOLDER = Path("var")
COMMAND = (sys.executable, "-m", "installer.command")


class DemoFailed(click.ClickException):
    """A step did not do what it should."""


@click.command()
@click.option("--bundle", type=PathName(exists=True), help="A real bundle; otherwise one is made.")
@click.option("--size", type=ByteSize(), default="200MB", show_default=True, help="Size of the bundle that is made.")
@click.option("--port", default=5000, show_default=True)
@click.option("--image", help="What to pull, as repository:tag; otherwise k0s, or whatever comes last.")
@click.option("--cosign-key", help="Of the real bundle's signer; otherwise its signature is not checked.")
def main(bundle: Path | None, size: int, port: int, image: str | None, cosign_key: str | None) -> None:
    """Load, serve, pull, check."""
    _refuse_taken(port)
    store = FOLDER / "store"
    if bundle is None:
        bundle, cosign_key = _sample(size)
    url = f"http://127.0.0.1:{port}"
    with _registry(bundle, cosign_key, store, port) as registry:
        _wait_until_ready(url, registry)
        names = _images(store)
        click.echo(f"{len(names)} images and charts are served at {url}")
        chosen = image or next((name for name in names if name.startswith("k0sproject/k0s:")), names[-1])
        count, total = _pull(f"127.0.0.1:{port}/{chosen}")
    click.echo(f"{chosen}: {count} blobs, {total} bytes pulled by skopeo, every digest right")
    command = os.path.relpath(Path(sys.executable).with_name("k0rdentd"))
    click.echo(f"serve it again with: {command} registry -s {store} -p {port}")


def _refuse_taken(port: int) -> None:
    """Before anything is made; and who answers there would be taken for our registry."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise DemoFailed(f"port {port} cannot be used ({reason}); take another: make run PORT=5001") from error


def _sample(size: int) -> tuple[Path, str]:
    """A signed bundle, and its signer's key."""
    key = FOLDER / "cosign.pub"
    path = FOLDER / "airgap-bundle-1.2.3.tar.gz"
    FOLDER.mkdir(exist_ok=True)
    click.echo(f"making a sample bundle of {size / 1e6:.0f} MB")
    write_bundle(BundleSpec(size, nested=False), path, "tar.gz")  # skopeo copy --all refuses nested indexes
    sign_with_a_fresh_key(path, key)
    return path, str(key)


@contextmanager
def _registry(bundle: Path, cosign_key: str | None, store: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    proof = ["--cosign-key", cosign_key] if cosign_key else ["--no-verify"]
    options = ["-s", str(store), "-b", str(bundle), *proof, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen([*COMMAND, "registry", *options])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(url: str, registry: subprocess.Popen[bytes]) -> None:
    """A refused connection means that it starts, a 503 that it loads; a load that failed is the end, as is its own."""
    while registry.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=2).close()  # noqa: S310  # our own, on the loopback
        except urllib.error.HTTPError as answer:
            told = answer.read().decode().strip()
            if told.endswith(("failed", "interrupted", "refused")):
                raise DemoFailed(told) from answer
        except OSError:
            pass
        else:
            return
        time.sleep(0.1)
    raise DemoFailed("the registry ended before it was ready, for the reason above")


def _images(store: Path) -> list[str]:
    shown = subprocess.run([*COMMAND, "store", "ls", "--json", "-s", store], capture_output=True, check=True)
    return [image["image"] for image in json.loads(shown.stdout)]


def _pull(image: str) -> tuple[int, int]:
    """How many blobs and bytes of the image skopeo got, each checked against its digest."""
    with tempfile.TemporaryDirectory() as folder:
        copy = ["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{image}", f"oci:{folder}/image:pulled"]
        subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)
        blobs = list(Path(folder, "image", "blobs", "sha256").iterdir())
        for blob in blobs:
            if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name:
                raise DemoFailed(f"{blob.name} does not hash to its name")
        return len(blobs), sum(blob.stat().st_size for blob in blobs)


if __name__ == "__main__":
    main()
