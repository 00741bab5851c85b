"""The image that all peers serve in a pull benchmark: one small manifest, and blobs of 4 KiB, 1 MiB and 256 MiB."""

import random
from dataclasses import dataclass
from typing import Self

from bench.layout import CONFIG, LAYER, Blob, image_config, manifest
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference

REFERENCE = Reference.parse("bench/image:1.0.0")
SMALL, LARGE = 4 * 1024, 1024 * 1024
HUGE = 256 * LARGE


@dataclass(frozen=True, slots=True)
class Target:
    """Something to GET: what a report calls it, its path below the server, and the bytes every server must answer."""

    name: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """An image under one name."""

    reference: Reference
    manifest: Manifest
    digest: Digest
    blobs: tuple[tuple[Digest, bytes], ...]
    """The config, the small layer, the large layer, the huge layer."""

    @classmethod
    def make(cls, seed: int = 1, huge: int = HUGE) -> Self:
        """The image of `seed`, always the same; of `huge` bytes is its largest layer."""
        rng = random.Random(f"pull/{seed}")
        config = Blob.of_json(image_config((), "amd64", ("/bin/app",)), CONFIG)
        small, large = rng.randbytes(SMALL), rng.randbytes(LARGE)
        huge_layer = (small + large * (huge // LARGE + 1))[:huge]  # no server looks for what repeats itself
        layers = [Blob.of((content,), LAYER) for content in (small, large, huge_layer)]
        root = manifest(config, [layer.descriptor() for layer in layers], layers).root
        blobs = tuple((Digest.parse(blob.digest), b"".join(blob.content)) for blob in (config, *layers))
        body = Manifest.parse(b"".join(root.content), root.media_type)
        return cls(REFERENCE, body, Digest.parse(root.digest), blobs)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is measured: the manifest by tag, and the blobs."""
        _, small, large, huge = self.blobs
        return (
            Target("manifest", f"{self.prefix}/manifests/{self.reference.tag}", self.manifest.body),
            Target("4 KiB blob", f"{self.prefix}/blobs/{small[0]}", small[1]),
            Target("1 MiB blob", f"{self.prefix}/blobs/{large[0]}", large[1]),
            Target("256 MiB blob", f"{self.prefix}/blobs/{huge[0]}", huge[1]),
        )

    @property
    def prefix(self) -> str:
        """The path of the repository below the server."""
        return f"/v2/{self.reference.repository}"
