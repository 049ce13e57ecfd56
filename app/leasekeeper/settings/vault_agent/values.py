"""What stands behind a key of Vault Agent, as Go would read it.

Each function returns the value, or raises ValueError with a sentence that says what is needed and
does not repeat the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leasekeeper.settings.durations import LONGEST_S
from leasekeeper.settings.vault_agent.tree import Literal, Node, Sequence

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False", ""), False),
}
_GO_INTEGER = re.compile(
    r"[+-]?(0[xX][0-9a-fA-F]{1,15}|0[bB][01]{1,62}|0[oO]?[0-7]{0,20}|[1-9][0-9]{0,17})(?<![oO])"
)
_WHOLE = re.compile("[+-]?[0-9]{1,18}")
_DAYS = re.compile("[+-]?[0-9]{1,18}d")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_GO_PART = re.compile(r"([0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h)")
_GO_DURATION = re.compile(rf"\+?({_GO_PART.pattern})+")
_OCTAL = re.compile("[0-7]{1,5}")
_LEVELS = {
    **{level: level for level in ("trace", "debug", "info", "error")},
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
}
_SUBSYSTEMS = ("auto-auth", "caching", "proxying", "templating", "")


def text(node: Node) -> str:
    """Return text; a number is taken as it is written."""
    if isinstance(node, Literal):
        if isinstance(node.value, str):
            return node.value
        if not isinstance(node.value, bool) and node.value is not None:
            return node.written
    msg = "needs text in quotes"
    raise ValueError(msg)


def flag(node: Node) -> bool:
    """Return a truth value; as text or number as well, which Vault Agent takes in places."""
    if isinstance(node, Literal):
        if isinstance(node.value, str) and node.value in _FLAGS:
            return _FLAGS[node.value]
        if isinstance(node.value, bool | int):
            return bool(node.value)
    msg = "needs true or false"
    raise ValueError(msg)


def number(node: Node) -> int:
    """Return a whole number; ``0x`` and leading zeros mean in quotes what they mean without."""
    if isinstance(node, Literal) and not isinstance(node.value, bool):
        if isinstance(node.value, int):
            return node.value
        if isinstance(node.value, str) and _GO_INTEGER.fullmatch(node.value):
            return _go_integer(node.value)
    msg = "needs a whole number"
    raise ValueError(msg)


def _go_integer(written: str) -> int:
    digits = written.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    return int(written, 8 if octal else 0)


def seconds(node: Node) -> float:
    """Return a duration in seconds: ``300``, ``"300"``, ``"5m"`` or ``"2d"``."""
    value = node.value if isinstance(node, Literal) and not isinstance(node.value, bool) else None
    if isinstance(value, int | float):
        return _in_bounds(int(value))
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return _in_bounds(int(value))
    if isinstance(value, str) and _DAYS.fullmatch(value):
        return _in_bounds(86400 * int(value[:-1]))
    if isinstance(value, str) and (value == "0" or _GO_DURATION.fullmatch(value)):
        return _in_bounds(_go_duration(value))
    msg = 'needs a duration, such as 300 or "5m"'
    raise ValueError(msg)


def timeout(node: Node) -> float:
    """Return a duration in seconds where Vault Agent wants a unit.

    It takes a bare number too, but as nanoseconds, which nobody means.
    """
    value = node.value if isinstance(node, Literal) else None
    if isinstance(value, str) and _GO_DURATION.fullmatch(value):
        return _in_bounds(_go_duration(value))
    if value in (0, "0") and not isinstance(value, bool):
        return 0.0
    msg = 'needs a duration with a unit in quotes, such as "30s"'
    if isinstance(value, int):
        msg += "; Vault Agent reads bare numbers as nanoseconds here"
    raise ValueError(msg)


def wait(node: Node) -> tuple[float, float]:
    """Return the shortest and the longest wait in seconds from ``"5s"`` or ``"5s:20s"``."""
    shortest, _, longest = text(node).partition(":")
    return (
        timeout(Literal(shortest, node.line)),
        timeout(Literal(longest, node.line)) if longest else 0.0,
    )


def _go_duration(written: str) -> float:
    return sum(float(count) * _UNIT_S[unit] for count, unit in _GO_PART.findall(written))


def _in_bounds(value: float) -> float:
    if not 0 <= value <= LONGEST_S:
        msg = "needs a duration between 0 and ten years"
        raise ValueError(msg)
    return float(value)


def words(node: Node) -> list[str]:
    """Return a list of text; one text with commas is a list too."""
    if isinstance(node, Sequence):
        return [text(item) for item in node.nodes]
    if isinstance(node, Literal) and isinstance(node.value, str):
        return node.value.split(",") if node.value else []
    msg = 'needs a list of text, such as ["one", "two"]'
    raise ValueError(msg)


def command(node: Node) -> list[str]:
    """Return a program and its arguments: one text with blanks is for the shell.

    Vault Agent cuts a single text at its commas first, so that ``"kill,-HUP,1"`` works and a comma
    in a shell command breaks it. The former is kept.
    """
    if isinstance(node, Literal) and isinstance(node.value, str):
        parts = node.value.split(",")
        plain = len(parts) > 1 and not any(char.isspace() for char in parts[0])
        found = parts if plain else [node.value]
    else:
        found = words(node)
    if len(found) == 1 and len(found[0].split()) > 1:
        return ["sh", "-c", found[0]]
    if found and not found[0].strip():
        return []
    return found


def program(node: Node) -> list[str]:
    """Return a program and its arguments, written as a list; one text with blanks is for `sh`."""
    if not isinstance(node, Sequence):
        msg = 'needs a list of text, such as ["/app/server", "-v"]'
        raise ValueError(msg)
    return command(node)


def perms(node: Node) -> str:
    """Return a file mode as octal digits, or nothing for 0, which means not given."""
    value = node.value if isinstance(node, Literal) else None
    if isinstance(value, str) and _OCTAL.fullmatch(value) and int(value, 8) < 0o10000:
        mode = int(value, 8) & 0o777  # the agent drops the special bits too
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        mode = value
    elif isinstance(value, int) and not isinstance(value, bool):
        msg = 'is not octal as it stands; write perms = "0640", in quotes'
        raise ValueError(msg)
    else:
        msg = 'needs octal digits in quotes, such as "0640"'
        raise ValueError(msg)
    return f"{mode:04o}" if mode else ""


def mode(node: Node) -> str:
    """Return the mode of a sink as octal digits: a number, which HCL can write in octal."""
    value = node.value if isinstance(node, Literal) else None
    if not isinstance(value, int) or isinstance(value, bool):
        msg = "could not parse 'mode' as integer; write mode = 0640, without quotes"
        raise ValueError(msg)
    if not 0 <= value <= 0o777:
        msg = "is not a mode; write it in octal, as in mode = 0640, or in JSON as 416"
        raise ValueError(msg)
    return f"{value:04o}"


def level(node: Node) -> str:
    """Return the log level of ours that is meant."""
    found = _LEVELS.get(text(node).strip().lower())
    if found is None:
        msg = 'needs one of "trace", "debug", "info", "warn" and "error"'
        raise ValueError(msg)
    return found


def log_format(node: Node) -> str:
    """Return the log format of ours that is meant."""
    found = {"standard": "console", "json": "json"}.get(text(node).strip().lower())
    if found is None:
        msg = 'needs "standard" or "json"'
        raise ValueError(msg)
    return found


def anything(node: Node) -> object:
    """Return something that is true if anything was said at all."""
    return node.value if isinstance(node, Literal) else True


def one_of(*choices: str) -> Callable[[Node], str]:
    """Return a function that takes one of *choices*, in any case."""

    def chosen(node: Node) -> str:
        found = text(node)
        if found.lower() not in choices:
            listed = " or ".join(f'"{choice}"' for choice in choices)
            msg = f"needs {listed}"
            raise ValueError(msg)
        return found.lower()

    return chosen


def subsystems(key: str) -> Callable[[Node], list[str]]:
    """Return a function that takes a list of the agent's parts; *key* is for its message."""

    def chosen(node: Node) -> list[str]:
        found = words(node)
        if not set(found) <= set(_SUBSYSTEMS):
            known = ", ".join(f'"{name}"' for name in _SUBSYSTEMS if name)
            msg = f"unknown {key} value; known are {known}"
            raise ValueError(msg)
        return found

    return chosen
