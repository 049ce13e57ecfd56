"""sprig's functions on text. Positions and lengths count bytes, as in Go."""

from __future__ import annotations

import random
from typing import Any

from leasekeeper.templates.functions.casting import to_text, to_texts
from leasekeeper.templates.functions.texts import (
    SPACE,
    joined,
    replace_all,
    replaced,
    split_text,
    trim,
    trim_prefix,
    trim_space,
    trim_suffix,
)
from leasekeeper.templates.golang.functions import FunctionTable, GoError, check_length
from leasekeeper.templates.golang.printing import sprint
from leasekeeper.templates.golang.quoting import quote as go_quote
from leasekeeper.templates.golang.values import StringMap, StringSlice, canonical, decode, encode

functions = FunctionTable()

for _name, _call in (("sprig_trim", trim_space),):
    functions.add(_name, "string")(_call)

for _name, _pair in (
    ("sprig_trimAll", trim),
    ("sprig_trimall", trim),
    ("sprig_trimPrefix", trim_prefix),
    ("sprig_trimSuffix", trim_suffix),
):
    functions.add(_name, "string", "string")(_pair)

functions.add("sprig_replace", "string", "string", "string")(replace_all)
functions.add("sprig_toString", "interface {}")(to_text)
functions.add("sprig_toStrings", "interface {}")(to_texts)


@functions.add("sprig_hello")
def hello() -> str:
    """Return a greeting."""
    return "Hello!"


# --- questions --------------------------------------------------------------------------------


@functions.add("sprig_contains", "string", "string")
def contains(part: str, text: str) -> bool:
    """Whether *part* is in *text*."""
    return part in text


@functions.add("sprig_hasPrefix", "string", "string")
def has_prefix(prefix: str, text: str) -> bool:
    """Whether *text* starts with *prefix*."""
    return text.startswith(prefix)


@functions.add("sprig_hasSuffix", "string", "string")
def has_suffix(suffix: str, text: str) -> bool:
    """Whether *text* ends with *suffix*."""
    return text.endswith(suffix)


# --- cutting ----------------------------------------------------------------------------------


@functions.add("sprig_trunc", "int", "string")
def trunc(length: int, text: str) -> str:
    """Return the first *length* bytes of *text*, or the last ones if it is negative."""
    data = encode(text)
    if length >= 0:
        return decode(data[:length])
    return decode(data[length:]) if len(data) + length > 0 else text


@functions.add("sprig_substr", "int", "int", "string")
def substr(start: int, end: int, text: str) -> str:
    """Return the bytes from *start* to *end*; a negative bound is none.

    :raises GoError: if the bounds do not fit, with the words of Go's panic.
    """
    data = encode(text)
    if start < 0:
        return decode(_slice(data, 0, end, shown="", length=f" with length {len(data)}"))
    if end < 0 or end > len(data):
        return decode(_slice(data, start, len(data), shown=str(start), length=""))
    return decode(_slice(data, start, end, shown=str(start), length=""))


def _slice(data: bytes, start: int, end: int, *, shown: str, length: str) -> bytes:
    if not 0 <= start <= end <= len(data):
        suffix = length if end > len(data) else ""
        msg = f"runtime error: slice bounds out of range [{shown}:{end}]{suffix}"
        raise GoError(msg)
    return data[start:end]


@functions.add("sprig_abbrev", "int", "string")
def abbrev(width: int, text: str) -> str:
    """Return *text* cut to *width* bytes, with three dots at its end."""
    return text if width < 4 else _abbreviate(text, 0, width)


@functions.add("sprig_abbrevboth", "int", "int", "string")
def abbrev_both(left: int, width: int, text: str) -> str:
    """Return *width* bytes of *text* from about *left* on, with dots where it was cut."""
    return text if width < 4 or (left > 0 and width < 7) else _abbreviate(text, left, width)


def _abbreviate(text: str, left: int, width: int) -> str:
    data = encode(text)
    if len(data) <= width:
        return text
    left = min(left, len(data))
    left = min(left, len(data) - (width - 3)) if len(data) - left < width - 3 else left
    if left <= 4:
        return decode(data[: width - 3]) + "..."
    if width < 7:
        return ""
    if left + width - 3 < len(data):
        return "..." + _abbreviate(decode(data[left:]), 0, width - 3)
    return "..." + decode(data[len(data) - (width - 3) :])


@functions.add("sprig_nospace", "string")
def nospace(text: str) -> str:
    """Return *text* without white space. Bytes are taken for characters where any is removed."""
    kept = [char for char in _bytes_as_characters(text) if char not in SPACE]
    return text if len(kept) == len(encode(text)) else "".join(kept)


