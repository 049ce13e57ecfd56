"""What one function writes, its reader reads back; JSON, YAML, TOML, base64, dates, durations."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.templates.functions.documents import TextStruct
from leasekeeper.templates.functions.encodings import base64_encode, decode_base64
from leasekeeper.templates.functions.go_duration import format_duration, parse_duration
from leasekeeper.templates.functions.go_layout import parse_time
from leasekeeper.templates.functions.go_time import RFC3339_NANO, GoTime
from leasekeeper.templates.functions.json_reader import from_json
from leasekeeper.templates.functions.json_writer import to_json
from leasekeeper.templates.functions.toml_writer import to_toml
from leasekeeper.templates.functions.yaml_reader import from_yaml
from leasekeeper.templates.functions.yaml_writer import to_yaml
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.values import StringMap, StringSlice, Uint64, decode
from leasekeeper.vault.response import JsonNumber

TEXT = st.text(
    st.one_of(
        st.sampled_from("ab1 -:#'\"\\[]{}&*!|>%@`,?~=<\n\t\r."),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=100,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)


def _trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )


# --- round trips ------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    _trees(st.none() | st.booleans() | FLOATS | TEXT), st.booleans(), st.sampled_from(["", "  "])
)
def test_json_reads_back_what_it_wrote(value: Any, html: bool, indent: str) -> None:
    assert from_json(to_json(value, html=html, indent=indent)) == value


@settings(max_examples=300, deadline=None)
@given(_trees(st.none() | st.booleans() | FLOATS | INTEGERS | TEXT))
def test_yaml_reads_back_what_it_wrote(value: Any) -> None:
    assert from_yaml(to_yaml(value, cautious=True)) == value


@settings(max_examples=300, deadline=None)
@given(_trees(st.none() | st.booleans() | INTEGERS | TEXT))
def test_cautious_yaml_means_the_same_to_other_readers(value: Any) -> None:
    assert yaml.safe_load(to_yaml(value, cautious=True)) == value


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXT, _trees(st.booleans() | FLOATS | INTEGERS | TEXT), max_size=4))
def test_toml_means_the_same_to_other_readers(value: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(value)) == value


@settings(max_examples=200)
@given(st.binary(max_size=60), st.booleans())
def test_base64_decodes_what_it_encoded_broken_into_lines_or_not(data: bytes, broken: bool) -> None:
    encoded = base64_encode(decode(data))
    text = "\r\n".join(encoded) if broken else encoded

    assert decode_base64(text) == decode(data)


@settings(max_examples=300)
@given(INTEGERS)
def test_a_duration_reads_back_from_how_it_prints(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes)) if minutes else UTC
    ),
).map(lambda moment: GoTime(moment.replace(microsecond=0), moment.microsecond * 1000))


@pytest.mark.parametrize(
    "layout",
    [
        RFC3339_NANO,
        "Mon, 02 Jan 2006 15:04:05.999999 -0700",
        "2006-002T15:04:05,000000Z07:00",
        "3:04:05.000000PM January 2, 2006 -07:00",
    ],
)
@settings(max_examples=100)
@given(time=MOMENTS)
def test_a_time_reads_back_from_every_complete_layout(layout: str, time: GoTime) -> None:
    read = parse_time(layout, time.format(layout), UTC)

    assert read.unix_nano == time.unix_nano
    assert read.offset_s == time.offset_s


# --- types that only templates have -------------------------------------------------------------


class _Version(TextStruct):
    go_type = "semver.Version"

    def marshal_text(self) -> str:
        return "1.10"


MIXED = {
    "number": JsonNumber("1.50"),
    "uint": Uint64((1 << 64) - 1),
    "texts": StringSlice(["a", "b"]),
    "map": StringMap({"k": "v"}),
    "version": _Version(),
}


def test_typed_values_are_written_by_what_they_hold() -> None:
    assert to_json(MIXED) == (
        '{"map":{"k":"v"},"number":1.50,"texts":["a","b"],'
        '"uint":18446744073709551615,"version":"1.10"}'
    )
    assert to_yaml(MIXED) == (
        'map:\n  k: v\nnumber: 1.5\ntexts:\n- a\n- b\nuint: 18446744073709551615\nversion: "1.10"\n'
    )
    assert to_toml(MIXED) == (
        'number = 1.5\ntexts = ["a", "b"]\nuint = 18446744073709551615\nversion = "1.10"\n'
        '\n[map]\n  k = "v"\n'
    )


def test_bytes_that_are_no_text_become_replacement_characters_or_base64() -> None:
    text = decode(b"\xff\xfe")

    assert to_json(text) == '"\ufffd\ufffd"'
    assert to_yaml(text) == "!!binary //4=\n"
    assert from_yaml(to_yaml(text)) == text


# --- hostile input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (from_json, "[" * 100_000, "exceeded max depth"),
        (from_yaml, "[" * 100_000, "yaml: exceeded max depth"),
        (
            from_yaml,
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
                for before, name in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "yaml: document contains excessive aliasing",
        ),
        (parse_duration, "9" * 100_000 + "h", "time: invalid duration"),
        (from_json, "9" * 5_000, "json: cannot unmarshal number"),
    ],
)
def test_hostile_documents_are_refused_in_good_time(read: Any, text: str, message: str) -> None:
    with pytest.raises(GoError) as caught:
        read(text)

    assert str(caught.value).startswith(message)
