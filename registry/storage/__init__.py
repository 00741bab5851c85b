"""Blobs on sharded disk, everything else in LMDB."""
