"""YAML is read with its lines, within bounds, and nothing in it is a surprise."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from leasekeeper.errors import ConfigError
from leasekeeper.settings import yaml_reader
from leasekeeper.settings.draft import Draft
from leasekeeper.settings.problems import Problems
from leasekeeper.settings.yaml_reader import read_yaml


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _both_parsers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without libyaml; everything holds for both of its parsers."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(yaml_reader, "_Loader", getattr(yaml, request.param))


def read(text: str) -> Draft:
    problems = Problems()
    draft = read_yaml(text, "a.yaml", problems)
    if problems:
        problems.fail()
    assert draft is not None
    return draft


def told(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("0640", 640),
        ("12:30", "12:30"),
        ("1.10", "1.10"),
        ("0x1f", "0x1f"),
        ("2024-01-01", "2024-01-01"),
        ("99999999999999999999", "99999999999999999999"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("|-\n  12", "12"),
        (".nan", ".nan"),
        ("=", "="),
    ],
)
def test_plain_words_mean_what_they_look_like(text: str, value: object) -> None:
    assert read(f"a: {text}\n").values == {"a": value}


def test_every_key_and_item_knows_its_line() -> None:
    draft = read("# first\n\na:\n  b: |\n    long\n    text\n  c: [1,\n    2]\n'd': {e: 1}\n")

    lines = {path: origin.line for path, origin in draft.origins.items()}
    assert lines == {
        ("a",): 3,
        ("a", "b"): 4,
        ("a", "c"): 7,
        ("a", "c", 0): 7,
        ("a", "c", 1): 8,
        ("d",): 9,
        ("d", "e"): 9,
    }


def test_an_alias_is_a_copy_that_belongs_to_its_own_line() -> None:
    draft = read("a: &x\n  b: [1]\nc: *x\n")

    draft.values["c"]["b"].append(2)
    assert draft.values == {"a": {"b": [1]}, "c": {"b": [1, 2]}}
    assert draft.origins["c", "b"].line == 3


def test_a_key_that_is_given_twice_is_told_with_both_lines() -> None:
    assert told("a:\n  b: 1\n  c: 2\n  b: 3\n") == "a.yaml:4: a.b: is given twice, first in line 2"


def test_several_problems_of_the_text_are_told_together() -> None:
    text = "a: 1\na: 2\nb: !tag x\n<<: {c: 1}\nd: {[x]: 1}\n"

    assert told(text).splitlines() == [
        "a.yaml:2: a: is given twice, first in line 1",
        "a.yaml:3: b: tags (words that start with !) are not supported",
        "a.yaml:4: merge keys (<<) are not supported; write the keys out",
        "a.yaml:5: d: a value that starts with { or [ needs quotes",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yaml:1: is empty"),
        ("# only a comment\n", "is empty"),
        ("just text", "a.yaml:1: needs keys and values, such as `vault:`"),
        ("- a\n- b\n", "a.yaml:1: needs keys and values"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: only one document is allowed"),
        ("a:\n\tb: 1\n", "a.yaml:2: is not valid YAML at column 1: a tab cannot indent"),
        ("a: *nowhere\n", "a.yaml:1: an alias (*name) needs its anchor"),
        ("a: &x [*x]\n", "a.yaml:1: an alias (*name) needs its anchor"),
        ("a: 'open\n", "is not valid YAML at column"),
        ("a: [1,\nb: {2\n", "a.yaml:2: is not valid YAML"),
        ("ok: 1\na: b: c\n", "a.yaml:2: is not valid YAML at column 5: mapping values are not"),
        ("a: \x00\n", "a.yaml:1: has a character that YAML does not allow"),
        ("ok: 1\na: \x07\n", "a.yaml:2: has a character that YAML does not allow"),
        ("a: {{ with x }}{{ .b }}\n", "a template in one line needs quotes around it"),
        ("%YAML 9.9\n---\na: 1\n", "a.yaml:1: is not valid YAML"),
        ('a: 1\nb: "\\ud800"\n', "a.yaml:2: "),
        ('a: 1\n"\\ud800": 1\n', "a.yaml:2: "),
    ],
)
def test_text_that_cannot_be_read_is_told_where_and_why(text: str, message: str) -> None:
    assert message in told(text)


@pytest.mark.parametrize(
    "text",
    [
        'vault {\n  address = "http://x"\n}\n',
        'pid_file = "./pid"\n\nauto_auth {\n  method "aws" {\n  }\n}\n',
        '# agent\ntemplate {\n  destination = "/a"\n  contents = "{{ x }}: y: z"\n}\n',
    ],
)
def test_vault_agents_own_language_is_recognised(text: str) -> None:
    assert "use `leasekeeper agent -config`" in told(text)
    assert len(told(text).splitlines()) == 1


def test_a_billion_laughs_are_not_laughed() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert "has too many values" in told("\n".join(lines))


def test_aliases_cannot_build_what_is_too_deep() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500))]

    assert "is nested too deeply" in told("\n".join(lines))


@pytest.mark.parametrize("text", ["a: " + "[" * 200_000, "a: " + "{a: " * 100_000])
def test_deep_nesting_is_refused_without_following_it(text: str) -> None:
    assert "is nested too deeply" in told(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: !s3cret!x y\n",
        "a: *s3cret\n",
        "a: {s3cret: s3cret: s3cret}\n",
        "a: 's3cret\n",
        'a: "s3cret\\q"\n',
        "a: s3cret: x\n",
        "s3cret s3cret\nb: 1",
        "a: [s3cret] s3cret\n",
        "a: @s3cret\n",
        "a: %s3cret\n",
        "a: &s3cret@ x\n",
        "a: |s3cret\n",
        "a: !<s3cret\n",
    ],
)
def test_a_complaint_about_the_text_repeats_none_of_it(text: str) -> None:
    assert "s3cret" not in told(text)


def test_large_configurations_stay_within_the_bounds() -> None:
    output = "- {destination: /a/%d, template: '{{ x }}', mode: '0600', validate: json}\n"
    draft = read("outputs:\n" + "".join(output % n for n in range(2000)))

    outputs: list[Any] = draft.values["outputs"]
    assert len(outputs) == 2000
