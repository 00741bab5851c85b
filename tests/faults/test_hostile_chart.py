"""`bundle inspect` and `bundle version` of what a hostile hand has packed: an answer or a sentence, soon."""

from pathlib import Path

import pytest

from bench.layout import chart_archive
from tests.faults.bundles import is_one_clear_sentence
from tests.faults.hostile import LYING_SIZES, UNFOLDING, archive, entry, with_index, with_root, write_bundle
from tests.faults.processes import watch

MEMORY = 300_000_000
CHARTS = {
    "deep": b"version: " + b"[" * 100_000,
    "large": b"version: 1.2.3\n" + b"a: [x, y, {z: 1}]\n" * 60_000,
    "laughing": b"a: &a [x]\n"
    + b"".join(b"%c: &%c [%b]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 9)) for n in range(97, 110)),
    "half-a-surrogate": b'version: "\\ud800"\n',
    "escape-sequence": b'version: "1.2.3\\e]0;owned\\a"\n',
    "line-break": b'version: "1.2.3\\n4.5.6"\n',
    "code": b"version: !!python/object/apply:os.system [true]\n",
    "not-text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("case", CHARTS)
def test_a_chart_that_is_no_chart_is_told_in_one_sentence(tmp_path: Path, case: str) -> None:
    chart = chart_archive("k0rdent-enterprise", "1.2.3", {"Chart.yaml": CHARTS[case]})
    bundle = write_bundle(tmp_path / "b.tar", entry("charts/k0rdent-enterprise_1.2.3.tar", chart))
    ended = watch("bundle", "version", bundle, folder=tmp_path)
    assert (ended.code, ended.output) == (1, "")
    assert is_one_clear_sentence(ended.error, bundle), ended.error
    assert ended.cpu < 5


def test_an_inspection_tells_every_hostile_member(tmp_path: Path) -> None:
    liars = {f"{case}_1.tar": body for case, body in LYING_SIZES.items()}
    liars |= {f"index-{case}_1.tar": with_index(body) for case, body in UNFOLDING.items()}
    liars |= {f"root-{case}_1.tar": with_root(body) for case, body in UNFOLDING.items()}
    bundle = write_bundle(tmp_path / "b.tar", *(archive(name, body) for name, body in liars.items()))
    ended = watch("bundle", "inspect", bundle, folder=tmp_path)
    assert ended.code == 0, ended.error
    assert "good:1" in ended.output
    assert [name for name in liars if f" {name}: " not in ended.output] == []
    assert ended.cpu < 10
    assert ended.peak < MEMORY
