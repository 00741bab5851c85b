"""What this machine cannot do faster, whatever the program: unpack, hash, or write what is in a bundle."""

import hashlib
import multiprocessing
import os
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.bundle import Form
from bench.load import LOAD, Contender, load
from bench.stock import Bundle
from loader.rawfile import CHUNK, BundleFile
from loader.stream import open_stream

UNPACK, HASH, WRITE = "floor: unpack", "floor: SHA-256", "floor: write, sync"
FLOOR_FORMS: tuple[Form, ...] = ("tar.gz", "tar", "dir")


@dataclass(frozen=True, slots=True)
class Content:
    """The sizes of a bundle's distinct blobs."""

    sizes: tuple[int, ...]

    @classmethod
    def of(cls, bundle: Bundle, folder: Path) -> "Content":
        """Found out by loading it."""
        folder.mkdir(parents=True, exist_ok=True)
        load(bundle, folder)
        blobs = (folder / "storage" / "blobs").rglob("*")
        return cls(tuple(path.stat().st_size for path in blobs if path.is_file()))


def against_floor(bundle: Bundle, content: Content) -> tuple[Contender, ...]:
    """Our loader, and each thing alone that it cannot do without; the slowest of them is the floor."""
    return (
        Contender(LOAD, bundle, load),
        Contender(UNPACK, bundle, unpack),
        Contender(HASH, bundle, partial(hash_all, content)),
        Contender(WRITE, bundle, partial(write_all, content)),
    )


def unpack(bundle: Bundle, _: Path) -> float:
    """Seconds to have every byte of the bundle, unpacked, in memory once; of a plain one they are only read."""
    started = time.monotonic()
    paths = [bundle.path] if bundle.path.is_file() else [path for path in bundle.path.rglob("*") if path.is_file()]
    for path in paths:
        with closing(BundleFile([path])) as file, open_stream(path, file) as stream:
            while stream.read(CHUNK):
                pass
    return time.monotonic() - started


def hash_all(content: Content, _: Bundle, __: Path) -> float:
    """Seconds to hash so many bytes with all cores, out of memory."""
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(_hash, [CHUNK] * cores, chunksize=1)  # the processes have started
        started = time.monotonic()
        pool.map(_hash, [sum(content.sizes) // cores] * cores, chunksize=1)
        return time.monotonic() - started


def write_all(content: Content, _: Bundle, folder: Path) -> float:
    """Seconds to write files of these sizes from memory, and until the disk has them."""
    block = memoryview(os.urandom(CHUNK))
    started = time.monotonic()
    for number, size in enumerate(content.sizes):
        with (folder / str(number)).open("wb", buffering=0) as file:
            for left in range(size, 0, -CHUNK):
                file.write(block[:left])
    os.sync()
    return time.monotonic() - started


def _hash(size: int) -> None:
    block, hashing = bytes(CHUNK), hashlib.sha256()
    for left in range(size, 0, -CHUNK):
        hashing.update(block[:left] if left < CHUNK else block)
    hashing.digest()
