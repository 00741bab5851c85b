"""A bundle from a server on the network, on from where it broke, and its digests in the same pass.

NAME.partial        what has come so far
NAME.partial.json   what of: {"url", "size", "validator"}; without a validator nobody can tell, and all comes anew
NAME                the whole file, once it is whole and, where asked for, verified
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from loader.address import FetchFailed
from loader.rawfile import CHUNK
from loader.remote_file import RemoteFile
from registry.oci.errors import Failure
from registry.storage.roots import sync_directory
from registry.transfer.errors import AnswerInvalid, Interrupted
from registry.transfer.output import lock, write_all
from registry.transfer.patience import Patience
from registry.transfer.transport import Call, Transport
from registry.units import human

# What a connection has to bring for the failures before it to be forgotten: drops must not go on for ever.
_STEP = 1024 * 1024
_STATE_LIMIT = 64 * 1024
_DOCUMENT_LIMIT = 1024 * 1024

Verify = Callable[[Mapping[str, bytes]], object]
"""Refuses, by raising a Failure, a file whose digests, by algorithm, are not those of what was signed."""


class FileChanged(Interrupted):
    """The server has another file by now, or has forgotten where we were; what came so far is of no use."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes."""

    position: int
    size: int


def fetch_small(transport: Transport, url: httpx.URL, out: Path) -> None:
    """A signature or key; the file appears whole.

    Raises:
        TransferError: it is not to be had, or no small file.
    """
    answer = transport.fetch(Call("GET", url, "", frozenset({200})), _DOCUMENT_LIMIT)
    partial = out.with_name(f"{out.name}.partial")
    with disk_refusals(out), partial.open("wb") as file:
        file.write(answer.body)
        file.flush()
        os.fsync(file.fileno())
        partial.rename(out)
        sync_directory(out.absolute().parent)


def file_digests(path: Path) -> dict[str, bytes]:
    """The SHA-256 of a file that is here already."""
    with disk_refusals(path), path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").digest()}


