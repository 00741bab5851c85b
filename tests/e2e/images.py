"""Images that run: a static busybox, laid out by umoci and by our own builders, in one bundle."""

import tarfile
from pathlib import Path

from bench.archive import files
from bench.layout import image, layer, oci_archive
from tests.e2e.clients import program, run

TAG = "1.0"
REPOSITORIES = ("k0sproject/busybox", "k0sproject/toolbox")
MARKER = "/etc/marker"


def marker(repository: str) -> str:
    """The line in the image's file that its container shall copy out."""
    return f"this is {repository}"


def write_runnable_bundle(folder: Path) -> Path:
    """A bundle of both images; `folder` holds what it is made from."""
    by_umoci, by_builders = REPOSITORIES
    members = {by_umoci: archive_by_umoci(folder, by_umoci), by_builders: archive_by_builders(folder, by_builders)}
    bundle = folder / "runnable.tar"
    with tarfile.open(bundle, "w") as tar:
        for repository, archive in members.items():
            tar.add(archive, f"{repository}_{TAG}.tar")
    return bundle


def archive_by_umoci(folder: Path, repository: str) -> Path:
    """Its layout keeps the blobs of every step, most of which no manifest names any more."""
    layout, unpacked = folder / "layout", folder / "unpacked"
    image_option = ("--image", f"{layout}:{TAG}")
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", *image_option)
    run("umoci", "insert", *image_option, program("busybox"), "/bin/busybox")
    run("umoci", "unpack", *image_option, unpacked)
    write_marker(unpacked / "rootfs", repository)
    run("umoci", "repack", *image_option, unpacked)
    run("umoci", "config", *image_option, "--config.entrypoint", "/bin/busybox")
    archive = folder / "umoci.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, ".")
    return archive


def write_marker(rootfs: Path, repository: str) -> None:
    path = rootfs / MARKER.lstrip("/")
    path.parent.mkdir()
    path.write_text(f"{marker(repository)}\n")


def archive_by_builders(folder: Path, repository: str) -> Path:
    busybox = files({"bin/busybox": Path(program("busybox")).read_bytes()}, mode=0o755)
    text = files({MARKER.lstrip("/"): f"{marker(repository)}\n".encode()})
    tree = image([layer(busybox), layer(text)], entrypoint=("/bin/busybox",))
    return oci_archive(tree).write(folder / "builders.tar")
