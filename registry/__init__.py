"""An OCI distribution registry: names in LMDB, blobs on disk, answers by sendfile."""