@functions.add("sprig_initials", "string")
def initials(text: str) -> str:
    """Return the first byte of every word."""
    chars = _bytes_as_characters(text)
    gaps = " " + chars[:-1]
    pairs = zip(gaps, chars, strict=True) if chars else ()
    return "".join(char for gap, char in pairs if gap in SPACE and char not in SPACE)


def _bytes_as_characters(text: str) -> str:
    return encode(text).decode("latin-1")


# --- composing --------------------------------------------------------------------------------


@functions.add("sprig_repeat", "int", "string")
def repeat(count: int, text: str) -> str:
    """Return *text* *count* times."""
    _check_repeat(count)
    if count * len(text) > _LONGEST:
        msg = f"strings: Repeat makes a text beyond {_LONGEST >> 20} MiB"
        raise GoError(msg)
    return canonical(text * count)


_LONGEST = 64 << 20  # characters; a typing error must not take the task's memory


def _check_repeat(count: int) -> None:
    if count < 0:
        msg = "strings: negative Repeat count"
        raise GoError(msg)


@functions.add("sprig_indent", "int", "string")
def indent(spaces: int, text: str) -> str:
    """Return *text* with *spaces* before every line, empty ones too."""
    pad = repeat(spaces, " ")
    return pad + replaced(text, "\n", f"\n{pad}")


@functions.add("sprig_nindent", "int", "string")
def nindent(spaces: int, text: str) -> str:
    """Return `indent` after a line break."""
    return "\n" + indent(spaces, text)


@functions.add("sprig_wrap", "int", "string")
def wrap(width: int, text: str) -> str:
    """Return *text* broken into lines of *width* bytes where words allow it."""
    return _wrap(text, width, "\n", cut=False)


@functions.add("sprig_wrapWith", "int", "string", "string")
def wrap_with(width: int, separator: str, text: str) -> str:
    """Return *text* broken by *separator* after *width* bytes, long words too."""
    return _wrap(text, width, separator or "\n", cut=True)


def _wrap(text: str, width: int, separator: str, *, cut: bool) -> str:
    data, line_break, width = encode(text), encode(separator), max(width, 1)
    out: list[bytes] = []
    at = 0
    while len(data) - at > width:
        if data[at : at + 1] == b" ":
            at += 1
            continue
        space = data.rfind(b" ", at, at + width + 1)
        if space < 0 and cut:
            out += [data[at : at + width], line_break]
            at += width
            check_length(len(out) // 2 * len(line_break))
            continue
        if space < 0:
            space = data.find(b" ", at + width)
        if space < 0:
            break
        out += [data[at:space], line_break]
        at = space + 1
        check_length(len(out) // 2 * len(line_break))
    return decode(b"".join([*out, data[at:]]))


@functions.add("sprig_quote", "...interface {}")
def quote(*values: Any) -> str:
    """Return *values* in double quotes, without nil."""
    return " ".join(go_quote(to_text(value)) for value in values if value is not None)


@functions.add("sprig_squote", "...interface {}")
def squote(*values: Any) -> str:
    """Return *values* in single quotes, without nil; nothing is escaped."""
    return " ".join(f"'{sprint(value)}'" for value in values if value is not None)


@functions.add("sprig_cat", "...interface {}")
def cat(*values: Any) -> str:
    """Return *values* with blanks between them, without nil."""
    return " ".join(sprint(value) for value in values if value is not None)


@functions.add("sprig_plural", "string", "string", "int")
def plural(one: str, many: str, count: int) -> str:
    """Return *one* if *count* is 1, else *many*."""
    return one if count == 1 else many


@functions.add("sprig_shuffle", "string")
def shuffle(text: str) -> str:
    """Return the characters of *text* in random order."""
    return "".join(random.sample(text, len(text)))


# --- lists of texts ---------------------------------------------------------------------------


@functions.add("sprig_join", "string", "interface {}")
def join(separator: str, value: Any) -> str:
    """Return the elements of a list with *separator* between them."""
    return canonical(joined(separator, to_texts(value)))


@functions.add("sprig_splitList", "string", "string")
def split_list(separator: str, text: str) -> list[str]:
    """Return the parts of *text*."""
    return StringSlice(split_text(text, separator))


@functions.add("sprig_split", "string", "string")
def split(separator: str, text: str) -> dict[str, str]:
    """Return the parts of *text* as a map with the keys _0, _1, ..."""
    return _numbered(split_text(text, separator))


@functions.add("sprig_splitn", "string", "int", "string")
def splitn(separator: str, count: int, text: str) -> dict[str, str]:
    """Return at most *count* parts of *text* as `split` does."""
    parts = split_text(text, separator)
    if 0 <= count < len(parts):
        rest = [separator.join(parts[count - 1 :])] if count else []
        parts = parts[: max(count - 1, 0)] + rest
    return _numbered(parts)


def _numbered(parts: list[str]) -> dict[str, str]:
    return StringMap((f"_{at}", part) for at, part in enumerate(parts))
