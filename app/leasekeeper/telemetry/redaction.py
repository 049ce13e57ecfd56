"""Keeping live secrets out of everything that is written for people.

The first defence is that no code logs a value. This is the second: before a log line leaves the
process, every secret that is alive right now is replaced in it, wherever it came from (a library's
message, an error of the operating system, a traceback).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from math import isfinite
from typing import TypeVar

T = TypeVar("T")

MASK = "[redacted]"
# Shorter values would blank out half of every line ("true", "5432") and hide nothing.
SHORTEST = 6
# Wherever in a text a value of SHORTEST characters lies, one of its parts of so many begins at a
# multiple of the stride: only there does a text without secrets have to be looked at.
_PART = 3
_STRIDE = SHORTEST - _PART + 1
# A log line never holds more than this of one value; escaping megabytes would cost memory.
LONGEST = 64 * 1024
# Parts of a multi-line value (a PEM file, say) that can turn up alone.
SHORTEST_LINE = 20
# What is written the same way everywhere.
_PLAIN = re.compile(r"[ !#-&(-\[\]-~]*")


class Redactor:
    """Knows the secrets that are alive and masks them in text.

    Values belong to an owner (a secret's request, the token). A new set of values replaces the
    owner's set before last, so that a value which has just been rotated is still masked.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[frozenset[str], frozenset[str]]] = {}
        # How many owners have a value, and how long the values are that begin alike: with these
        # the time for a line does not grow with the number of secrets.
        self._owners: dict[str, int] = {}
        self._lengths: dict[str, dict[int, int]] = {}
        # Parts of what they begin with.
        self._parts: dict[str, int] = {}

    def protect(self, owner: Hashable, values: Iterable[str]) -> None:
        """Mask *values* from now on; they replace the owner's values before the last ones."""
        new = frozenset(form for value in values for form in _forms(value))
        last, before = self._values.get(owner, (frozenset(), frozenset()))
        if new == last:
            return
        self._values[owner] = (new, last)
        for value in new:
            self._remember(value)
        for value in before:
            self._forget(value)

    def _remember(self, value: str) -> None:
        _add(self._owners, value)
        if self._owners[value] > 1:
            return
        _add(self._lengths.setdefault(value[:SHORTEST], {}), len(value))
        for part in _parts(value):
            _add(self._parts, part)

    def _forget(self, value: str) -> None:
        _take(self._owners, value)
        if value in self._owners:
            return
        start = value[:SHORTEST]
        _take(self._lengths[start], len(value))
        if not self._lengths[start]:
            del self._lengths[start]
        for part in _parts(value):
            _take(self._parts, part)

    def redact(self, text: str) -> str:
        """Return *text* with every protected value masked, overlapping ones too."""
        if self._parts.keys().isdisjoint(
            [text[at : at + _PART] for at in range(0, len(text) - _PART + 1, _STRIDE)]
        ):
            return text
        kept, done = [], 0
        for start, end in self._found_in(text):
            if start >= done:
                kept.append(text[done:start])
            done = max(done, end)
        return MASK.join([*kept, text[done:]])

    def _found_in(self, text: str) -> Iterable[tuple[int, int]]:
        for at in range(len(text) - SHORTEST + 1):
            # A copy: other threads may be writing their logs.
            for length in tuple(self._lengths.get(text[at : at + SHORTEST], ())):
                if text[at : at + length] in self._owners:
                    yield at, at + length

    def mask(self, value: object) -> object:
        """Return a log field with every string in it masked; keys stay as they are."""
        if isinstance(value, str):
            return self.redact(value)
        if value is None or isinstance(value, int) or (type(value) is float and isfinite(value)):
            return value
        if isinstance(value, dict):
            return {str(key): self.mask(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.mask(item) for item in value]
        return self.redact(str(value))


def _parts(value: str) -> list[str]:
    return [value[at : at + _PART] for at in range(_STRIDE)]


def _add(counts: dict[T, int], key: T) -> None:
    counts[key] = counts.get(key, 0) + 1


def _take(counts: dict[T, int], key: T) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _forms(value: str) -> Iterable[str]:
    if not SHORTEST <= len(value) <= LONGEST:
        return
    parts = [value]
    if "\n" in value:
        parts += [line for line in value.splitlines() if len(line) >= SHORTEST_LINE]
    for part in parts:
        yield str(part)
        if _PLAIN.fullmatch(part):
            continue
        # As it stands in JSON and in Python's own messages.
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(str(part))[1:-1]


def strings_in(value: object) -> Iterable[str]:
    """Yield every string inside a decoded JSON value; keys are names, not secrets."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            rest += item.values()
        elif isinstance(item, list | tuple):
            rest += item


redactor = Redactor()
"""The process's redactor. Global because a log line must be masked whoever writes it."""
