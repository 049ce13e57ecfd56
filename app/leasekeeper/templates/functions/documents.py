"""What the writers of JSON, YAML and TOML have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.numbers import parse_int
from leasekeeper.templates.golang.values import GoInteger, GoStruct, NilPointer
from leasekeeper.vault.response import JsonNumber


class TextStruct(GoStruct):
    """A struct that is one text in every document (``encoding.TextMarshaler`` in Go)."""

    __slots__ = ()
    go_literal: ClassVar[bool] = False
    """Whether YAML and TOML have a literal for it, without quotes, as they have for dates."""

    def marshal_text(self) -> str:
        """Return the text."""
        raise NotImplementedError


def is_nil(value: Any) -> bool:
    """Whether *value* is nil or a nil pointer."""
    return value is None or type(value) is NilPointer


def is_span(value: Any) -> bool:
    """Whether *value* is a span of time, which YAML and TOML hold as a text, and JSON does not."""
    return isinstance(value, GoInteger) and value.go_type == "time.Duration"


def number_of_vault(text: JsonNumber) -> int | float:
    """Return a number as Vault sent it as an int64 where it is one, else as a float64."""
    try:
        return parse_int(text)
    except GoError:
        return float(text)


def struct_members(value: GoStruct) -> list[tuple[str, Any]]:
    """Return the fields of a struct with their values; what Go never filled is None."""
    members = [(name, getattr(value, name)) for name in value.go_fields]
    return [(name, None if _is_empty(member) else member) for name, member in members]


def _is_empty(value: Any) -> bool:
    # Vault's client leaves slices and maps nil when the answer has none, and nil is not [] in JSON.
    return isinstance(value, (list, dict)) and not value
