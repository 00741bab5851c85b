"""One line for each request, as text or JSON; written when its answer has been sent, or could not be."""

import itertools
import logging
import os
import re
import time
from typing import Any

from registry.server.answer import Answer
from registry.server.request import Request

log = logging.getLogger("registry.access")

_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")
_numbers = itertools.count(1)


def is_wanted() -> bool:
    """Collecting the fields costs 10 % of a small answer."""
    return log.isEnabledFor(logging.INFO)


def write(client: tuple[str, int], request: Request, answer: Answer, user: str, started: float) -> None:
    """`started` is on the monotonic clock; `user` is empty for who did not say."""
    headers: dict[str, str] = dict(request.headers)
    named = headers.get("X-REQUEST-ID", "")
    fields: dict[str, Any] = {
        "client": client[0],
        "user": user,
        "method": request.method,
        "target": request.uri,
        "status": int(answer.status[:3]),
        "bytes": answer.bytes,
        "seconds": round(time.monotonic() - started, 6),
        "agent": headers.get("USER-AGENT", ""),
        "id": named if _ID.fullmatch(named) else f"{os.getpid():x}-{next(_numbers):x}",
    }
    log.info(
        '%(client)s %(user)s "%(method)s %(target)s HTTP/1.1" %(status)d %(bytes)d %(seconds).3f "%(agent)s" %(id)s',
        fields | {"user": user or "-"},
        extra={"fields": fields},
    )
