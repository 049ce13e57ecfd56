"""sprig's functions on upper and lower case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from leasekeeper.templates.functions.texts import SPACE, to_lower, to_upper, upper
from leasekeeper.templates.golang.functions import FunctionTable

functions = FunctionTable()

_NO_CHARACTER = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8

functions.add("sprig_upper", "string")(to_upper)
functions.add("sprig_lower", "string")(to_lower)


def _characters(parts: Iterable[str]) -> str:
    """Return *parts* as Go writes them one character at a time: no byte stays that is none."""
    return _NO_CHARACTER.sub("\ufffd", "".join(parts))


@functions.add("sprig_title", "string")
def title(text: str) -> str:
    """Return *text* with the first letter of every word in title case."""
    before = " "
    parts = []
    for char in text:
        parts.append(_title(char) if _separates(before) else char)
        before = char
    return _characters(parts)


def _title(char: str) -> str:
    return char.title() if len(char.title()) == 1 else char


def _separates(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    return char in SPACE


@functions.add("sprig_untitle", "string")
def untitle(text: str) -> str:
    """Return *text* with the first letter of every word in lower case."""
    pairs = zip(" " + text[:-1], text, strict=True) if text else ()
    return _characters(char.lower()[0] if gap in SPACE else char for gap, char in pairs)


@functions.add("sprig_swapcase", "string")
def swapcase(text: str) -> str:
    """Return *text* with upper and lower case exchanged; words begin in title case."""
    parts = []
    start = True
    for char in text:
        if char.isupper() or char.istitle():
            parts.append(char.lower()[0])
            start = False
        elif char.islower():
            parts.append(_title(char) if start else upper(char))
            start = False
        else:
            parts.append(char)
            start = char in SPACE
    return _characters(parts)


@functions.add("sprig_camelcase", "string")
def camelcase(text: str) -> str:
    """Return ``some_words`` as ``SomeWords``; leading connectors stay."""
    body = text.lstrip(f"-_{SPACE}")
    head = text[: len(text) - len(body)]
    if not body:
        return head + head[-1:]  # sprig repeats the last connector of a text without words
    out = [head]
    current = upper(body[0])
    for char in body[1:]:
        before, current = current, char
        if not _connects(before) or _connects(char):
            out.append(before)
        else:
            current = upper(char)
    return _characters([*out, current])


def _connects(char: str) -> bool:
    return char in "-_" or char in SPACE


# One letter per character: space, connecting punctuation, other punctuation, Upper case,
# alphabetic, number, other.
_WORD = re.compile("[sc]+|p[pc]*|U+(?=Ua)|Ua+|U+|a+|n+|o+")
_UNIT = re.compile("[\udc80-\udcff]*([^\udc80-\udcff])(?:[\udc80-\udcff]+\\Z)?|[\udc80-\udcff]+")


@functions.add("sprig_snakecase", "string")
def snakecase(text: str) -> str:
    """Return ``HTTPServer2x`` as ``http_server_2x``."""
    return _Words(text, "_").joined()


@functions.add("sprig_kebabcase", "string")
def kebabcase(text: str) -> str:
    """Return ``HTTPServer2x`` as ``http-server-2x``."""
    return _Words(text, "-").joined()


class _Words:
    """The words of a text in camel case, and what they become with connectors between them.

    A word's kind is the class of its first character; space connects as well. Bytes that are no
    character belong to the one after them, at the end to the one before.
    """

    def __init__(self, text: str, connector: str) -> None:
        units = list(_UNIT.finditer(text))
        classes = "".join(_class_of(unit[1]) if unit[1] else "o" for unit in units)
        self._words = [
            (
                match[0][0].replace("s", "c"),
                "".join(unit[0] for unit in units[match.start() : match.end()]),
            )
            for match in _WORD.finditer(classes)
        ]
        self._connector = connector
        self._at = 0
        self._out: list[str] = []

    def joined(self) -> str:
        while self._at + 1 < len(self._words):
            previous = self._kind
            if previous == "n":
                self._take()
                self._take_all("an")
                self._connect_before("Uo")
            elif previous in "cp":
                self._take()
            else:
                self._take()
                self._after_letters()
        self._take_all("cpUano")
        return "".join(self._out)

    @property
    def _kind(self) -> str:
        return self._words[self._at][0] if self._at < len(self._words) else "end"

    def _take(self) -> None:
        kind_of, word = self._words[self._at]
        self._at += 1
        if kind_of == "c":
            word = "".join(self._connector if _connects(char) else char for char in word)
        if kind_of == "U":
            word = "".join(to_lower(char) if _class_of(char) == "U" else char for char in word)
        self._out.append(_characters(word) if kind_of in "Uc" else word)

    def _take_all(self, kinds: str) -> None:
        while self._kind in kinds:
            self._take()

    def _connect_before(self, kinds: str) -> None:
        if self._kind in kinds:
            self._out.append(self._connector)

    def _after_letters(self) -> None:
        """Decide whether a number belongs to the letters before it or to those after it."""
        if self._kind != "n":
            self._connect_before("Uao")
            return
        if self._at + 1 == len(self._words):
            return
        if self._words[self._at + 1][0] == "a":
            self._out.append(self._connector)
            self._take_all("an")
            self._connect_before("Uo")
        else:
            self._take()
            self._connect_before("Uano")


def _class_of(char: str) -> str:
    category = unicodedata.category(char)
    if _connects(char):
        return "s" if char in SPACE else "c"
    if category[0] == "P":
        return "p"
    if category == "Lu":
        return "U"
    if category[0] == "L":
        return "o" if "\u4e00" <= char <= "\u9fff" else "a"
    return "n" if category[0] == "N" else "o"
