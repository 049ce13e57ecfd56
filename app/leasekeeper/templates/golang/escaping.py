"""``html``, ``js`` and ``urlquery``."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.quoting import is_escaped_byte
from leasekeeper.templates.golang.values import encode

NO_VALUE = "<no value>"

_HTML = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _text(values: tuple[Any, ...]) -> str:
    if len(values) == 1 and type(values[0]) is str:
        return values[0]
    printed = (NO_VALUE if value is None else value for value in values)
    return sprint(*printed, through_pointers=True)


def html(*values: Any) -> str:
    """Return the printed values with the characters special to HTML escaped."""
    return _text(values).translate(_HTML)


def js(*values: Any) -> str:
    """Return the printed values as they can stand inside a JavaScript string."""
    return "".join(map(_js_char, _text(values)))


def _js_char(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if char < " ":
        return f"\\u00{ord(char):02X}"
    if char < "\x80" or char.isprintable() or is_escaped_byte(char):
        return char
    return f"\\u{ord(char):04X}"


def urlquery(*values: Any) -> str:
    """Return the printed values escaped for the query of a URL."""
    return quote_plus(encode(_text(values)), safe="~")
