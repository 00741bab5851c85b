"""The files of a bundle that are not archives, and that no loader may mistake for one."""

import base64
from collections.abc import Iterator

from bench.archive import Content, Entry
from bench.catalog import Row
from bench.filler import Pool
from bench.layout import measure

LOAD_SCRIPT = b"""\
#!/bin/sh
# Push every archive below this folder to $REGISTRY.
for file in $(find . -type f -name '*_*.tar' ! -name 'skopeo*'); do
  name=${file#./}; name=${name%.tar}
  skopeo copy -a "oci-archive:$file" "docker://$REGISTRY/${name%_*}:${name#*_}"
done
"""


def strays(binary: Row, pool: Pool, version: str) -> Iterator[Entry]:
    """The k0s binary with its signature and checksum, a script, and a README."""
    content = pool.filler(binary.path, binary.size)
    digest, size = measure(content)
    checksum = f"{digest.removeprefix('sha256:')}  {binary.path}\n".encode()
    yield Entry.file("README.md", f"# Airgap bundle {version}\n".encode())
    yield Entry.file("checksums.txt", checksum)
    yield Entry(binary.path, content, size, 0o755)
    yield Entry.file(f"{binary.path}.sig", text(pool.filler(f"{binary.path}.sig", 71)))
    yield Entry.file("scripts/load.sh", LOAD_SCRIPT, 0o755)


def text(content: Content) -> bytes:
    """`content` as lines of base64."""
    return base64.encodebytes(b"".join(content))
