"""Go's string and character literals: quoting (package strconv) and its reverse."""

from __future__ import annotations

import re

from leasekeeper.templates.golang.values import canonical, encode

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}
_UNESCAPES = {escape[1]: char for char, escape in _ESCAPES.items()}
_ESCAPE = re.compile(
    r"""\\(?:
      ([abfnrtv\\'"])
    | x([0-9a-fA-F]{2})
    | u([0-9a-fA-F]{4})
    | U([0-9a-fA-F]{8})
    | ([0-7]{3})
    | (.?)
    )""",
    re.VERBOSE | re.DOTALL,
)
_REPLACEMENT = "\ufffd"
_MAX_RUNE = 0x10FFFF


class QuotingError(ValueError):
    """A literal is malformed; Go calls every kind of it ``invalid syntax``."""

    def __init__(self) -> None:
        super().__init__("invalid syntax")


def is_escaped_byte(char: str) -> bool:
    """Whether *char* stands for a byte that is not part of a UTF-8 character."""
    return "\udc80" <= char <= "\udcff"


def _escape(char: str, delimiter: str, *, ascii_only: bool) -> str:
    if char == delimiter:
        return "\\" + char
    if char in _ESCAPES:
        return _ESCAPES[char]
    if is_escaped_byte(char):
        return f"\\x{ord(char) - 0xDC00:02x}"
    code = ord(char)
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str, *, ascii_only: bool = False) -> str:
    """Return *text* as an interpreted Go string literal, as ``%q`` prints it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    escaped = (_escape(char, '"', ascii_only=ascii_only) for char in canonical(text))
    return f'"{"".join(escaped)}"'


def quote_rune(code: int, *, ascii_only: bool = False) -> str:
    """Return the character *code* as a Go character literal; invalid ones become U+FFFD."""
    valid = 0 <= code <= _MAX_RUNE and not 0xD800 <= code <= 0xDFFF
    char = chr(code) if valid else _REPLACEMENT
    return f"'{_escape(char, chr(39), ascii_only=ascii_only)}'"


def can_backquote(text: str) -> bool:
    """Whether *text* fits, unchanged, between backquotes on one line."""
    return not any(
        char in "`\x7f\ufeff" or (char < " " and char != "\t") or "\ud800" <= char <= "\udfff"
        for char in text
    )


def unquote(literal: str) -> str:
    """Return the text of a Go string literal in double quotes or backquotes.

    :raises QuotingError: if it is malformed.
    """
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    return canonical(_ESCAPE.sub(lambda match: _unescape(match, '"'), body))


def unquote_rune(literal: str) -> tuple[int, str]:
    """Return the first character of a character literal as a number, and what follows it.

    :raises QuotingError: if there is none, or its escape is malformed.
    """
    body = literal[1:]
    if body[:1] in ("", "'"):
        raise QuotingError
    if body[0] != "\\":
        code = 0xFFFD if is_escaped_byte(body[0]) else ord(body[0])
        return code, body[1:]
    match = _ESCAPE.match(body)
    if match is None:
        raise QuotingError
    char = _unescape(match, "'")
    code = ord(char) - 0xDC00 if is_escaped_byte(char) else ord(char)
    return code, body[match.end() :]


def _unescape(match: re.Match[str], delimiter: str) -> str:
    simple, byte, short, long, octal, _other = match.groups()
    if simple:
        if simple in "'\"" and simple != delimiter:
            raise QuotingError
        return _UNESCAPES.get(simple, simple)
    if byte or octal:
        value = int(byte, 16) if byte else int(octal, 8)
        if value > 0xFF:
            raise QuotingError
        return chr(value) if value < 0x80 else chr(0xDC00 + value)
    if short or long:
        code = int(short or long, 16)
        if code > _MAX_RUNE or 0xD800 <= code <= 0xDFFF:
            raise QuotingError
        return chr(code)
    raise QuotingError


def hexadecimal(text: str | bytes) -> str:
    """Return the bytes of *text* in lower-case hexadecimal."""
    return (text if isinstance(text, bytes) else encode(text)).hex()
