"""Functions on text: case, trimming, splitting, joining, indenting."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from leasekeeper.templates.golang.functions import FunctionTable, GoError, check_length
from leasekeeper.templates.golang.values import StringMap, StringSlice, canonical

functions = FunctionTable()

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
SPACE += "\u200a\u2028\u2029\u202f\u205f\u3000"
"""What Go calls white space; Python's own idea of it has four control characters more."""

_STRAY = re.compile("[\ud800-\udfff]")
_MID_WORD = frozenset(".:'·‘’․﹒＇．﹕：՟״")
_WORD_CATEGORIES = ("L", "M", "Nd", "Nl", "Pc", "Cf")


@functions.add("toUpper", "string")
def to_upper(text: str) -> str:
    """Return *text* in upper case, character by character: ß has none and stays."""
    if text.isascii():
        return text.upper()
    return "".join(map(upper, _STRAY.sub("\ufffd", text)))


@functions.add("toLower", "string")
def to_lower(text: str) -> str:
    """Return *text* in lower case, character by character."""
    if text.isascii():
        return text.lower()
    # Only U+0130 becomes two characters in Python; Go keeps the first of them.
    return "".join(char.lower()[0] for char in _STRAY.sub("\ufffd", text))


def upper(char: str) -> str:
    """Return the single upper-case character of *char*, or *char* if there is none."""
    for candidate in (char.upper(), char.title()):
        if len(candidate) == 1:
            return candidate
    return char


@functions.add("toTitle", "string")
def to_title(text: str) -> str:
    """Return *text* with the first cased letter of every word in title case."""
    parts = []
    inside = previous_mid = False
    for char in text:
        mid = char in _MID_WORD
        if char.islower() or char.isupper() or char.istitle():
            parts.append(char if inside else char.title())
            inside = True
        else:
            parts.append(char)
            inside = inside and (mid or _continues_word(char)) and not (mid and previous_mid)
        previous_mid = mid
    return "".join(parts)


def _continues_word(char: str) -> bool:
    ideograph = "\u3041" <= char <= "\u9fff"  # every one is a word of its own
    return not ideograph and unicodedata.category(char).startswith(_WORD_CATEGORIES)


@functions.add("trim", "string", "string")
def trim(characters: str, text: str) -> str:
    """Return *text* without any of *characters* at both ends."""
    return text.strip(characters) if characters else text


@functions.add("trimSpace", "string")
def trim_space(text: str) -> str:
    """Return *text* without white space at both ends."""
    return text.strip(SPACE)


@functions.add("trimPrefix", "string", "string")
def trim_prefix(prefix: str, text: str) -> str:
    """Return *text* without *prefix*."""
    return text.removeprefix(prefix)


@functions.add("trimSuffix", "string", "string")
def trim_suffix(suffix: str, text: str) -> str:
    """Return *text* without *suffix*."""
    return text.removesuffix(suffix)


@functions.add("replaceAll", "string", "string", "string")
def replace_all(old: str, new: str, text: str) -> str:
    """Return *text* with *new* for every *old*."""
    return canonical(replaced(text, old, new))


def replaced(text: str, old: str, new: str) -> str:
    """Return *text* with *new* for every *old*.

    :raises TextTooLarge: if that is too long.
    """
    if len(new) > len(old):
        check_length(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def split_text(text: str, separator: str) -> list[str]:
    """Return the parts of *text*; an empty separator splits it into characters."""
    return text.split(separator) if separator else list(text)


@functions.add("split", "string", "string")
def split(separator: str, text: str) -> list[str]:
    """Return the parts of *text* without the white space around all of it."""
    text = trim_space(text)
    return StringSlice(split_text(text, separator) if text else ())


@functions.add("splitToMap", "string", "string", "string")
def split_to_map(separator: str, assignment: str, text: str) -> dict[str, str]:
    """Return the ``key=value`` parts of *text*; parts without *assignment* are left out."""
    pairs = StringMap()
    text = trim_space(text)
    for part in split_text(text, separator) if text else ():
        if assignment in part:
            key, _, value = part.partition(assignment) if assignment else ("", "", part)
            pairs[key] = value
    return pairs


@functions.add("join", "string", "[]string")
def join(separator: str, parts: list[str]) -> str:
    """Return *parts* with *separator* between them."""
    return canonical(joined(separator, parts))


def joined(separator: str, parts: Sequence[str]) -> str:
    """Return *parts* with *separator* between them.

    :raises TextTooLarge: if that is too long.
    """
    check_length(sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0))
    return separator.join(parts)


@functions.add("indent", "int", "string")
def indent(spaces: int, text: str) -> str:
    """Return *text* with every line that is not empty moved right by *spaces*."""
    if spaces < 0:
        msg = "indent value must be a positive integer"
        raise GoError(msg)
    check_length(len(text) + spaces * (text.count("\n") + 1))
    return re.sub(r"(?m)^(?=[^\n])", " " * spaces, text)
