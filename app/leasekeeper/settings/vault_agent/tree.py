"""What both syntaxes become: blocks of items, each of which knows its line.

Values may be secrets, so they stay out of `repr`, and `Broken` never repeats any of the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Far above the 30,000 of two thousand templates; it bounds what a hostile megabyte costs.
MOST_VALUES = 200_000


class Broken(Exception):
    """The text cannot be read from *line* on; the message says why and shows none of it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Literal:
    """A value. *written* is how a number was spelled: ``0640`` is 416."""

    value: str | int | float | bool | None = field(repr=False)
    line: int
    written: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list in brackets."""

    nodes: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a block: ``key = value``, or ``key "label" { ... }`` with two *keys*."""

    keys: tuple[str, ...]
    node: Node
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """Items in braces, or a whole file."""

    items: tuple[Item, ...]
    line: int


Node = Literal | Sequence | Block
