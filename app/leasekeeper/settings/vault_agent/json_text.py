"""JSON as Vault Agent's configuration, with line numbers.

`json` knows no lines. As in HCL 1, a comma too many at the end of a list or an object is allowed.

Vault Agent turns JSON into HCL by a guess: an object that holds nothing but objects is taken for
a label, so that ``{"auto_auth": {"method": {...}}}`` alone fails there. Here the keys decide that
are known (see `stanzas`), so everything reads as it looks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder

from leasekeeper.settings.draft import MAX_DEPTH, is_text
from leasekeeper.settings.vault_agent.tree import (
    MOST_VALUES,
    Block,
    Broken,
    Item,
    Literal,
    Node,
    Sequence,
)

_SPACE = re.compile(r"[ \t\r\n]*+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?(?![0-9.eE])")
_WORD = re.compile(r"[a-z]{1,10}+")
_DECODER = JSONDecoder()
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_json(text: str) -> Block:
    """Return what *text* says.

    :raises Broken: if it is not JSON, or is nested too deeply, or too large.
    """
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._at = 0
        self._values = 0

    def read(self) -> Block:
        self._expect("{", "{ is needed")
        block = self._block(0)
        if self._peek():
            raise self._broken("nothing may stand behind the last }")
        return block

    def _node(self, depth: int) -> Node:
        char = self._peek()
        line = self._line()
        self._values += 1
        if self._values > MOST_VALUES:
            raise Broken(line, "has too many values")
        if depth >= MAX_DEPTH:
            raise Broken(line, "is nested too deeply")
        if char in ("{", "["):
            self._at += 1
            return self._block(depth + 1) if char == "{" else self._list(depth + 1)
        if char == '"':
            return Literal(self._string(), line)
        if match := _NUMBER.match(self._text, self._at):
            self._at = match.end()
            whole = match[1] is None and match[2] is None
            return Literal(int(match[0]) if whole else float(match[0]), line, match[0])
        if (match := _WORD.match(self._text, self._at)) and match[0] in _WORDS:
            self._at = match.end()
            return Literal(_WORDS[match[0]], line)
        raise self._broken('a value is needed: "text", a number, true, false, [ or {')

    def _block(self, depth: int) -> Block:
        line, items = self._line(), []
        while self._peek() != "}":
            at = self._line()
            if self._peek() != '"':
                raise self._broken('a key in "quotes" is needed, or }')
            key = self._string()
            self._expect(":", "a key needs : and a value behind it")
            items.append(Item((key,), self._node(depth), at))
            self._comma("}")
        self._at += 1
        return Block(tuple(items), line)

    def _list(self, depth: int) -> Sequence:
        line, nodes = self._line(), []
        while self._peek() != "]":
            nodes.append(self._node(depth))
            self._comma("]")
        self._at += 1
        return Sequence(tuple(nodes), line)

    def _comma(self, closing: str) -> None:
        if self._peek() != closing:
            self._expect(",", f"a comma or {closing} is needed")

    def _expect(self, char: str, otherwise: str) -> None:
        if self._peek() != char:
            raise self._broken(otherwise)
        self._at += 1

    def _peek(self) -> str:
        """Return the next character that is not blank, or nothing at the end."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _string(self) -> str:
        try:
            text, end = _DECODER.raw_decode(self._text, self._at)
        except JSONDecodeError as error:
            self._at = min(error.pos, len(self._text))
            raise self._broken("text ends in its own line and has a few known escapes") from None
        if not is_text(text):
            raise self._broken("half of a surrogate pair is no text")
        self._at = end
        return str(text)

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1

    def _broken(self, text: str) -> Broken:
        return Broken(self._line(), f"is not valid JSON: {text}")
