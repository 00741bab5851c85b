"""One blob's way into a registry (distribution-spec, "Pushing blobs"): on from where it broke, if it breaks."""

import re
from collections.abc import Callable
from contextlib import closing, suppress

import httpx

from registry.oci.descriptor import Descriptor
from registry.transfer.errors import AnswerInvalid, Interrupted, RegistryRefused, TransferError
from registry.transfer.patience import Patience
from registry.transfer.source import Chunks
from registry.transfer.target import Read
from registry.transfer.transport import Answer, Call, Transport, follow

# Smaller ones are sent in one request, for they are as soon sent again as asked for.
_SMALL = 1024 * 1024
_STEP = 1024 * 1024
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,19})")


class Upload:
    """An upload session from its begin to its end, over as many connections as it takes."""

    def __init__(
        self,
        transport: Transport,
        start: httpx.URL,
        scope: str,
        blob: Descriptor,
        read: Read,
        present: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._start = start
        self._scope = scope
        self._blob = blob
        self._read = read
        self._present = present
        self._session: httpx.URL | None = None
        self._offset = 0
        self._furthest = 0

    def run(self) -> None:
        """Bring the blob; whatever happens, no session of ours stays open.

        Raises:
            RegistryUnavailable, RegistryRefused: it was not to be.
            DigestInvalid, SizeInvalid: the source gave other bytes.
        """
        patience = Patience(self._transport.endurance)
        try:
            while True:
                self._transport.endurance.check()
                try:
                    self._attempt()
                except Interrupted as error:
                    patience.wait(error)
                else:
                    return
                if self._recover():
                    patience.progressed()
                if self._session is None and self._present():
                    return
        except BaseException:
            self._cancel()
            raise

    def _attempt(self) -> None:
        if self._session is None:
            self._offset = 0
            answer = self._transport.fetch_once(self._call("POST", self._start, {202}))
            self._session = self._location(answer)
        if self._offset == 0 and self._blob.size <= _SMALL:
            self._finish(self._session, self._chunks)
        else:
            if self._offset < self._blob.size:
                self._append(self._session)
            self._finish(self._session, None)

    def _append(self, session: httpx.URL) -> None:
        last = self._blob.size - 1
        headers = self._sizes(self._blob.size - self._offset) | {"Content-Range": f"{self._offset}-{last}"}
        answer = self._send(self._call("PATCH", session, {202, 404, 416}, headers), self._chunks)
        if answer.status != httpx.codes.ACCEPTED:
            raise Interrupted(f"the upload of {self._blob.digest} is not where it was ({answer.status})")
        self._session, self._offset = self._location(answer), self._blob.size

    def _finish(self, session: httpx.URL, chunks: Callable[[], Chunks] | None) -> None:
        url = session.copy_merge_params({"digest": str(self._blob.digest)})
        headers = self._sizes(self._blob.size if chunks else 0)
        answer = self._send(self._call("PUT", url, {201, 404, 416}, headers), chunks)
        if answer.status != httpx.codes.CREATED:
            raise Interrupted(f"the upload of {self._blob.digest} is not where it was ({answer.status})")

    def _send(self, call: Call, chunks: Callable[[], Chunks] | None) -> Answer:
        """Send the bytes; what reads them is ended with the request, not some time later."""
        if chunks is None:
            return self._transport.fetch_once(_with_body(call, lambda: b""))
        opened: list[Chunks] = []

        def body() -> Chunks:
            opened.append(chunks())
            return opened[-1]

        try:
            return self._transport.fetch_once(_with_body(call, body))
        finally:
            for each in opened:
                each.close()

    def _chunks(self) -> Chunks:
        with closing(self._read(self._offset)) as chunks:
            yield from chunks

    def _recover(self) -> bool:
        """Ask where the session stands (end-13); whether that is a good way further on."""
        if self._session is None:
            return False
        call = self._call("GET", self._session, {204})
        try:
            answer = self._transport.fetch(call)
        except RegistryRefused:
            self._session = None
            return False
        found = _RANGE.fullmatch(answer.headers.get("range", ""))
        reached = int(found[1]) + 1 if found else 0
        if reached <= 1 or reached > self._blob.size:  # `0-0` says nothing or one byte: nobody knows which
            self._cancel()
            return False
        if "location" in answer.headers:
            self._session = self._location(answer)
        self._offset = reached
        before, self._furthest = self._furthest, max(self._furthest, reached)
        return reached - before >= _STEP

    def _cancel(self) -> None:
        """end-14, where it is known; else the session expires."""
        if self._session is not None:
            with suppress(TransferError, Interrupted):
                self._transport.fetch_once(self._call("DELETE", self._session, {202, 204, 404, 405}))
            self._session = None

    def _call(self, method: str, url: httpx.URL, expected: set[int], headers: dict[str, str] | None = None) -> Call:
        return Call(method, url, self._scope, frozenset(expected), headers or {})

    def _sizes(self, size: int) -> dict[str, str]:
        return {"Content-Length": str(size), "Content-Type": "application/octet-stream"}

    def _location(self, answer: Answer) -> httpx.URL:
        if "location" not in answer.headers:
            raise AnswerInvalid(f"{self._start.host} begins an upload and does not say where")
        return follow(answer.url, answer.headers["location"])


def _with_body(call: Call, body: Callable[[], Chunks | bytes]) -> Call:
    return Call(call.method, call.url, call.scope, call.expected, call.headers, body)
