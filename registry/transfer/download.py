"""One blob's way out of a registry (distribution-spec, "Pulling blobs"): on from where it broke, if it breaks."""

import re
from contextlib import closing

import httpx

from registry.oci.descriptor import Descriptor
from registry.oci.errors import SizeInvalid
from registry.transfer.errors import AnswerInvalid, Interrupted
from registry.transfer.patience import Patience
from registry.transfer.source import Chunks
from registry.transfer.text import printable
from registry.transfer.transport import Call, Transport

# What a connection has to bring for the failures before it to be forgotten: drops must not go on for ever.
_STEP = 1024 * 1024
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/(?:[0-9]{1,19}|\*)")


def download(transport: Transport, url: httpx.URL, scope: str, blob: Descriptor, offset: int) -> Chunks:
    """The bytes from `offset` on, over as many connections as it takes; never more than the blob's size, unchecked."""
    patience, counted = Patience(transport.endurance), offset
    while True:
        fault = Interrupted(f"{url.path} ends too early")
        try:
            with closing(_read_on(transport, url, scope, blob, offset)) as chunks:
                for chunk in chunks:
                    offset += len(chunk)
                    yield chunk
        except Interrupted as error:
            fault = error
        if offset == blob.size:
            return
        if offset - counted >= _STEP:
            patience.progressed()
            counted = offset
        patience.wait(Interrupted(f"{fault} (after {offset} of {blob.size} bytes)", fault.retry_after))


def _read_on(transport: Transport, url: httpx.URL, scope: str, blob: Descriptor, offset: int) -> Chunks:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    with transport.open(Call("GET", url, scope, frozenset({200, 206}), headers)) as response:
        skip = offset - _first(response, offset)
        left = blob.size - offset + skip
        for chunk in response.iter_raw():
            left -= len(chunk)
            if left < 0:
                raise SizeInvalid(f"{url.path} has more than the {blob.size} bytes that were announced")
            transport.endurance.check()
            yield chunk[skip:]
            skip = max(0, skip - len(chunk))


def _first(response: httpx.Response, offset: int) -> int:
    """Where the answer begins: at `offset`, or at 0 where the registry does not know ranges."""
    if response.status_code == httpx.codes.OK:
        return 0
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found[1]) != offset:
        raise AnswerInvalid(f"{printable(response.url.path)} answers with another part than was asked for")
    return offset
