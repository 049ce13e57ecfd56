r"""HCL 1 as Vault Agent reads it.

A parser of our own instead of python-hcl2, because that is for HCL 2, which is another language.
Version 8.1 on what agents' files contain: it reads the literal ``0640`` as 640, which would set
wrong file modes without a word; it refuses quoted keys, commas between the keys of a block,
quotes inside of ``${}``, and ``%{`` in text; it keeps quotes, escapes and heredocs as they are
written. It adds 49 MB and four tenths of a second to the start of a sidecar; this parser adds a
millisecond, and it knows the lines that our messages name.

What is special about HCL 1, all of it tried on the real agent:

- numbers with a leading zero are octal; ``-`` belongs to the number;
- between ``${`` and its ``}`` text is copied as it stands, quotes and line breaks included, and
  nothing is interpolated;
- a heredoc ends with a line of blanks and its word. After ``<<`` those blanks belong to the text.
  After ``<<-`` there must be some, and they are taken off every line, but only if every line, empty
  ones too, begins with them;
- commas between the items of an object are allowed and mean nothing, line breaks neither.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from leasekeeper.settings.draft import MAX_DEPTH
from leasekeeper.settings.vault_agent.tree import (
    MOST_VALUES,
    Block,
    Broken,
    Item,
    Literal,
    Node,
    Sequence,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SKIPPED = re.compile(r"(?:[ \t\r\n]++|\#[^\n]*+|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_TOKEN = re.compile(
    r"""
    (?P<word> [^\W\d][\w.-]*+ )
  | (?P<number> -?(?: 0[xX][0-9a-fA-F]++
                    | [0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?
                    | \.[0-9]++(?:[eE][+-]?[0-9]++)? ) )
  | (?P<sign> [\[\]{},=] )
  | (?P<quote> " )
  | (?P<heredoc> <<(?P<indented>-?)(?P<ending>\w++)\n )
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"\w")
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf'\\(?:([abfnrtv\\"])|([0-3][0-7]{{2}})|x({_HEX}{{2}})|u({_HEX}{{4}})|U({_HEX}{{8}}))'
)
_PLAIN = re.compile(r'[^"\\$\n]++')
_IN_BRACES = re.compile(r"[^{}\\]++")
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WHOLE = re.compile("-?[0-9]+")
_MAX_INT = 2**63 - 1
_LONGEST_NUMBER = 40


class _Token(NamedTuple):
    kind: str
    """A sign itself, or ``word``, ``text``, ``number``, ``end``."""
    line: int
    text: str


def read_hcl(text: str) -> Block:
    """Return what *text* says.

    :raises Broken: if it is not HCL, or is nested too deeply, or too large.
    """
    return _Parser(_Lexer(text.replace("\r\n", "\n")).tokens()).read()


