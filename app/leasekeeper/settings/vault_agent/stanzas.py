"""The tree of one file, read by the keys there are.

What is unknown, of the wrong type, or given twice is found here, whether or not another file
replaces it later: Vault Agent reads every file whole before it merges them, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from leasekeeper.settings import keys
from leasekeeper.settings.draft import Origin
from leasekeeper.settings.problems import Problems
from leasekeeper.settings.vault_agent import schema
from leasekeeper.settings.vault_agent.kinds import Stanza
from leasekeeper.settings.vault_agent.tree import Block, Item, Literal, Node, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where it was written."""

    value: object = field(repr=False)
    origin: Origin


@dataclass(slots=True)
class Written:
    """A block as it was written: only keys and blocks that exist."""

    path: str
    schema: Stanza
    origin: Origin
    label: str = ""
    values: dict[str, Given] = field(default_factory=dict)
    blocks: dict[str, list[Written]] = field(default_factory=dict)

    def get(self, key: str) -> object:
        """Return the value of *key*, or None when it is not given."""
        given = self.values.get(key)
        return None if given is None else given.value

    def text(self, key: str) -> str:
        """Return the text of *key*, or nothing when it is not given."""
        value = self.get(key)
        return value if isinstance(value, str) else ""

    def origin_of(self, key: str) -> Origin:
        """Return where *key* was written, or else the block."""
        given = self.values.get(key)
        return self.origin if given is None else given.origin

    def all(self, name: str) -> list[Written]:
        """Return the blocks called *name*."""
        return self.blocks.get(name, [])

    def one(self, name: str) -> Written | None:
        """Return the block called *name*, if there is one."""
        found = self.all(name)
        return found[0] if found else None

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all keys and blocks that can stand in it."""
        return (*self.schema.keys, *self.schema.stanzas)

    @property
    def type(self) -> str:
        """What kind of method, sink or listener it is."""
        return self.text("type") or self.label.lower()


@dataclass(slots=True, kw_only=True)
class Notes:
    """What is wrong, and what an operator should know."""

    problems: Problems
    lenient: bool
    """Unknown and repeated keys are only worth a warning, as Vault Agent ignores them."""
    warnings: list[str] = field(default_factory=list)

    def warn(self, origin: Origin, text: str) -> None:
        """Note *text*, once."""
        line = f"{origin}: {text}"
        if line not in self.warnings and len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(line)

    def careless(self, origin: Origin, text: str, *, strict: bool = False) -> None:
        """Note a mistake that Vault Agent overlooks, unless it is *strict* there."""
        if self.lenient and not strict:
            self.warn(origin, text)
        else:
            self.problems.add(origin, text)


# As many as there are problems at most; it bounds a file of a hundred thousand misspelt keys.
_MOST_WARNINGS = 100
# Leasekeeper is made for two thousand outputs.
_MOST_BLOCKS = 5000


def read_stanzas(tree: Block, name: str, notes: Notes) -> Written:
    """Return what the file *name* says; *notes* gets everything that is wrong with it."""
    return _Reader(name, notes).stanza(tree, schema.TOP, "", Origin(name))


class _Reader:
    """Reads the blocks of one file."""

    def __init__(self, name: str, notes: Notes) -> None:
        self._name = name
        self._notes = notes
        self._unknown_keys = 0

    def stanza(
        self, block: Block, kind: Stanza, path: str, origin: Origin, label: str = ""
    ) -> Written:
        written = Written(path, kind, origin, label)
        inner: list[tuple[str, Item]] = []
        for item in block.items:
            name = item.keys[0].lower()
            if name in kind.stanzas and (_is_block(item.node) or name not in kind.keys):
                inner.append((name, item))
            elif name in kind.keys:
                self._value(written, name, item)
            elif not kind.any_keys:
                self._unknown(written, item)
        for name, item in inner:  # what `config` may hold depends on the type, which may follow it
            self._blocks(written, name, item)
        self._once(written)
        return written

    def _value(self, written: Written, name: str, item: Item) -> None:
        origin = self._origin(item.line)
        path = _join(written.path, name)
        if name in written.values:
            first = written.values[name].origin.line
            text = f"{path}: was already set in line {first}; each key can only be given once"
            self._notes.careless(origin, text)
        key = written.schema.keys[name]
        if isinstance(item.node, Literal) and item.node.value in (None, "") and not key.keeps_empty:
            return
        value: object = None  # wrong, but not missing
        try:
            value = key.read(item.node)
        except ValueError as error:
            self._notes.problems.add(origin, f"{path}: {error}")
        if value != "" or key.keeps_empty:
            written.values[name] = Given(value, origin)

    def _blocks(self, written: Written, name: str, item: Item) -> None:
        kind = written.schema.stanzas[name]
        kind = kind.by_type.get(written.type, kind)
        path = _join(written.path, name)
        bodies = list(_bodies(item, kind))
        if not bodies and not (isinstance(item.node, Sequence) and not item.node.nodes):
            text = f"{path}: needs a block, {name} {{ ... }}"
            self._notes.problems.add(self._origin(item.line), text)
        for label, line, body in bodies:
            found = self.stanza(body, kind, path, self._origin(line), label)
            known = written.blocks.setdefault(name, [])
            if len(known) == _MOST_BLOCKS:
                text = f"{path}: there are more than {_MOST_BLOCKS}, which no configuration has"
                self._notes.problems.add(self._origin(line), text)
                return
            if known and written.schema.stanzas[name].merged:
                known[0].values.update(found.values)
            elif known and kind.last_wins:
                known[0] = found
            else:
                known.append(found)

    def _once(self, written: Written) -> None:
        for found in written.blocks.values():
            words = found[0].schema.once
            if words and len(found) > 1:
                first = found[0].origin.line
                text = f"{words}; the first is in line {first}"
                self._notes.problems.add(found[1].origin, text)

    def _unknown(self, written: Written, item: Item) -> None:
        self._unknown_keys += 1
        if self._unknown_keys > _MOST_WARNINGS:
            return
        name, kind = item.keys[0], written.schema
        shown = name if _NAME.fullmatch(name) else "?"
        origin, match = self._origin(item.line), keys.alike(name.lower(), written.known)
        advice = f'did you mean "{match}"?' if match else _advice(name.lower(), kind)
        text = f'unknown key "{shown}"; {advice}'
        if written.path:
            text = f"{written.path}: {text}"
        self._notes.careless(origin, text, strict=kind.strict)
        if match in kind.keys and not self._notes.lenient:
            written.values.setdefault(match, Given(None, origin))  # so it is not missing too

    def _origin(self, line: int) -> Origin:
        return Origin(self._name, line)


def _advice(name: str, kind: Stanza) -> str:
    owners = list(schema.owners(name))
    if len(owners) == 1:
        return f"it belongs to {owners[0]}"
    if name in schema.TOP.keys or name in schema.TOP.stanzas:
        return "it belongs outside of all blocks; is a } missing?"
    return "remove it" if kind.strict else "Vault Agent ignores it; remove it, or be -lenient"


def _is_block(node: Node) -> bool:
    if isinstance(node, Sequence):
        return all(isinstance(inner, Block) for inner in node.nodes)
    return isinstance(node, Block)


def _bodies(item: Item, kind: Stanza) -> Iterator[tuple[str, int, Block]]:
    """Yield label, line and body of each block that *item* is: in JSON one item can be several."""
    label = item.keys[1] if len(item.keys) == 2 else ""
    node = item.node
    if isinstance(node, Sequence) and _is_block(node):
        for inner in node.nodes:
            yield from _bodies(Item(item.keys, inner, inner.line), kind)
    elif isinstance(node, Block) and kind.labelled and not label and _has_labels(node, kind):
        for inner_item in node.items:
            keys_of_it = (item.keys[0], *inner_item.keys)
            yield from _bodies(Item(keys_of_it, inner_item.node, inner_item.line), kind)
    elif isinstance(node, Block):
        yield label, item.line, node


def _has_labels(block: Block, kind: Stanza) -> bool:
    """Tell whether the keys of *block* are the labels of others: ``{"aws": {...}}``."""
    return bool(block.items) and all(
        _is_block(item.node) and item.keys[0].lower() not in kind.stanzas for item in block.items
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
