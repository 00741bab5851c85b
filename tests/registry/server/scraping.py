"""What a registry says of itself at /metrics, read back."""

import re

import httpx

from tests.conftest import Server

_SAMPLE = re.compile(r"([a-z0-9_]+)(?:\{(.*)\})? ([-+.e0-9]+)")
_LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')

Scrape = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Scrape:
    """Every sample; a line that is none fails the test."""
    found: Scrape = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP [a-z0-9_]+ .+|TYPE [a-z0-9_]+ (counter|gauge|histogram))", line), line
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        key = sample[1], frozenset(_LABEL.findall(sample[2] or ""))
        assert key not in found, line
        found[key] = float(sample[3])
    return found


def scrape(server: Server) -> Scrape:
    """From whichever worker answers."""
    return parse(httpx.get(f"{server.url}/metrics", timeout=20).raise_for_status().text)


def value(found: Scrape, name: str, **labels: str) -> float:
    return found.get((f"k0rdentd_{name}", frozenset(labels.items())), 0)
