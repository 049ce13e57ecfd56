"""A configuration that is still being put together: plain values, and where each was written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path = tuple[str | int, ...]

# The deepest key that means something is five levels down.
MAX_DEPTH = 32
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")
_SECRET_PATH = re.compile(r"[A-Za-z0-9_./-]{1,200}")
_LONGEST_NAME = 400


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: a file, a variable or the command line."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}"


DEFAULT = Origin("default")


class Unfit(Exception):
    """No configuration can hold the value; the message says why and does not repeat it."""


@dataclass(slots=True)
class Draft:
    """Values before validation. They may hold secrets, so they stay out of `repr`."""

    root: Origin
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    origins: dict[Path, Origin] = field(default_factory=dict, repr=False)

    def get(self, path: Path) -> Any:
        """Return the value at *path*, or None."""
        value: Any = self.values
        for part in path:
            value = _child(value, part)
        return value

    def put(self, path: Path, value: object, origin: Origin) -> bool:
        """Set *value* at *path*, with everything that is missing on the way there.

        Returns False, and changes nothing, when something on the way cannot hold the next key:
        text where a section is needed, or a list with a gap before the index.

        :raises Unfit: if *value* is nested too deeply, or has text that is not Unicode.
        """
        value = _copy(value)
        here, at = self._nearest(path)
        missing = path[at + 1 :]
        if not _can_hold(here, path[at]) or any(isinstance(part, int) and part for part in missing):
            return False
        for part in reversed(missing):
            value = [value] if isinstance(part, int) else {part: value}
        if isinstance(here, list) and path[at] == len(here):
            here.append(value)
        else:
            here[path[at]] = value
        self._forget(path[: at + 1])
        self.remember(path[: at + 1], value, origin)
        return True

    def drop(self, path: Path) -> None:
        """Remove the key at *path* and all below it; items of lists stay."""
        parent = self.get(path[:-1])
        if path and isinstance(parent, dict):
            parent.pop(path[-1], None)
            self._forget(path)

    def origin(self, path: Path) -> Origin:
        """Return where *path*, or else the nearest thing around it, was written."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return self.root

    def remember(self, path: Path, value: object, origin: Origin) -> None:
        """Note that *value* at *path*, and all in it, was written at *origin*."""
        self.origins[path] = origin
        for part, below in _children(value):
            self.remember((*path, part), below, origin)

    def gap(self, path: Path) -> str:
        """Return what is wrong with an index of *path* that leaves a gap, or "" if none does."""
        for end, part in enumerate(path):
            here = self.get(path[:end])
            count = len(here) if isinstance(here, list) else 0
            if isinstance(part, int) and part > count and isinstance(here, list | None):
                return f"{dotted(path[:end])} has {count} items, so the next index is {count}"
        return ""

    def empty(self) -> Iterator[Path]:
        """Yield the path of every key without a value."""
        return _empty(self.values, ())

    def _nearest(self, path: Path) -> tuple[Any, int]:
        """Return the last container on the way to *path* that exists, and its depth."""
        here: Any = self.values
        for at, part in enumerate(path[:-1]):
            below = _child(here, part)
            if below is None:
                return here, at
            here = below
        return here, len(path) - 1

    def _forget(self, path: Path) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]


def _child(here: Any, part: str | int) -> Any:
    if isinstance(here, dict):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return None


def _children(value: object) -> Iterable[tuple[Any, object]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _empty(value: object, path: Path) -> Iterator[Path]:
    for part, below in _children(value):
        if below is None and not isinstance(part, int):
            yield (*path, part)
        else:
            yield from _empty(below, (*path, part))


def _can_hold(here: object, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(here, list) and part <= len(here)
    return isinstance(here, dict)


def _copy(value: object, depth: int = 0) -> object:
    if depth > MAX_DEPTH:
        msg = "is nested too deeply"
        raise Unfit(msg)
    if isinstance(value, dict):
        return {_copy(key): _copy(below, depth + 1) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(below, depth + 1) for below in value]
    if isinstance(value, str) and not is_text(value):
        msg = "is not valid Unicode text"
        raise Unfit(msg)
    return value


def is_text(value: str) -> bool:
    """Tell whether *value* can be written as UTF-8: bytes that could not be read cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def dotted(path: Path) -> str:
    """Return *path* as it is written in messages: ``outputs[0].notify.http.url``.

    A name that does not look like a name is a question mark: text that slipped in front of a
    colon may be anything, a secret too.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _IDENTIFIER.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]' if _SECRET_PATH.fullmatch(part) else "[?]"
    return text


def on_one_line(name: str) -> str:
    """Return a name that somebody else chose in a form that fits into a message."""
    text = "".join(char if char.isprintable() else "?" for char in name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
