"""One rule of what is a secret: what a view, a diff and a support bundle show of the same document."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

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


def variable(name: str, value: str, others: dict[str, str]) -> dict[str, str]:
    return {"name": name, **others, "value": value}


texts = st.text(alphabet="az \\\"'{}[]:,=\n-#é", max_size=8)


@given(others=st.dictionaries(texts.map("k{}".format), texts, max_size=12), around=texts, levels=st.integers(0, 3))
def test_a_value_is_found_behind_however_many_keys_and_levels_of_text(
    others: dict[str, str], around: str, levels: int
) -> None:
    secret, plain = variable("DB_TOKEN", f"planted{around}", others), variable("HOST", f"kept-a{around}", others)
    text = json.dumps([secret, plain, dict(reversed(secret.items())), around])
    for _ in range(levels):
        text = json.dumps({"text": text})
    shown = Redactor().clean(text)
    assert "planted" not in shown, shown
    assert "kept-a" in shown


def test_a_value_is_found_in_lines_that_were_cut_wrapped_or_are_yaml() -> None:
    many = {f"k{number}": "it's, x" for number in range(40)}
    line = json.dumps(variable("DB_TOKEN", "planted, x", many))
    flow = yaml.safe_dump(variable("DB_TOKEN", "planted, it's x", many), default_flow_style=True)
    quoted = yaml.safe_dump({"applied": json.dumps([variable("DB_TOKEN", "planted", many)])}, default_style="'")
    nested = json.dumps(variable("DB_TOKEN", "", many) | {"value": {"a": ["planted"]}})
    for text in (line[:-2], f"msg {line} name=x", f"5: {line}: failed", repr(json.loads(line)), flow, quoted, nested):
        shown = Redactor().clean(f"kept-before\n{text.rstrip()}\nkept-behind: x\n")
        assert "planted" not in shown, shown
        assert "kept-before" in shown
        assert "kept-behind: x\n" in shown
        assert len(shown.splitlines()) == len(text.splitlines()) + 2


@pytest.mark.parametrize(
    "part",
    [
        '"name":"token","a":1,',
        '{"name":',
        '{"name":"token","value":{"a":1,',
        '{"name":"token","value":',
        "- name: token\n  value: x\n",
        "value: x\n",
        "\\",
        "\"'",
        "a",
        "eyJaaaaaaaa-",
        "-",
    ],
)
def test_a_long_text_comes_to_an_end(part: str) -> None:
    """A step for each pair of characters would take hours."""
    text = "name: token\n" + part * (400_000 // len(part))
    assert Redactor().clean(text).startswith("name: token")
