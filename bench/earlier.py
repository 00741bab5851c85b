"""The earlier tool's way with a bundle: unpack all of it, then push every archive with skopeo, five at a time."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.bundle import Member
from bench.peers import distribution
from bench.process import require, run
from bench.stock import Bundle

AT_A_TIME = 5


def unpack_and_push(bundle: Bundle, folder: Path) -> float:
    """Seconds that it takes; the registry it pushes to runs already.

    Raises:
        BenchFailed: an archive could not be pushed, or a program is not installed.
    """
    (folder / "registry").mkdir()
    (folder / "unpacked").mkdir()
    (folder / "temporary").mkdir()
    with distribution(folder / "registry") as url:
        started = time.monotonic()
        run("tar", "-xzf", str(bundle.path), "-C", str(folder / "unpacked"))
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            pushes = [_copy(member, folder, url) for member in bundle.members if member.kind != "docker-archive"]
            list(pool.map(lambda push: run(*push), pushes))
        return time.monotonic() - started


def _copy(member: Member, folder: Path, url: str) -> Sequence[str]:
    archive = folder / "unpacked" / member.path
    if ":" in archive.name:  # skopeo takes what follows a colon for a reference, and cannot open such a file at all
        archive = archive.rename(archive.with_name(archive.name.replace(":", "_")))
    target = f"docker://{url.removeprefix('http://')}/{member.repository}:{member.tag}"
    options = ("--insecure-policy", "--tmpdir", str(folder / "temporary"))
    return (require("skopeo"), *options, "copy", "-a", "--dest-tls-verify=false", f"oci-archive:{archive}", target)
