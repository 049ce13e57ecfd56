"""Keeping live secrets out of everything that is written for people.

The first defence is that no code logs a value. This is the second: the last step before a log
line leaves the process replaces every secret that is alive right now, wherever it came from
(a library's message, an error of the operating system, a traceback).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable

MASK = "[redacted]"
# Shorter values would blank out half of every line ("true", "5432") and hide nothing.
SHORTEST = 6
# A log line never holds more than this of one value; escaping megabytes would cost memory.
LONGEST = 64 * 1024
# Parts of a multi-line value (a PEM file, say) that can turn up alone.
SHORTEST_LINE = 20


class Redactor:
    """Knows the secrets that are alive and masks them in text.

    Values belong to an owner (a secret's request, the token). A new set of values replaces the
    owner's set before last, so that a value which has just been rotated is still masked.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[frozenset[str], frozenset[str]]] = {}

    def protect(self, owner: Hashable, values: Iterable[str]) -> None:
        """Mask *values* from now on; they replace the owner's values before the last ones."""
        new = frozenset(form for value in values for form in _forms(value))
        last, _ = self._values.get(owner, (frozenset(), frozenset()))
        if new != last:
            self._values[owner] = (new, last)

    def redact(self, text: str) -> str:
        """Return *text* with every protected value masked."""
        for pair in self._values.values():
            for values in pair:
                for value in values:
                    if value in text:
                        text = text.replace(value, MASK)
        return text


def _forms(value: str) -> Iterable[str]:
    if not SHORTEST <= len(value) <= LONGEST:
        return
    parts = [value]
    if "\n" in value:
        parts += [line for line in value.splitlines() if len(line) >= SHORTEST_LINE]
    for part in parts:
        yield part
        escaped = json.dumps(part)[1:-1]
        if escaped != part:
            yield escaped


def strings_in(value: object) -> Iterable[str]:
    """Yield every string inside a decoded JSON value; keys are names, not secrets."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings_in(item)


redactor = Redactor()
"""The process's redactor. Global because a log line must be masked whoever writes it."""
