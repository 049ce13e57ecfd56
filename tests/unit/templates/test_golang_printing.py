"""Numbers, strings and whole values as text, and back."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.templates.functions.library import library
from leasekeeper.templates.golang.functions import MAX_TEXT, Function, GoError
from leasekeeper.templates.golang.numbers import (
    format_float,
    parse_bool,
    parse_float,
    parse_int,
    parse_uint,
    to_single,
)
from leasekeeper.templates.golang.printing import sprint, sprintf, sprintln, to_text
from leasekeeper.templates.golang.quoting import QuotingError, can_backquote, quote, unquote
from leasekeeper.templates.golang.values import (
    Float32,
    GoStruct,
    InterfaceMap,
    NilPointer,
    StringMap,
    StringSlice,
    Uint8,
    canonical,
    decode,
)
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

SEPARATOR = "\x02-\x02"
PRINTF = Path(__file__).parent / "conformance" / "printf.json"
go_strings = st.binary(max_size=20).map(decode) | st.text(max_size=20).filter(
    lambda text: text.encode("utf-8", "replace").decode() == text
)


def test_printf_formats_as_the_agent_does() -> None:
    recorded = json.loads(PRINTF.read_text(encoding="utf-8"))
    text = SEPARATOR.join(f"{{{{ {expression} }}}}" for expression, _ in recorded)
    template = Template.compile(text, name="", functions=library())

    rendered = template.render(RenderContext(secret=lambda _request: None)).text

    assert rendered is not None
    assert rendered.split(SEPARATOR) == [expected for _, expected in recorded]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((), ""),
        ((1, 2, "a", "b", 3), "1 2ab3"),
        ((None, None), "<nil> <nil>"),
        (([1, "a", None], {"b": 1, "a": [2.5]}), "[1 a <nil>] map[a:[2.5] b:1]"),
        ((b"ab", True, 1e6, 2.0, -0.0), "[97 98] true 1e+06 2 -0"),
        ((StringSlice(["x"]), StringMap(k="v")), "[x] map[k:v]"),
        ((Uint8(200), Float32(to_single(0.1))), "200 0.1"),
        ((complex(1, -2),), "(1-2i)"),
        ((NilPointer("*x.Y"),), "<nil>"),
    ],
)
def test_print_puts_blanks_only_between_what_is_no_string(
    values: tuple[Any, ...], text: str
) -> None:
    assert sprint(*values) == text


def test_println_puts_blanks_everywhere() -> None:
    assert sprintln("a", 1, "b") == "a 1 b\n"


def test_a_string_method_decides_how_a_value_prints() -> None:
    class Version(GoStruct):
        go_type = "semver.Version"
        go_fields: ClassVar = {"Major": "int"}
        Major = 3

    Version.go_methods = {"String": Function.declare("String", lambda version: f"v{version.Major}")}

    assert to_text([Version()]) == "[v3]"
    assert sprintf("%s %q %d", Version(), Version(), Version()) == 'v3 "v3" {3}'


def test_maps_print_in_the_order_of_their_keys() -> None:
    keys = InterfaceMap({"b": 1, 10: 2, None: 3, 2: 4, "a": 5, 1.5: 6})

    assert to_text(keys) == "map[<nil>:3 a:5 b:1 2:4 10:2 1.5:6]"
    assert to_text({"é": 1, "z": 2, "\udcff": 3, "\U0001f600": 4}) == (
        "map[z:2 é:1 \U0001f600:4 \udcff:3]"
    )


def test_a_value_that_holds_itself_does_not_print() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(GoError, match="nested more than"):
        sprint(loop)


def test_a_value_that_is_small_but_prints_large_is_an_error() -> None:
    value: list[Any] = ["x"]
    for _ in range(60):
        value = [value, value]

    with pytest.raises(GoError, match="larger than 64 MiB"):
        sprint(value)


def test_text_has_a_limit() -> None:
    part = "x" * (MAX_TEXT // 4)

    with pytest.raises(GoError, match="larger than 64 MiB"):
        sprint(part, part, part, part, part)


# --- numbers --------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False))
def test_the_shortest_form_of_a_float_is_exact(number: float) -> None:
    text = format_float(number)

    assert math.isinf(number) or parse_float(text) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_form_of_a_single_is_exact_too(number: float) -> None:
    assert parse_float(format_float(number, bits=32), bits=32) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_hexadecimal_and_binary_forms_are_exact(number: float) -> None:
    mantissa, _, power = format_float(number, "b").partition("p")

    assert parse_float(format_float(number, "x")) == number
    assert float(int(mantissa)) * 2.0 ** max(int(power), -1074) == number or abs(number) > 1e300


@pytest.mark.parametrize(
    ("number", "verb", "precision", "text"),
    [
        (1e20, "g", -1, "1e+20"),
        (999999.0, "g", -1, "999999"),
        (0.00001, "g", -1, "1e-05"),
        (5e-324, "g", -1, "5e-324"),
        (1.5, "x", 0, "0x1p+01"),
        (2.5, "x", 0, "0x1p+01"),
        (1.999999, "x", 1, "0x1.0p+01"),
        (5e-324, "x", -1, "0x1p-1074"),
        (0.0, "x", 3, "0x0.000p+00"),
        (123456.789, "E", 2, "1.23E+05"),
        (math.inf, "f", 2, "+Inf"),
        (-math.inf, "g", -1, "-Inf"),
        (math.nan, "e", 3, "NaN"),
    ],
)
def test_floats_are_formatted_as_strconv_does(
    number: float, verb: str, precision: int, text: str
) -> None:
    assert format_float(number, verb, precision) == text


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers_parse_in_every_base(number: int) -> None:
    sign, size = ("-" if number < 0 else ""), abs(number)

    assert parse_int(str(number)) == number
    for form in (f"{size:#x}", f"{size:#o}", f"{size:#b}", f"{size:_}"):
        assert parse_int(sign + form, base=0) == number


@pytest.mark.parametrize("text", ["", "+", "1_", "_1", "1__2", "0x", "0x_", "08", "1 ", "a", "١"])
def test_what_is_no_integer_is_an_error(text: str) -> None:
    with pytest.raises(GoError, match="invalid syntax"):
        parse_int(text, base=0)


@pytest.mark.parametrize("text", ["", ".", "1e", "0x1.8", "0x1p", "1_.5", "infinit", "1.5f", "١"])
def test_what_is_no_float_is_an_error(text: str) -> None:
    with pytest.raises(GoError, match="invalid syntax"):
        parse_float(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_int, "9223372036854775808"),
        (parse_int, "-" + "9" * 100_000),
        (parse_uint, "18446744073709551616"),
        (parse_float, "1e400"),
        (parse_float, "0x1p2000"),
        (lambda text: parse_int(text, bits=8), "128"),
        (lambda text: parse_float(text, bits=32), "1e39"),
    ],
)
def test_numbers_that_do_not_fit_are_errors(parse: Any, text: str) -> None:
    with pytest.raises(GoError, match="value out of range"):
        parse(text)


def test_unsigned_numbers_have_no_sign() -> None:
    with pytest.raises(GoError, match=r'strconv.ParseUint: parsing "-1": invalid syntax'):
        parse_uint("-1")


def test_booleans() -> None:
    assert [parse_bool(text) for text in ("1", "T", "false", "F")] == [True, True, False, False]
    with pytest.raises(GoError, match=r'strconv.ParseBool: parsing "yes": invalid syntax'):
        parse_bool("yes")


# --- quoting --------------------------------------------------------------------------------------


@given(go_strings)
def test_what_is_quoted_can_be_unquoted(text: str) -> None:
    assert unquote(quote(text)) == canonical(text)
    assert unquote(quote(text, ascii_only=True)) == canonical(text)
    assert quote(text, ascii_only=True).isascii()


@given(go_strings.filter(can_backquote))
def test_what_can_be_backquoted_stays_as_it_is(text: str) -> None:
    assert unquote(f"`{text}`") == text


@pytest.mark.parametrize(
    "literal", [r'"\q"', r'"\400"', r'"\u12"', r'"\ud800"', r'"\'"', r'"\U00110000"']
)
def test_malformed_literals_are_errors(literal: str) -> None:
    with pytest.raises(QuotingError):
        unquote(literal)


def test_floats_of_single_precision_round() -> None:
    assert to_single(0.1) == struct.unpack("f", struct.pack("f", 0.1))[0]


def test_a_map_tells_true_from_one() -> None:
    """Python's own maps do not, and YAML reads ``y`` as true."""
    keys = InterfaceMap({1: "int"})
    keys[True], keys[1.0] = "bool", "float"

    assert to_text(keys) == "map[1:int 1:float true:bool]"
    assert (keys[1], keys[True], keys.get(1.0), keys.get(False)) == ("int", "bool", "float", None)
