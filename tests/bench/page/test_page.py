"""The page stands alone, and shows what was found."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.errors import BenchFailed
from bench.page.composed import composed
from bench.page.drawn import drawn
from bench.peers import DISTRIBUTION, NGINX, OURS
from bench.results import Figure, Results, Verdict
from tests.bench.test_results import results

_LATENCY = {"p50": 0.5, "p99": 2.0, "kept_up": 1.0}


def everything(slower: float = 1) -> Results:
    """A figure of every section that has a plot, of three subjects and two rounds."""
    figures = [
        Figure(
            section, f"HTTP {section} <x>", name, number, value / slower + number, unit, x, details, at=number * 9 + x
        )
        for number in range(2)
        for name, value in ((OURS, 50), (DISTRIBUTION, 10), (NGINX, 90))
        for section, unit, xs, details in (
            ("rates", "requests/s", (0,), {"memory": 5e7, "others": 0.1}),
            ("latency", "ms", (250, 500), _LATENCY),
            ("concurrency", "requests/s", (1, 1000), {"server_us": 50.0}),
            ("nodes", "MB/s", (0,), {}),
            ("workers", "requests/s", (1, 8), {"server_us": 50.0}),
            ("load", "s", (2e8, 2e9), {}),
        )
        for x in xs
    ]
    return results(*figures).judged([Verdict("a <claim>", "1.00", "fails"), Verdict("other", "2", "holds")])


class _Balanced(HTMLParser):
    """Every element that begins ends, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> list[str]:
    """Well-formed, and nothing is fetched; the elements."""
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "script" not in parser.seen
    assert not re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"|@import|url\((?!#)', page)
    return parser.seen


def test_a_page_without_plots_has_verdicts_first_and_every_table() -> None:
    page = composed(everything(), {}, notice="made without plots")
    assert check(page).count("table") == 6
    assert page.index("a &lt;claim&gt;") < page.index("<table") < page.index("made without plots")
    assert "HTTP rates &lt;x&gt;" in page


def test_every_section_has_its_plot_in_the_colours_of_the_page() -> None:
    found = everything()
    page = composed(found, drawn(found.figures))
    assert check(page).count("figure") == 8  # two of concurrency, and memory
    assert "var(--series-0)" in page
    assert not re.findall(r"(?:fill|stroke): #", page)
    ids = re.findall(r' id="([a-z]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_command_writes_a_page_and_one_json_file_and_marks_what_became_worse(tmp_path: Path) -> None:
    now, before = tmp_path / "now.json", tmp_path / "before.json"
    now.write_bytes(everything(slower=2).to_json())
    before.write_bytes(everything().to_json())
    arguments = ["report", str(now), "-o", str(tmp_path / "r.html"), "--baseline", str(before), "--no-plots"]
    outcome = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert "WORSE: rates: HTTP rates <x>: 0.50 times" in outcome.output
    assert "BETTER: latency: HTTP latency <x> at 250" in outcome.output
    page = (tmp_path / "r.html").read_text()
    check(page)
    assert '<b class="worse">' in page
    assert (tmp_path / "r.json").read_bytes()


def test_without_matplotlib_the_page_is_made_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bench.page.drawn", "bench.page.plots"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "now.json").write_bytes(everything().to_json())
    arguments = ["report", str(tmp_path / "now.json"), "-o", str(tmp_path / "r.html")]
    outcome = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert "pip install 'k0rdentd[bench]'; this page was made without them" in outcome.output
    assert "made without them" in (tmp_path / "r.html").read_text()
    with pytest.raises(BenchFailed, match="plots need matplotlib"):
        CliRunner().invoke(bench, [*arguments, "--plots"], catch_exceptions=False)
