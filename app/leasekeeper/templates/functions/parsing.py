"""parseBool, parseInt, ...: text becomes a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.numbers import parse_bool, parse_float, parse_int, parse_uint
from leasekeeper.templates.golang.values import Int64, Uint64

functions = FunctionTable()

Value = TypeVar("Value")


def _parser(name: str, parse: Callable[[str], Value], empty: Value) -> Callable[[str], Value]:
    """Return *parse* as a template function: nothing is *empty*, and errors say its name."""

    def parser(text: str) -> Value:
        try:
            return parse(text) if text else empty
        except GoError as error:
            msg = f"{name}: {error}"
            raise GoError(msg) from None

    functions.add(name, "string")(parser)
    return parser


parse_int64 = _parser("parseInt", lambda text: Int64(parse_int(text)), Int64(0))
_parser("parseUint", lambda text: Uint64(parse_uint(text)), Uint64(0))
_parser("parseFloat", parse_float, 0.0)
_parser("parseBool", parse_bool, empty=False)
