"""Whether the generator, and not a server, sets the pace: its share of its cores, and its rate beside that of wrk."""

import shutil
from collections.abc import Iterator

from bench.peers import NGINX
from bench.results import Figure
from bench.suite.field import Field
from bench.suite.rates import measured
from bench.wrk import run_wrk

WRK = "wrk"
OWN = "our generator"
_TARGETS = ("manifest", "1 MiB blob")


def generator(field: Field) -> Iterator[Figure]:
    """Both against the fastest server there is, if wrk is installed; the subject is the generator here."""
    if shutil.which(WRK) is None:
        return
    fastest = next((peer for peer in field.peers if peer.name == NGINX), field.ours)
    seconds, media_type = max(1, round(field.plan.seconds)), field.sample.manifest.media_type
    for number in range(field.plan.rounds):
        for target in (target for target in field.sample.targets if target.name in _TARGETS):
            case = f"{fastest.name}, HTTP {target.name}"
            value, unit, details = measured(fastest.endpoint(), target, field.plan.connections, seconds)
            yield field.figure(("generator", case, OWN, number), value, unit, details)
            rate = run_wrk(fastest.url + target.path, seconds, media_type, field.plan.connections).rate(target.size)
            value = round(rate if unit == "requests/s" else rate * target.size / 1e6, 1)
            yield field.figure(("generator", case, WRK, number), value, unit, {})
