"""What `validate` refuses, and that its messages never quote what was refused."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.errors import ValidationFailed
from leasekeeper.outputs.validate import Format, check_format

CANARY = "hunter2-canary"


def check(kind: Format, content: str | bytes) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    check_format(kind, raw, destination="/config/app")


GOOD: list[tuple[Format, str]] = [
    ("json", '{"a": [1, 2.5, null, "x"]}'),
    ("json", '"just a string"'),
    ("json", "9" * 5000),
    ("yaml", "a: 1\nb: [x, y]\n"),
    ("yaml", "one: 1\n---\ntwo: 2\n"),
    ("yaml", ""),
    ("yaml", "when: 2026-99-99\nwhat: !Ref Something\n"),
    ("yaml", "base: &base {a: 1}\nuse: {<<: *base, b: 2}\n"),
    ("toml", 'title = "x"\n[table]\nn = 1\n'),
    ("dotenv", ""),
    ("dotenv", "# comment\n\nexport A=1\nB = two words # three\nC=\n"),
    ("dotenv", 'PEM="-----BEGIN\nMII\\"x\n-----END" # key\nD=\'it is\nfine\'\r\nE=x\r\n'),
    ("dotenv", "URL=postgres://u:p@h/db?x=1#frag\n"),
]

BAD: list[tuple[Format, str | bytes, str]] = [
    ("json", f'{{"a": "{CANARY}",\n  "b": }}', "line 2, column 8"),
    ("json", f'{{"a": "{CANARY}"}} x', "line 1, column 25"),
    ("json", f'["{CANARY}", NaN]', "NaN and Infinity"),
    ("json", "", "line 1, column 1"),
    ("json", b'{"a": "\xff' + CANARY.encode() + b'"}', "byte 7 is not UTF-8"),
    ("json", "[" * 100_000, "nested too deeply"),
    ("yaml", f"a: {CANARY}\nb: [1, 2\n", "line 3, column 1"),
    ("yaml", f"password: {{{{ {CANARY} }}}}\n", "line 1, column 12"),
    ("yaml", f"a: *{CANARY}\n", "line 1, column 4"),
    ("yaml", f"a: {CANARY}\tx: y: z\n", "line 1"),
    ("yaml", f"a: '{CANARY}\x01'\n", "character that YAML does not allow"),
    ("yaml", "[" * 100_000, "nested too deeply"),
    ("toml", f'a = "{CANARY}\n', "line 1, column"),
    ("toml", f'a = "{CANARY}"\na = 2\n', "line 2, column"),
    ("toml", "a = " + "[" * 5_000, "nested too deeply"),
    ("dotenv", f"A=1\nthis is {CANARY}\n", "line 2, column 1"),
    ("dotenv", f'A="{CANARY}\nB=2\n', "line 1, column 1"),
    ("dotenv", f'A="x" {CANARY}\n', "line 1, column 1"),
    ("dotenv", f"1A={CANARY}\n", "line 1, column 1"),
    ("dotenv", f"A={CANARY}\0\n", "is a NUL"),
]


@pytest.mark.parametrize(("kind", "content"), GOOD)
def test_valid_content_is_accepted(kind: Format, content: str) -> None:
    check(kind, content)


@pytest.mark.parametrize(("kind", "content", "where"), BAD)
def test_invalid_content_is_refused_with_its_place_and_without_its_text(
    kind: Format, content: str | bytes, where: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check(kind, content)

    error = caught.value
    assert where in str(error)
    assert "/config/app" in str(error)
    assert CANARY not in str(error)
    # A chained parser error would carry the document into tracebacks.
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_yaml_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    began = time.perf_counter()

    with pytest.raises(ValidationFailed, match="aliases"):
        check("yaml", "\n".join(lines))

    assert time.perf_counter() - began < 5


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_whatever_the_writers_write_is_valid(value: object) -> None:
    check("json", json.dumps(value))
    check("yaml", yaml.safe_dump(value))


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_text_in_a_quoted_dotenv_value_is_valid(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    check("dotenv", f'A="{quoted}"\nB=2\n')


@given(st.binary())
@pytest.mark.parametrize("kind", ["json", "yaml", "toml", "dotenv"])
def test_no_content_brings_down_a_check(kind: Format, content: bytes) -> None:
    try:
        check(kind, content)
    except ValidationFailed:
        return
