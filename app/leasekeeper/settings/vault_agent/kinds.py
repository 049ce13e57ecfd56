"""What the schema is made of: keys, blocks, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from leasekeeper.settings.vault_agent import values
from leasekeeper.settings.vault_agent.tree import Node


class Verdict(Enum):
    """What becomes of a key."""

    SAME = "same"
    BETTER = "better"
    """Something else than the agent does, on purpose."""
    UNUSED = "not needed"
    """Nothing depends on it here, and nobody misses it."""
    WARNING = "no effect, with a warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: *to* is the setting of ours that it means, *read* takes its value."""

    verdict: Verdict
    about: str = ""
    to: str = ""
    read: Callable[[Node], object] = values.anything
    keeps_empty: bool = False
    """An empty text says something, instead of being as good as nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One kind of block."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    stanzas: Mapping[str, Stanza] = field(default_factory=dict)
    verdict: Verdict = Verdict.SAME
    about: str = ""
    once: str = ""
    """What Vault Agent says about a second one in the same place; it allows many if empty."""
    last_wins: bool = False
    """Of several, the last one counts."""
    merged: bool = False
    """Several are one, written in pieces."""
    labelled: bool = False
    """Has a name or type between its keyword and its brace."""
    by_type: Mapping[str, Stanza] = field(default_factory=dict)
    """What it holds depends on the type of the block around it."""
    strict: bool = False
    """Vault Agent refuses unknown keys here as well."""
    any_keys: bool = False
    """Nothing in it is looked at."""


def same(to: str = "", read: Callable[[Node], object] = values.text, about: str = "") -> Key:
    return Key(verdict=Verdict.SAME, to=to, read=read, about=about)


def better(about: str, to: str = "", read: Callable[[Node], object] = values.anything) -> Key:
    return Key(verdict=Verdict.BETTER, about=about, to=to, read=read)


def unused(about: str, read: Callable[[Node], object] = values.anything) -> Key:
    return Key(verdict=Verdict.UNUSED, about=about, read=read)


def warning(about: str, read: Callable[[Node], object] = values.anything) -> Key:
    return Key(verdict=Verdict.WARNING, about=about, read=read)


def error(about: str, read: Callable[[Node], object] = values.anything) -> Key:
    return Key(verdict=Verdict.ERROR, about=about, read=read)


def every(names: str, key: Key) -> dict[str, Key]:
    return dict.fromkeys(names.split(), key)
