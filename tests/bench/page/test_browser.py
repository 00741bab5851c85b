"""The page in a real browser, where there is one, without a network."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.page.composed import composed
from tests.bench.page.test_page import everything

LIGHT, DARK = 1, 0


@pytest.mark.client
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_a_browser_shows_every_table_and_plot_and_complains_of_nothing(tmp_path: Path, scheme: int) -> None:
    found = everything()
    drawings = {}
    if find_spec("matplotlib"):
        from bench.page.drawn import drawn

        drawings = drawn(found.figures)
    probe = (
        "<script>document.title = [...document.querySelectorAll('table, figure svg')]"
        ".filter(each => each.getBoundingClientRect().height > 40).length"
        " + ' ' + getComputedStyle(document.body).backgroundColor</script>"
    )
    (tmp_path / "page.html").write_text(composed(found, drawings).replace("</body>", f"{probe}</body>"))
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/c",
    )
    command = ("chromium", *options, f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom")
    shown = subprocess.run(
        [*command, f"file://{tmp_path}/page.html"], capture_output=True, text=True, timeout=60, check=True
    )
    count = 6 + (8 if drawings else 0)
    assert f"<title>{count} rgb({'251, 251, 249' if scheme == LIGHT else '21, 24, 28'})</title>" in shown.stdout
    assert "CONSOLE" not in shown.stderr