class _Lexer:
    """Cuts a text into tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._at = 0

    def tokens(self) -> Iterator[_Token]:
        while True:
            self._skip()
            line = self._line(self._at)
            if self._at == len(self._text):
                yield _Token("end", line, "")
                return
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                raise Broken(line, self._strange())
            self._at = match.end()
            kind = str(match.lastgroup)
            if kind == "sign":
                yield _Token(match[0], line, "")
            elif kind == "quote":
                yield _Token("text", line, self._quoted(line))
            elif match["heredoc"]:
                yield _Token("text", line, self._heredoc(match, line))
            elif kind == "number" and _WORD.match(self._text, self._at):
                raise Broken(line, 'a value that is no plain number, such as "5m", needs quotes')
            else:
                yield _Token(kind, line, match[0])

    def _line(self, at: int) -> int:
        return bisect_right(self._breaks, at - 1) + 1

    def _skip(self) -> None:
        match = _SKIPPED.match(self._text, self._at)
        assert match is not None
        self._at = match.end()

    def _strange(self) -> str:
        rest = self._text[self._at : self._at + 2]
        if rest == "/*":
            return "a comment that starts with /* needs */ at its end"
        if rest == "<<":
            return "a heredoc starts with << or <<-, a word, and nothing else in the line"
        if rest[0] == "'":
            return 'text stands in double quotes (")'
        if rest[0] == "$":
            return 'text needs quotes, "${" too'
        return "has a character that does not belong here"

    def _quoted(self, line: int) -> str:
        """Return the text up to the closing quote."""
        parts: list[str] = []
        while True:
            char = self._text[self._at : self._at + 1]
            if char == '"':
                self._at += 1
                return "".join(parts)
            if match := _PLAIN.match(self._text, self._at):
                parts.append(match[0])
                self._at = match.end()
            elif char == "\\":
                parts.append(self._escape())
            elif self._text.startswith("${", self._at):
                parts.append(self._in_braces(line))
            elif char == "$":
                parts.append(char)
                self._at += 1
            else:
                raise Broken(line, "text in quotes ends in its own line; is a quote missing?")

    def _escape(self) -> str:
        match = _ESCAPE.match(self._text, self._at)
        if match is None:
            text = r"a backslash in quotes is written \\; what has a meaning is \n, \" and the like"
            raise Broken(self._line(self._at), text)
        self._at = match.end()
        letter, octal, byte, short, long = match.groups()
        if letter:
            return _LETTERS.get(letter, letter)
        if octal or byte:
            # Single bytes of UTF-8, as in Go; what they make together is decoded with the rest.
            code = int(octal, 8) if octal else int(byte, 16)
            return chr(code) if code < 0x80 else chr(0xDC00 + code)
        code = int(short or long, 16)
        return chr(code) if code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd"

    def _in_braces(self, line: int) -> str:
        """Return everything from ``${`` to the brace that closes it."""
        start, depth = self._at, 1
        self._at += 2
        while depth:
            if match := _IN_BRACES.match(self._text, self._at):
                self._at = match.end()
            char = self._text[self._at : self._at + 1]
            if char == "\\":
                self._escape()
                continue
            if not char:
                raise Broken(line, "text with ${ needs a } behind it")
            depth += 1 if char == "{" else -1
            self._at += 1
        return self._text[start : self._at]

    def _heredoc(self, match: re.Match[str], line: int) -> str:
        # Line by line, not by one search: blanks in front of every line would make that slow.
        blank, word = ("+" if match["indented"] else "*"), re.escape(match["ending"])
        ending = re.compile(rf"([ \t\v\f\r]{blank}){word}\r*$")
        lines: list[str] = []
        while self._at < len(self._text):
            end = self._text.find("\n", self._at)
            end = len(self._text) if end < 0 else end
            content = self._text[self._at : end]
            self._at = min(end + 1, len(self._text))
            if found := ending.match(content):
                # The line break stays: the next token is in the next line.
                self._at = end
                return _heredoc_text(lines, found[1], indented=bool(match["indented"]))
            lines.append(content)
        text = "a heredoc needs its word alone in a line at its end"
        raise Broken(
            line, f"{text}, with blanks before it after <<-" if match["indented"] else text
        )


def _heredoc_text(lines: list[str], blanks: str, *, indented: bool) -> str:
    if indented and all(line.startswith(blanks) for line in lines):
        return "".join(f"{line[len(blanks) :]}\n" for line in lines)
    text = "".join(f"{line}\n" for line in lines)
    return text.rstrip(" \t") if indented else text + blanks


class _Parser:
    """Builds the tree; one token of look-ahead is enough."""

    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self._token = next(tokens)
        self._values = 0

    def read(self) -> Block:
        return self._items("end", 1, 0)

    def _take(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def _items(self, closing: str, line: int, depth: int) -> Block:
        """Read items up to and including *closing*; *line* is where they begin."""
        items: list[Item] = []
        while self._token.kind != closing:
            if self._token.kind == "end":
                raise Broken(line, "a { needs a } at its end")
            items.append(self._item(depth))
            if self._token.kind == ",":
                self._take()
        self._take()
        return Block(tuple(items), line)

    def _item(self, depth: int) -> Item:
        line, keys = self._token.line, []
        while self._token.kind in ("word", "text"):
            keys.append(self._take().text)
        token = self._token
        if not keys:
            raise Broken(token.line, _NO_KEY.get(token.kind, "the name of a key is needed"))
        if token.kind == "{":
            return Item(tuple(keys), self._node(depth), line)
        if token.kind != "=":
            raise Broken(line, "a key needs `=` and a value behind it, or a block in { }")
        if len(keys) > 1:
            raise Broken(line, "only one key may stand before `=`")
        self._take()
        return Item(tuple(keys), self._node(depth), line)

    def _node(self, depth: int) -> Node:
        token = self._take()
        self._values += 1
        if self._values > MOST_VALUES:
            raise Broken(token.line, "has too many values")
        if depth >= MAX_DEPTH:
            raise Broken(token.line, "is nested too deeply")
        if token.kind == "{":
            return self._items("}", token.line, depth + 1)
        if token.kind == "[":
            return self._list(token.line, depth + 1)
        if token.kind == "text":
            return Literal(_utf8(token), token.line)
        if token.kind == "number":
            return _number(token)
        if token.text in ("true", "false"):
            return Literal(token.text == "true", token.line)
        raise Broken(token.line, 'a value is needed: text in "quotes", a number, true or false')

    def _list(self, line: int, depth: int) -> Sequence:
        nodes: list[Node] = []
        while self._token.kind != "]":
            if self._token.kind == "end":
                raise Broken(line, "a [ needs a ] at its end")
            if self._token.kind == ",":
                self._take()
                continue
            nodes.append(self._node(depth))
            if self._token.kind not in (",", "]", "end"):
                raise Broken(self._token.line, "the items of a list need commas between them")
        self._take()
        return Sequence(tuple(nodes), line)


_NO_KEY = {
    "}": "this } closes nothing",
    "[": "a key is needed before a list",
    "{": "the name of a block is needed before its {",
}


def _utf8(token: _Token) -> str:
    r"""Return the text with the bytes of ``\x`` and ``\101`` put together to characters."""
    try:
        return token.text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise Broken(token.line, r"the bytes written with \x or as octals are not UTF-8") from None


def _number(token: _Token) -> Literal:
    text = token.text
    value: int | float
    if len(text) > _LONGEST_NUMBER:
        raise Broken(token.line, "the number is too large")
    if "x" in text.lower():
        value = int(text, 16)
    elif not _WHOLE.fullmatch(text):
        value = float(text)
    elif not text.lstrip("-").startswith("0"):
        value = int(text)
    elif set(text) <= set("-01234567"):
        value = int(text, 8)
    else:
        raise Broken(token.line, "a number that starts with 0 is octal and has no 8 or 9")
    if value in (math.inf, -math.inf) or (isinstance(value, int) and abs(value) > _MAX_INT):
        raise Broken(token.line, "the number is too large")
    return Literal(value, token.line, text)
