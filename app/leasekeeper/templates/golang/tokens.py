"""The pieces of a template's text, and places in it."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import NamedTuple

from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import encode

_LONG = 10


class TokenKind(IntEnum):
    """What a token is. Keywords come last, from DOT on."""

    ERROR = auto()
    EOF = auto()
    TEXT = auto()
    LEFT_DELIM = auto()
    RIGHT_DELIM = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    CHAR = auto()
    BOOL = auto()
    CHAR_CONSTANT = auto()
    COMPLEX = auto()
    NUMBER = auto()
    STRING = auto()
    RAW_STRING = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    DOT = auto()
    BLOCK = auto()
    BREAK = auto()
    CONTINUE = auto()
    DEFINE = auto()
    ELSE = auto()
    END = auto()
    IF = auto()
    NIL = auto()
    RANGE = auto()
    TEMPLATE = auto()
    WITH = auto()


class Token(NamedTuple):
    """A piece of the text. *position* is where it starts; if it is *spaced*, a blank follows."""

    kind: TokenKind
    position: int
    value: str
    spaced: bool = False

    def describe(self) -> str:
        """Return the token as syntax errors name it."""
        if self.kind is TokenKind.EOF:
            return "EOF"
        if self.kind is TokenKind.ERROR:
            return self.value
        if self.kind >= TokenKind.DOT:
            return f"<{self.value}>"
        if len(encode(self.value)) > _LONG:
            return quote(self.value[:_LONG]) + "..."
        return quote(self.value)


class Position(NamedTuple):
    """A place in a template: the line counts from 1, the column counts bytes from 0."""

    line: int
    column: int

    @classmethod
    def at(cls, text: str, index: int) -> Position:
        """Return the place of the character *index* of *text*."""
        start = text.rfind("\n", 0, index) + 1
        return cls(text.count("\n", 0, index) + 1, len(encode(text[start:index])))
