"""``print``, ``println``, ``printf`` and what an action shows."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.printer import (
    Printer,
    address,
    describing_method,
)
from leasekeeper.templates.golang.printf import sprintf
from leasekeeper.templates.golang.values import GoStruct, kind

__all__ = [
    "address",
    "shown",
    "sprint",
    "sprintf",
    "sprintln",
    "to_text",
]


def sprint(*values: Any, through_pointers: bool = False) -> str:
    """Return *values* as ``print`` shows them: blanks only between operands that are no strings.

    *through_pointers* shows what pointers point to, as an action does.
    """
    printer = Printer()
    after_string = True
    for value in values:
        is_string = kind(value) == "string"
        if not is_string and not after_string:
            printer.write(" ")
        if through_pointers and _is_bare_struct(value):
            printer.struct(value, "v", 0)
        else:
            printer.argument(value, "v")
        after_string = is_string
    return printer.text()


def sprintln(*values: Any) -> str:
    """Return *values* with blanks between all of them and a newline at the end."""
    printer = Printer()
    for at, value in enumerate(values):
        if at:
            printer.write(" ")
        printer.argument(value, "v")
    printer.write("\n")
    return printer.text()


def to_text(value: Any) -> str:
    """Return *value* as ``%v`` shows it."""
    shape = type(value)
    if shape is str:
        return str(value)
    if shape is int:
        return str(value)
    if shape is float:
        return format_float(value)
    printer = Printer()
    printer.argument(value, "v")
    return printer.text()


def shown(value: Any) -> str:
    """Return *value* as an action prints it: of a pointer, what it points to."""
    if _is_bare_struct(value):
        printer = Printer()
        printer.struct(value, "v", 0)
        return printer.text()
    return to_text(value)


def _is_bare_struct(value: Any) -> bool:
    return isinstance(value, GoStruct) and describing_method(value) is None
