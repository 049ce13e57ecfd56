"""spew_sdump, spew_sprintf: values with their types, for whoever debugs a template (go-spew)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leasekeeper.templates.functions.deep import check_extent
from leasekeeper.templates.functions.documents import is_nil
from leasekeeper.templates.golang.formatting import Flags
from leasekeeper.templates.golang.functions import ANY, FunctionTable
from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.ordering import sorted_keys
from leasekeeper.templates.golang.printer import Printer
from leasekeeper.templates.golang.printf import sprintf
from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import (
    NIL_CONTAINERS,
    GoStruct,
    NilPointer,
    byte_length,
    element_type,
    is_float,
    kind,
    type_name,
)

functions = FunctionTable()

_NIL = "(interface {}) <nil>"


@functions.add("spew_sdump", "...interface {}")
def spew_sdump(*values: Any) -> str:
    """Return *values* over many lines, each with its type."""
    check_extent(list(values))
    return "".join(f"{_dump(value, 0)}\n" for value in values)


def _dump(value: Any, depth: int) -> str:
    if value is None:
        return _NIL
    if type(value) is NilPointer:
        return f"({value.go_type})(<nil>)"
    if type(value) in NIL_CONTAINERS:
        return f"({type_name(value)}) <nil>"
    if getattr(value, "go_pointer", False):
        # Go shows the address as well, which says nothing here.
        return f"({type_name(value)})({_dump_content(value, depth)})"
    return f"({type_name(value)}) {_dump_content(value, depth)}"


def _dump_content(value: Any, depth: int) -> str:
    kind_of = kind(value)
    if isinstance(value, GoStruct):
        members = [(f"{name}: ", getattr(value, name)) for name in value.go_fields]
        return _block(members, depth) if members else sprint(value)
    if kind_of == "slice":
        size = f"(len={len(value)} cap={len(value)}) " if value else ""
        return size + _block([("", item) for item in value], depth)
    if kind_of == "map":
        size = f"(len={len(value)}) " if value else ""
        members = [(f"{_dump(key, depth + 1)}: ", value[key]) for key in sorted_keys(value)]
        return size + _block(members, depth)
    if kind_of == "string":
        size = f"(len={byte_length(value)}) " if value else ""
        return size + (str(value) if type_name(value) == "json.Number" else quote(value))
    return _scalar(value)


def _block(members: list[tuple[str, Any]], depth: int) -> str:
    indent = " " * (depth + 1)
    lines = [f"{indent}{label}{_dump(value, depth + 1)}" for label, value in members]
    body = ",\n".join(lines) + "\n" if lines else ""
    return f"{{\n{body}{' ' * depth}}}"


def _scalar(value: Any) -> str:
    return format_float(value) if is_float(value) else sprint(value)


@functions.add("spew_sprintf", "string", "...interface {}")
def spew_sprintf(template: str, *values: Any) -> str:
    """Return `printf` with ``%v`` and ``%#v`` as spew writes them: ``(int)1``."""
    check_extent(list(values))
    return sprintf(template, *map(_State, values), printer=_SpewPrinter())


@dataclass(frozen=True, slots=True)
class _State(GoStruct):
    """What spew hands to fmt in place of each value, so that no value is a width."""

    go_type = "spew.formatState"
    go_pointer = True

    value: Any


class _SpewPrinter(Printer):
    """Writes ``%v`` as spew does, and every other verb as fmt does."""

    __slots__ = ()

    def argument(self, value: _State, verb: str) -> None:
        """Write what *value* stands for."""
        flags = self.flags
        if verb == "v":
            self.write(_compact(value.value, typed=flags.sharp_v))
        elif verb in "Tpw":
            super().argument(value, verb)
        else:
            self.write(sprintf(f"%{_marks(flags)}{verb}", value.value))


def _marks(flags: Flags) -> str:
    """Return the flags as they are written between ``%`` and the verb."""
    chosen = ((flags.zero, "0"), (flags.minus, "-"), (flags.plus, "+"), (flags.sharp, "#"))
    marks = "".join(mark for is_set, mark in (*chosen, (flags.space, " ")) if is_set)
    width = "" if flags.width is None else str(flags.width)
    return marks + width + ("" if flags.precision is None else f".{flags.precision}")


def _compact(value: Any, *, typed: bool) -> str:
    if is_nil(value) or type(value) in NIL_CONTAINERS:
        return (
            f"({type_name(value) if value is not None else 'interface {}'})<nil>"
            if typed
            else "<nil>"
        )
    star = "*" if getattr(value, "go_pointer", False) else ""
    prefix = f"({type_name(value)})" if typed else f"<{star}>" * bool(star)
    kind_of = kind(value)
    if isinstance(value, GoStruct) and value.go_fields:
        members = [
            f"{f'{name}:' if typed else ''}{_compact(getattr(value, name), typed=typed)}"
            for name in value.go_fields
        ]
        return f"{prefix}{{{' '.join(members)}}}"
    # Elements show their types only where the container does not say them.
    typed_keys = typed and getattr(value, "key", "") == ANY
    typed = typed and kind_of in {"slice", "map"} and element_type(value) == ANY
    if kind_of == "slice":
        items = [_compact(item, typed=typed) for item in value]
        return f"{prefix}[{' '.join(items)}]"
    if kind_of == "map":
        pairs = [
            f"{_compact(key, typed=typed_keys)}:{_compact(value[key], typed=typed)}"
            for key in sorted_keys(value)
        ]
        return f"{prefix}map[{' '.join(pairs)}]"
    return prefix + (str(value) if kind_of == "string" else _scalar(value))
