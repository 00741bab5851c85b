"""Log lines: JSON for machines, no more of one kind than a disk can bear, and no waiting for who reads them."""

import json
import logging
import os
import select
import stat
import time
from datetime import UTC, datetime

STDERR = 2
_PIECE = select.PIPE_BUF  # a pipe takes so much whole, or not at all
_PATIENCE_MS = 50
_WINDOW_SECONDS, _IN_WINDOW = 10.0, 20


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, fields of its own, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Bounded(logging.Filter):
    """Lets 20 warnings or errors of one place in the code pass in ten seconds; the next one tells how many did not.

    A blob that is gone is asked for thousands of times a second by a cluster that starts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        now = time.monotonic()
        began, count = self._windows.get(place, (now, 0))
        if now - began > _WINDOW_SECONDS:
            left_out = max(0, count - _IN_WINDOW)
            began, count = now, 0
            if left_out:
                record.msg = f"{record.msg} (and {left_out} more like it before, which were left out)"
        self._windows[place] = (began, count + 1)
        return count < _IN_WINDOW


class UnhurriedHandler(logging.Handler):
    """Writes to standard error and waits 50 ms at most, once, for a reader that does not read; then lines are lost.

    Without a thread: nothing is lost with a worker that is killed, and nothing crosses a fork. A pipe
    or terminal is opened anew, so that it alone does not block, and not the one that others hold too; a
    file is written as it is, for the page cache takes the line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._file, self._is_own = _open_anew(STDERR)
        self._is_stuck = False
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._lost and self._write(self._line(_loss(self._lost))):
                self._lost = 0
            if self._lost or not self._write(self._line(record)):
                self._lost += 1
        except Exception:  # noqa: BLE001  # as in logging's own handlers: a log must not be what fails
            self.handleError(record)

    def close(self) -> None:
        if self._is_own:
            os.close(self._file)
            self._is_own = False
            self._file = STDERR
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _write(self, line: bytes) -> bool:
        """Whether all of it was taken."""
        while line:
            try:
                if not self._is_own and not self._has_room(0) and self._is_slow():
                    return False
                line = line[os.write(self._file, line[:_PIECE]) :]
                self._is_stuck = False
            except BlockingIOError:
                if self._is_slow():
                    return False
        return True

    def _is_slow(self) -> bool:
        """Whether there is no room, even after a while; who was slow before is not waited for."""
        self._is_stuck = not self._has_room(0 if self._is_stuck else _PATIENCE_MS)
        return self._is_stuck

    def _has_room(self, milliseconds: int) -> bool:
        waiting = select.poll()
        waiting.register(self._file, select.POLLOUT)
        return bool(waiting.poll(milliseconds))


def _loss(count: int) -> logging.LogRecord:
    message = "%d lines of this log were lost: nobody read it"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (count,), None)


def _open_anew(file: int) -> tuple[int, bool]:
    """A descriptor for the same end that never blocks, and whether it is one of our own."""
    try:
        mode = os.fstat(file).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{file}", flags), True
    except OSError:  # closed, or of another user
        pass
    return file, False
