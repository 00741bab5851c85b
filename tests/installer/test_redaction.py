"""One rule of what is a secret: what a view, a diff and a support bundle show of the same document."""

import json
from pathlib import Path

import pytest
import yaml

from installer.difference import difference
from installer.redaction import MASK, Redactor, masked

TEXT = """
proxy: http://u:planted@pro@xy.example:3128/x
env:
- name: DB_PASSWORD
  value: planted words
- name: DB_TOKEN
  value: |
    planted
    planted
- name: HOST
  value: kept-host
flow: [{name: DB_PASSWORD, value: planted words}, {"name": "API_TOKEN", "value": "planted, quoted"}]
behind:
- value: planted words
  name: DB_PASSWORD
- value: |
    planted

    planted
  name: DB_TOKEN
- value: kept-first
  name: HOST
- name: API_KEY
  about: kept-about
  value: planted
flowing: [{value: planted words, name: DB_PASSWORD}, {"value": "planted, \\"quoted", "x": 1, "name": "API_TOKEN"}]
kept: [{value: kept-flow, name: HOST}, {name: DB_PASSWORD, x: kept-between, value: planted}]
applied: '{"env":[{"value":"planted \\"x, planted","name":"DB_PASSWORD"},{"name":"DB_TOKEN","value":"planted"},
  {"value":"kept-applied","name":"HOST"}]}'
tls: |
  -----BEGIN RSA PRIVATE KEY-----
  planted

  planted+planted/==
  -----END RSA PRIVATE KEY-----
  kept-after
connectionString: "Server=x;User=y;Password=planted;Z=1"
link: "Server=x;Pwd=planted;kept-z=1"
data:
  .dockerconfigjson: plantedplanted
  dockerconfigjson: '{"auths": {"x": {"auth": "planted"}}}'
dbPass: planted
pw: planted
pass: planted
passwd: planted
DB_PASS: planted
nested: {dbPass: planted, pw: "planted", compass: kept-north, bypass: kept-way, passThrough: kept-through}
compass: kept-south
"""
DOCUMENT = yaml.safe_load(TEXT)
KEPT = (
    *("kept-first", "kept-about", "kept-flow", "kept-between", "kept-applied"),
    *("kept-host", "kept-after", "kept-north", "kept-way", "kept-through", "kept-south", "kept-z"),
)


def diffed(text: str) -> str:
    return "\n".join(difference(Path("/x"), b"pw: planted-before\n", text.encode()))


@pytest.mark.parametrize(
    "text",
    [TEXT, json.dumps(DOCUMENT), json.dumps(DOCUMENT, indent=2), yaml.safe_dump(DOCUMENT)],
    ids=["written", "json", "indented", "yaml"],
)
def test_the_same_secrets_are_masked_in_a_view_a_diff_and_a_support_bundle(text: str) -> None:
    view = yaml.safe_dump(masked(yaml.safe_load(text)), width=1000)
    for shown in (view, json.dumps(masked(yaml.safe_load(text))), diffed(text), Redactor().clean(text)):
        assert "planted" not in shown, shown
        assert [each for each in KEPT if each not in shown] == []


def test_lines_stay_lines_and_json_stays_json() -> None:
    assert len(Redactor().clean(TEXT).splitlines()) == len(TEXT.splitlines())
    for indent in (None, 2):
        shown = json.loads(Redactor().clean(json.dumps(DOCUMENT, indent=indent)))
        for tls in (shown["tls"], masked(DOCUMENT)["tls"]):  # type: ignore[index]
            assert tls.splitlines()[1:4] == [MASK, "", MASK]


def test_a_long_line_full_of_names_comes_to_an_end() -> None:
    shown = Redactor().clean('"name":"token","a":1,' * 20_000)
    assert shown.count(MASK) == 0
