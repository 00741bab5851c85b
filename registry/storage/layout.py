"""Where a blob, an upload, the index and the keys live below a storage root: paths only.

ROOT/VERSION                          the layout's number and the root's id
ROOT/index/                           LMDB (one root of a store has it)
ROOT/blobs/<algorithm>/<2 hex>/<hex>  a blob, whole and verified
ROOT/uploads/<id>                     bytes on their way to becoming a blob
ROOT/quarantine/<algorithm>-<hex>     what a scrub found to be no blob any more
ROOT/pki/                             keys and certificates (beside the index)
ROOT/files/                           k0s, unpacked from its images (beside the index)
"""

from dataclasses import dataclass
from pathlib import Path

from registry.oci.digest import Digest

VERSION = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one storage root."""

    root: Path

    @property
    def version(self) -> Path:
        return self.root / "VERSION"

    @property
    def index(self) -> Path:
        return self.root / "index"

    @property
    def index_file(self) -> Path:
        return self.index / "data.mdb"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def token_key(self) -> Path:
        return self.pki / "token.key"

    @property
    def ca_certificate(self) -> Path:
        return self.pki / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.pki / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """Key and certificate in one file, so that both change in one step."""
        return self.pki / "server.pem"

    @property
    def draining(self) -> Path:
        """Where it is, the root gets no new blobs."""
        return self.root / "DRAINING"

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def load_lock(self) -> Path:
        return self.index / "load.lock"

    @property
    def housekeeping_lock(self) -> Path:
        return self.index / "housekeeping.lock"

    @property
    def removal_lock(self) -> Path:
        """Shared by a load, alone for who removes blobs. A directory: a full disk may take no new file."""
        return self.blobs

    @property
    def gc_lock(self) -> Path:
        return self.index

    @property
    def scrub_lock(self) -> Path:
        return self.index / "scrub.lock"

    @property
    def reserve(self) -> Path:
        return self.index / "reserve"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    def quarantined(self, digest: Digest) -> Path:
        return self.quarantine / f"{digest.algorithm}-{digest.hex}"

    def blob(self, digest: Digest) -> Path:
        """Sharded by two hex digits: 256 folders keep each one small at a million blobs."""
        return Path(self.blob_name(digest))

    def blob_name(self, digest: Digest) -> str:
        """The same as text: making a `Path` costs as much as reading a small blob."""
        return f"{self.root}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"

    def upload(self, upload_id: str) -> Path:
        return self.uploads / upload_id