class Download:
    """One file on its way to `out`; iterate `run()`, then `digests` are those of all of it."""

    def __init__(
        self, transport: Transport, url: httpx.URL, out: Path, algorithms: Sequence[str] = ("sha256",)
    ) -> None:
        self._transport = transport
        self._url = url
        self._out = out
        self._partial = out.with_name(f"{out.name}.partial")
        self._state = out.with_name(f"{out.name}.partial.json")
        self._remote: RemoteFile | None = None
        self._algorithms = tuple(algorithms)
        self._hashes = self._fresh_hashes()
        self._offset = 0
        self._furthest = 0

    @property
    def digests(self) -> dict[str, bytes]:
        """Of what has come so far, by algorithm."""
        return {name: each.digest() for name, each in zip(self._algorithms, self._hashes, strict=True)}

    def run(self, verify: Verify | None = None) -> Iterator[Progress]:
        """How far it is, time and again; when this ends, the file has its name, and `verify` had no objection.

        Raises:
            FetchFailed: the disk is too small, or refuses; or another process fetches the same file.
            RegistryUnavailable: connections broke too often; a rerun goes on.
            RegistryRefused: the server does not have it, or does not give it.
            AnswerInvalid: the server contradicts itself; nothing of it is kept.
            Failure: what `verify` raised; nothing of it is kept either.
        """
        with disk_refusals(self._out), self._partial.open("a+b", buffering=0) as file:
            self._lock(file.fileno())
            try:
                yield from self._bring(file.fileno(), verify)
            finally:
                if os.fstat(file.fileno()).st_size == 0:
                    self._partial.unlink(missing_ok=True)

    def _bring(self, descriptor: int, verify: Verify | None) -> Iterator[Progress]:
        self._resume(descriptor)
        try:
            yield from self._fetch(descriptor)
        except AnswerInvalid:
            self._forget(descriptor)
            raise
        os.fsync(descriptor)
        if verify is not None:
            self._check(verify, descriptor)
        self._partial.rename(self._out)
        self._state.unlink(missing_ok=True)
        sync_directory(self._out.absolute().parent)

    def _check(self, verify: Verify, descriptor: int) -> None:
        try:
            verify(self.digests)
        except Failure:
            self._forget(descriptor)
            raise

    def _lock(self, descriptor: int) -> None:
        try:
            lock(descriptor, self._partial)
        except (BlockingIOError, FileNotFoundError) as error:
            raise FetchFailed(f"another process is fetching {self._out}: wait for it") from error

    def _resume(self, descriptor: int) -> None:
        """Take up what an earlier run left, if it is known of which file it is."""
        self._remote = self._read_state()
        if self._remote is None or os.fstat(descriptor).st_size > self._remote.size:
            self._forget(descriptor)
            return
        while chunk := os.pread(descriptor, CHUNK, self._offset):
            self._transport.endurance.check()
            self._add(chunk)
        self._furthest = self._offset

    def _read_state(self) -> RemoteFile | None:
        try:
            with self._state.open("rb") as file:
                fields = json.loads(file.read(_STATE_LIMIT))
            remote = RemoteFile(str(fields["url"]), int(fields["size"]), str(fields["validator"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # a kill in the first moment, or a file of somebody else: begin anew
        return remote if remote.url == str(self._url) else None

    def _fetch(self, descriptor: int) -> Iterator[Progress]:
        patience = Patience(self._transport.endurance)
        while self._remote is None or self._offset < self._remote.size:
            fault = Interrupted(f"{self._url.path} ends too early")
            try:
                with closing(self._read_on(descriptor)) as reading:
                    yield from reading
            except FileChanged as error:
                self._forget(descriptor)
                fault = error
            except Interrupted as error:
                fault = error
            if self._remote is not None and self._offset == self._remote.size:
                return
            if self._offset - self._furthest >= _STEP:
                patience.progressed()
            self._furthest = max(self._furthest, self._offset)
            patience.wait(Interrupted(f"{fault} (after {human(self._offset)})", fault.retry_after))

    def _read_on(self, descriptor: int) -> Generator[Progress, None, None]:
        """One connection's part."""
        with self._transport.open(self._call()) as response:
            remote = self._accept(response, descriptor)
            yield Progress(self._offset, remote.size)
            for chunk in response.iter_raw():
                self._transport.endurance.check()
                if self._offset + len(chunk) > remote.size:
                    raise AnswerInvalid(f"{self._url.path} has more than the {remote.size} bytes that were announced")
                write_all(descriptor, chunk)
                self._add(chunk)
                yield Progress(self._offset, remote.size)

    def _call(self) -> Call:
        headers = {}
        if self._offset and self._remote is not None and self._remote.validator is not None:
            headers = {"Range": f"bytes={self._offset}-", "If-Range": self._remote.validator}
        return Call("GET", self._url, "", frozenset({200, 206, 412, 416}), headers)

    def _accept(self, response: httpx.Response, descriptor: int) -> RemoteFile:
        """What the answer says of the file, which is the one we have a part of.

        Raises:
            FileChanged: it is another one, and this is a part of it.
            AnswerInvalid: it says nothing that could be relied on.
        """
        if response.status_code in (412, 416):
            raise FileChanged(f"{self._url.path} is not the file any more that it was")
        known, offset = self._remote, self._offset
        remote = RemoteFile.of(response, str(self._url), offset)
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            if known is None or (remote.size, remote.validator) != (known.size, known.validator):
                raise FileChanged(f"{self._url.path} changed while it was fetched")
            return known
        self._forget(descriptor)
        _require_room(self._out, remote.size)
        self._remember(remote)
        return remote

    def _add(self, chunk: bytes) -> None:
        for each in self._hashes:
            each.update(chunk)
        self._offset += len(chunk)

    def _fresh_hashes(self) -> tuple["hashlib._Hash", ...]:
        return tuple(hashlib.new(name) for name in self._algorithms)

    def _remember(self, remote: RemoteFile) -> None:
        self._remote = remote
        if remote.validator is None:
            return
        written = self._state.with_name(f"{self._state.name}.new")
        written.write_text(json.dumps(asdict(remote)))
        written.rename(self._state)

    def _forget(self, descriptor: int) -> None:
        """Begin anew."""
        self._state.unlink(missing_ok=True)
        os.ftruncate(descriptor, 0)
        self._remote, self._offset, self._hashes = None, 0, self._fresh_hashes()


def _require_room(out: Path, size: int) -> None:
    usage = os.statvfs(out.absolute().parent)
    free = usage.f_bavail * usage.f_frsize
    if free < size:
        raise FetchFailed(
            f"{out} takes {human(size)}, and {human(free)} are free there: free some space, or name another "
            "directory with -o"
        )


@contextmanager
def disk_refusals(out: Path) -> Iterator[None]:
    """Turn the operating system's refusals at `out` into ours."""
    try:
        yield
    except OSError as error:
        raise FetchFailed(f"{out} cannot be written: {error.strerror}; run it again to go on") from error
