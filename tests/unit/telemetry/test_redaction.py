"""Masking: every live secret, in every spelling, however many there are."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.telemetry import events
from leasekeeper.telemetry.redaction import MASK, SHORTEST, Redactor, redactor, strings_in

ODD = [
    "plain-canary",
    'quo"te-canary',
    "apo's-canary",
    "back\\slash-canary",
    "tab\tnew\nline-canary",
    "ümläut-canary",
    'all-"of\\it\n-ü-canary',
]


@pytest.mark.parametrize("secret", ODD)
def test_a_secret_is_masked_in_every_spelling(secret: str) -> None:
    masked = Redactor()
    masked.protect("owner", [secret])
    spellings = [
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        repr(secret),
        repr({"key": secret}),
        str(KeyError(secret)),
        f"before{secret}after",
    ]

    for spelling in spellings:
        assert "canary" not in masked.redact(spelling)
        assert MASK in masked.redact(spelling)


@pytest.fixture(autouse=True)
def _nothing_is_left_for_other_tests() -> Iterator[None]:
    yield
    redactor.protect("test", ["nothing-1"])
    redactor.protect("test", ["nothing-2"])


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    events.configure("info", "json", stream)
    return stream


@pytest.mark.parametrize("secret", ODD)
def test_no_spelling_reaches_the_log(out: io.StringIO, secret: str) -> None:
    redactor.protect("test", [secret])
    try:
        raise ValueError(f"cannot use {secret!r}")
    except ValueError as error:
        events.log.error("any.thing", exc_info=error)
    events.log.info("any.thing", error=secret, deep={"a": [secret, (secret,)]}, thing=Thing(secret))

    assert "canary" not in out.getvalue()


class Thing:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __str__(self) -> str:
        return f"a thing with {self.secret}"


@pytest.mark.parametrize("secret", ['"event"', '", "a": "', "level", "secret.", "rotated"])
def test_a_secret_that_looks_like_the_line_itself_does_not_break_it(
    out: io.StringIO, secret: str
) -> None:
    """Event names are stable, whatever somebody keeps as a secret."""
    redactor.protect("test", [secret])
    events.log.info("secret.rotated", error=f"x {secret} y")

    line = json.loads(out.getvalue())
    assert (line["level"], line["event"]) == ("info", "secret.rotated")
    assert secret not in line["error"] or len(secret) < SHORTEST


def test_a_part_of_a_secret_is_not_left_when_a_shorter_one_is_inside() -> None:
    for order in (["secret", "secret-and-more"], ["secret-and-more", "secret"]):
        masked = Redactor()
        masked.protect("a", order[:1])
        masked.protect("b", order[1:])
        assert masked.redact("x secret-and-more y secret z") == f"x {MASK} y {MASK} z"


def test_overlapping_secrets_are_masked_as_one() -> None:
    masked = Redactor()
    masked.protect("a", ["abcdefgh"])
    masked.protect("b", ["efghijkl"])

    assert masked.redact("1abcdefghijkl2") == f"1{MASK}2"


def test_neighbours_are_masked_both() -> None:
    masked = Redactor()
    masked.protect("a", ["abcdef", "ghijkl"])

    assert masked.redact("abcdefghijkl") == MASK * 2


def test_a_value_is_forgotten_after_two_rotations_and_only_then() -> None:
    masked = Redactor()
    for number in range(3):
        masked.protect("owner", [f"canary-{number}"])

    assert masked.redact("canary-0 canary-1 canary-2") == f"canary-0 {MASK} {MASK}"


def test_a_value_of_two_owners_is_masked_until_both_have_let_go() -> None:
    masked = Redactor()
    masked.protect("a", ["canary-both"])
    masked.protect("b", ["canary-both"])
    masked.protect("a", ["canary-next"])
    masked.protect("a", ["canary-last"])

    assert masked.redact("canary-both") == MASK


def test_protecting_the_same_values_again_is_no_rotation() -> None:
    masked = Redactor()
    masked.protect("a", ["canary-old"])
    for _ in range(5):
        masked.protect("a", ["canary-new"])

    assert masked.redact("canary-old canary-new") == f"{MASK} {MASK}"


@given(
    st.lists(st.text(alphabet="abc", min_size=SHORTEST, max_size=9), max_size=6),
    st.text(alphabet="abc ", max_size=60),
)
def test_nothing_protected_is_ever_left(values: list[str], text: str) -> None:
    masked = Redactor()
    for number, value in enumerate(values):
        masked.protect(number, [value])

    shown = masked.redact(text)

    assert not [value for value in values if value in shown.replace(MASK, "|")]
    if not any(value in text for value in values):
        assert shown == text


@given(st.lists(st.lists(st.sampled_from(["canary1", "canary2", "canary3"]))))
def test_the_books_are_always_right(rotations: list[list[str]]) -> None:
    masked = Redactor()
    for values in rotations:
        masked.protect("owner", values)
    masked.protect("owner", ["other-1"])
    masked.protect("owner", ["other-2"])

    assert masked.redact("canary1 canary2 canary3") == "canary1 canary2 canary3"
    assert set(masked._lengths) == {"other-"}
    assert set(masked._owners) == {"other-1", "other-2"}


def test_the_time_for_a_line_does_not_grow_with_the_number_of_secrets() -> None:
    masked = Redactor()
    masked.protect("one", ["canary-value"])
    line = "the line with canary-value in it"

    few = lines_executed(masked, line)
    for number in range(2000):
        masked.protect(number, [f"{number:06}-secret", f"canary-{number:05}"])

    assert lines_executed(masked, line) == few


def lines_executed(masked: Redactor, text: str) -> int:
    count = 0

    def trace(_frame: object, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        assert MASK in masked.redact(text)
    finally:
        sys.settrace(None)
    return count


def test_strings_are_found_at_any_depth() -> None:
    deep: object = "canary"
    for _ in range(50_000):
        deep = [deep]

    assert list(strings_in({"a": deep, "b": 1})) == ["canary"]


def test_a_log_line_is_json_whatever_is_in_it(out: io.StringIO) -> None:
    events.log.info(
        "any.thing",
        never=float("inf"),
        nothing=float("nan"),
        none=None,
        yes=True,
        number=1.5,
        names={"b"},
        raw=b"\xff",
        surrogate="\udcff",
        keys={1: "a"},
    )

    line = json.loads(out.getvalue(), parse_constant=pytest.fail)
    assert (line["never"], line["nothing"]) == ("inf", "nan")
    assert (line["none"], line["yes"], line["number"]) == (None, True, 1.5)
    assert (line["names"], line["keys"]) == (["b"], {"1": "a"})


def test_a_value_cannot_forge_a_line_on_a_terminal() -> None:
    stream = io.StringIO()
    events.configure("info", "console", stream)
    events.log.info("any.thing", path="/x\n12:00:00.000 error   agent.failed", esc="\x1b[31m")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("level", list(events.LEVELS))
def test_every_level_of_the_settings_works(level: str) -> None:
    """`trace` used to end the start with a KeyError."""
    stream = io.StringIO()
    events.configure(level, "json", stream)
    events.log.debug("any.detail")
    events.log.error("any.error")

    names = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert names == (["any.detail"] if level in ("trace", "debug") else []) + ["any.error"]
