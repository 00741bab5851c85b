"""Results of several commands as those of one: pulls as they were written, loads brought into the same shape."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path

import orjson

from bench.errors import BenchFailed
from bench.machine import Machine
from bench.results import Figure, Results, Verdict
from bench.verdicts import verdicts


def gathered(paths: Sequence[Path]) -> Results:
    """All of them, with the verdicts that their figures allow together.

    Raises:
        BenchFailed: a file cannot be read, or holds something else.
    """
    joined = reduce(Results.joined, map(_read, paths))
    told: Sequence[Verdict] = verdicts(joined.figures)
    return joined.judged(told)


def _read(path: Path) -> Results:
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BenchFailed(f"cannot read {path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise BenchFailed(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BenchFailed(f"{path} holds no results of k0rdentd bench")
    if "comparisons" in document:
        return _loads(document, path)
    return Results.parse(document, str(path))


def _loads(document: Mapping[str, object], path: Path) -> Results:
    """What `k0rdentd bench load --json` wrote."""
    try:
        machine = Machine(**document["machine"])  # type: ignore[arg-type]  # what does not fit is told below
        figures = tuple(_timings(document["comparisons"]))
        seconds = sum(figure.value for figure in figures)
    except (KeyError, TypeError) as error:
        raise BenchFailed(f"{path} holds no results of k0rdentd bench load: {error!r}") from error
    return Results(machine, {}, "k0rdentd bench load", "", seconds, figures, ())


def _timings(comparisons: object) -> Iterator[Figure]:
    assert isinstance(comparisons, list)
    for compared in comparisons:
        for timing in compared["timings"]:
            details = {"others": timing["others"]}
            place = ("load", "bundle", timing["contender"], timing["round"], timing["seconds"], "s")
            yield Figure(*place, x=compared["size"], details=details)
