"""What all peers serve: an image with blobs of 4 KiB to 256 MiB, asked for one by one, and a fleet that nodes pull."""

import random
from dataclasses import dataclass
from typing import Self

from bench.fleet import FleetImage, fleet
from bench.layout import CONFIG, LAYER, Blob, image_config, manifest
from bench.traffic.endpoint import Request
from bench.traffic.script import Wanted
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference

REFERENCE = Reference.parse("bench/image:1.0.0")
SMALL, LARGE = 4 * 1024, 1024 * 1024
BIG, HUGE = 16 * LARGE, 256 * LARGE

SIZES = ("4 KiB", "1 MiB", "16 MiB", "256 MiB")


@dataclass(frozen=True, slots=True)
class Target:
    """Something to ask for: what a report calls it, its path below the server, and the bytes every server must have."""

    name: str
    path: str
    body: bytes
    method: str = "GET"

    @property
    def size(self) -> int:
        """Bytes of the body that comes."""
        return 0 if self.method == "HEAD" else len(self.body)

    @property
    def request(self) -> Request:
        """For a generator."""
        return Request(self.method, self.path, len(self.body))


@dataclass(frozen=True, slots=True)
class Sample:
    """An image under one name."""

    reference: Reference
    manifest: Manifest
    digest: Digest
    blobs: tuple[tuple[Digest, bytes], ...]
    """The config, and the layers from small to huge."""
    fleet: tuple[FleetImage, ...] = ()

    @classmethod
    def make(cls, seed: int = 1, huge: int = HUGE, images: int = 0) -> Self:
        """The image of `seed`, always the same; of `huge` bytes is its largest layer. And a fleet of `images`."""
        rng = random.Random(f"pull/{seed}")
        config = Blob.of_json(image_config((), "amd64", ("/bin/app",)), CONFIG)
        small, large = rng.randbytes(SMALL), rng.randbytes(LARGE)
        big, huge_layer = (small * 2 + large * 16)[:BIG], (small + large * (huge // LARGE + 1))[:huge]
        layers = [Blob.of((content,), LAYER) for content in (small, large, big, huge_layer)]
        root = manifest(config, [layer.descriptor() for layer in layers], layers).root
        blobs = tuple((Digest.parse(blob.digest), b"".join(blob.content)) for blob in (config, *layers))
        body = Manifest.parse(b"".join(root.content), root.media_type)
        return cls(REFERENCE, body, Digest.parse(root.digest), blobs, fleet(images))

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is measured: the manifest, and the blobs."""
        by_tag, by_digest = (f"{self.prefix}/manifests/{name}" for name in (self.reference.tag, self.digest))
        _, small, large, big, huge = self.blobs
        return (
            Target("manifest", by_tag, self.manifest.body),
            Target("manifest HEAD", by_tag, self.manifest.body, "HEAD"),
            Target("manifest by digest", by_digest, self.manifest.body),
            *(
                Target(f"{name} blob", f"{self.prefix}/blobs/{digest}", body)
                for name, (digest, body) in zip(SIZES, (small, large, big, huge), strict=True)
            ),
        )

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What nodes pull."""
        return tuple(Wanted(str(image.reference.repository), str(image.reference.tag)) for image in self.fleet)

    @property
    def prefix(self) -> str:
        """The path of the repository below the server."""
        return f"/v2/{self.reference.repository}"
