"""What a store holds, written down: who makes a bundle elsewhere can leave that out.

{"receipt": "k0rdentd", "version": 1, "blobs": [digest, …], "tags": {"repository:tag": digest, …}}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from registry.oci.descriptor import as_list, as_object
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import load_json
from registry.transfer.errors import ReceiptInvalid
from registry.transfer.source import StoreSource
from registry.transfer.text import printable
from registry.transfer.tree import read_tree

_LIMIT = 256 * 1024 * 1024
_WAY_OUT = "make one with 'k0rdentd store receipt'"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The blobs that the tags of a store lead to; what no tag needs may go with the next gc, and is not promised."""

    blobs: frozenset[Digest]
    tags: Mapping[str, Digest]

    @classmethod
    def collect(cls, source: StoreSource) -> Self:
        """Of a store as it is."""
        blobs: set[Digest] = set()
        tags = {}
        for image in source.list_images():
            tree = read_tree(source, image.repository, image.reference)
            tags[str(image)] = tree.root
            blobs |= {blob.digest for blob in tree.blobs if source.has_blob(blob.digest)}
        return cls(frozenset(blobs), tags)

    def to_bytes(self) -> bytes:
        """Always the same for the same content."""
        document = {
            "receipt": "k0rdentd",
            "version": 1,
            "blobs": [str(digest) for digest in sorted(self.blobs)],
            "tags": {name: str(self.tags[name]) for name in sorted(self.tags)},
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file.

        Raises:
            ReceiptInvalid: it holds none.
        """
        try:
            with path.open("rb") as file:
                body = file.read(_LIMIT + 1)
        except OSError as error:
            raise ReceiptInvalid(f"cannot read the receipt {path}: {error.strerror}: {_WAY_OUT}") from error
        if len(body) > _LIMIT:
            raise ReceiptInvalid(f"{path} is no receipt, it has more than {_LIMIT} bytes: {_WAY_OUT}")
        try:
            fields = as_object(load_json(body), "receipt")
            if fields.get("receipt") != "k0rdentd" or fields.get("version") != 1:
                raise ReceiptInvalid(f"{path} is no receipt of this release: {_WAY_OUT}")
            tags = as_object(fields.get("tags"), "tags")
            return cls(
                frozenset(Digest.parse(str(each)) for each in as_list(fields, "blobs")),
                {name: Digest.parse(str(digest)) for name, digest in tags.items()},
            )
        except OCIError as error:
            raise ReceiptInvalid(f"{path} is no receipt ({printable(str(error))}): {_WAY_OUT}") from error
