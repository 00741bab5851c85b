"""wrk, the load generator: run once, its text read."""

import re
import subprocess
from dataclasses import dataclass
from typing import Self

from bench.errors import BenchFailed
from bench.process import require

CONNECTIONS, THREADS = 16, 2
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_WHOLE = 16 * 1024**2


def run_wrk(url: str, seconds: int, accept: str, connections: int = CONNECTIONS) -> "Outcome":
    """How fast `url` answers, over connections that stay open. wrk trusts every certificate.

    Raises:
        BenchFailed: wrk is not installed, or anything went wrong on the way: half a measurement is none.
    """
    load = (f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s")
    done = subprocess.run(
        [require("wrk"), *load, "-H", f"Accept: {accept}", url], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchFailed(f"wrk failed on {url}: {done.stderr.strip() or done.stdout.strip()}")
    return Outcome.parse(done.stdout).checked(url)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk says of one run."""

    requests_per_second: float
    """Those that ended; of large ones many do not."""
    bytes_per_second: float
    refused: int
    """Answers other than 2xx and 3xx."""
    broken: int
    """Connections that failed, reads and writes that broke off, and requests that timed out."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what wrk prints.

        Raises:
            BenchFailed: there is no rate in it.
        """
        rate = re.search(r"^Requests/sec:\s+([0-9.]+)$", text, re.MULTILINE)
        transfer = re.search(r"^Transfer/sec:\s+([0-9.]+)([KMGT]?)B$", text, re.MULTILINE)
        if rate is None or transfer is None:
            raise BenchFailed(f"wrk told no rate: {text.strip()[-500:]}")
        refused = re.search(r"Non-2xx or 3xx responses: ([0-9]+)", text)
        errors = re.search(r"Socket errors: (.+)", text)
        broken = sum(map(int, re.findall(r"[0-9]+", errors[1]))) if errors else 0
        speed = float(transfer[1]) * _UNITS[transfer[2]]
        return cls(float(rate[1]), speed, int(refused[1]) if refused else 0, broken)

    def checked(self, url: str) -> Self:
        """The same.

        Raises:
            BenchFailed: not all requests were answered well.
        """
        if self.refused or self.broken:
            raise BenchFailed(f"{url}: {self.refused} answers were errors, {self.broken} requests broke off")
        return self

    def rate(self, size: int) -> float:
        """Answers a second, of bodies of `size` bytes; of huge ones by the bytes, as few end within a measurement."""
        return self.bytes_per_second / size if size > _WHOLE else self.requests_per_second
