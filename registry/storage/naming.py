"""The moment in which a blob whose file is in place gets its row: the one answer to everything that removes files."""

import time

from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import BlobGone
from registry.storage.index import Change


def name_blob(change: Change, blobs: BlobStore, blob: StoredBlob) -> None:
    """Let the index name a blob, and say that a client was told of it now.

    Where a row is there it stays, unless its file is gone or is the one that was just written.
    Files are removed only by those who hold the index alone, so what is seen here stays true
    until the change is durable.

    Raises:
        BlobGone: the file was taken away before it had a name. Nothing is lost that was promised.
    """
    known = change.blob(blob.digest)
    if known is not None and known.root != blob.root and blobs.has(known):
        blob = known
    elif not blobs.has(blob):
        raise BlobGone(f"the file of {blob.digest} is gone before it had a name: push or load it again")
    change.put_blob(blob, time.time())
