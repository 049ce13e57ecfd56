"""YAML as gopkg.in/yaml.v2 reads it: PyYAML parses, Go's rules say what it means."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from leasekeeper.templates.functions.yaml_scalars import (
    BINARY,
    BOOL,
    FLOAT,
    INT,
    MERGE,
    NULL,
    STR,
    TIMESTAMP,
    resolve,
)
from leasekeeper.templates.functions.yaml_scanner import GoLoader, in_words_of_go, may_differ
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.printf import sprintf
from leasekeeper.templates.golang.values import InterfaceMap, decode, encode, kind

_TAG_PREFIX = "tag:yaml.org,2002:"
_RESOLVED = frozenset({"", STR, BOOL, INT, FLOAT, NULL, TIMESTAMP})

# libyaml words its errors as Go's port of it does; Python's own parser only differs in the words.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def from_yaml(text: str) -> Any:
    """Return what the first document in *text* says.

    :raises GoError: with Go's message if *text* is not YAML.
    """
    try:
        root = _root(text)
        return None if root is None else _Builder().value(root)
    except yaml.MarkedYAMLError as error:
        problem = in_words_of_go(error.problem or "unknown problem")
        raise _fault(_where(error) + problem) from None
    except yaml.reader.ReaderError as error:
        raise _fault(error.reason) from None
    except RecursionError:
        raise _fault("exceeded max depth") from None


def _root(text: str) -> _Node | None:
    if not may_differ(text):
        return _Composer(yaml.parse(encode(text), Loader=_Loader)).root()
    try:
        return _Composer(yaml.parse(text, Loader=GoLoader)).root()
    except yaml.YAMLError:
        # In better words, if it is a fault for both.
        _Composer(yaml.parse(encode(text), Loader=_Loader)).root()
        raise


def _fault(message: str) -> GoError:
    return GoError(f"yaml: {message}")


def _where(error: yaml.MarkedYAMLError) -> str:
    """Return the line as Go counts it: from 0 in parser errors, and never said when it is 0."""
    problem, context = error.problem_mark, error.context_mark
    if problem is not None and problem.line:
        line = problem.line + isinstance(error, yaml.scanner.ScannerError)
    else:
        line = 0 if context is None else context.line
    return f"line {line}: " if line else ""


@dataclass(slots=True, eq=False)
class _Node:
    """A part of the document; *children* is None for scalars, and holds pairs flat for maps."""

    tag: str = ""
    text: str = ""
    plain: bool = False
    mapping: bool = False
    children: list[_Node] | None = None
    anchor: _Node | None = field(default=None, repr=False)
    """What an alias stands for."""


class _Composer:
    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, _Node] = {}

    def root(self) -> _Node | None:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                root = self._node(next(self._events))
                next(self._events)  # the document's end may be faulty
                return root
        return None

    def _node(self, event: Any) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                msg = f"unknown anchor '{event.anchor}' referenced"
                raise _fault(msg)
            return _Node(text=event.anchor, anchor=self._anchors[event.anchor])
        node = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else _Node(children=[])
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if node.children is not None:
            node.mapping = isinstance(event, yaml.MappingStartEvent)
            self._fill(node.children)
        return node

    def _scalar(self, event: Any) -> _Node:
        tag = event.tag or ""
        if tag.startswith(_TAG_PREFIX):
            tag = f"!!{tag.removeprefix(_TAG_PREFIX)}"
        # "!" alone says: a string, whatever it looks like.
        return _Node(
            tag="" if tag == "!" else tag, text=event.value, plain=event.implicit[0] and tag != "!"
        )

    def _fill(self, children: list[_Node]) -> None:
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            children.append(self._node(event))


class _Builder:
    """Makes values of nodes, and refuses documents that are mostly copies of themselves."""

    def __init__(self) -> None:
        self._count = 0
        self._aliased = 0
        self._open: set[int] = set()

    def value(self, node: _Node) -> Any:
        self._watch()
        if node.anchor is not None:
            return self._alias(node, node.anchor)
        if node.children is None:
            return _scalar(node)
        if node.mapping:
            return self._mapping(InterfaceMap(), node.children)
        return [self.value(child) for child in node.children]

    def _watch(self) -> None:
        self._count += 1
        self._aliased += bool(self._open)
        # yaml.v2 allows 99 % of up to 400,000 nodes to be aliased, then ever less.
        allowed = max(0.10, 0.99 - 0.89 * max(0, self._count - 400_000) / 3_600_000)
        if self._aliased > 100 and self._count > 1000 and self._aliased / self._count > allowed:
            raise _fault("document contains excessive aliasing")

    def _alias(self, node: _Node, target: _Node) -> Any:
        if id(target) in self._open:
            msg = f"anchor '{node.text}' value contains itself"
            raise _fault(msg)
        self._open.add(id(target))
        value = self.value(target)
        self._open.discard(id(target))
        return value

    def _mapping(self, result: dict[Any, Any], children: list[_Node]) -> dict[Any, Any]:
        pairs = iter(children)
        for key_node, value_node in zip(pairs, pairs, strict=True):
            if key_node.text == "<<" and (key_node.plain or key_node.tag == MERGE):
                self._merge(result, value_node)
                continue
            key = self.value(key_node)
            if kind(key) in {"map", "slice"}:
                raise _fault(sprintf("invalid map key: %#v", key))
            result[key] = self.value(value_node)
        return result

    def _merge(self, result: dict[Any, Any], node: _Node) -> None:
        listed = node.children is not None and not node.mapping
        sources = list(reversed(node.children or [])) if listed else [node]
        if not all((item.anchor or item).mapping for item in sources):
            raise _fault("map merge requires map or sequence of maps as the value")
        for item in sources:
            result.update(self.value(item))


def _scalar(node: _Node) -> Any:
    if not node.tag and not node.plain:
        return node.text
    if node.tag == BINARY:
        return _binary(node.text)
    if node.tag not in _RESOLVED or node.tag == STR:
        return node.text
    tag, value = resolve(node.text)
    if node.tag in {"", tag}:
        return value
    if (node.tag, tag) == (FLOAT, INT):
        return float(value)
    msg = f"cannot decode {tag} `{node.text}` as a {node.tag}"
    raise _fault(msg)


def _binary(text: str) -> str:
    try:
        return decode(base64.b64decode("".join(text.split("\n")), validate=True))
    except (binascii.Error, ValueError):
        raise _fault("!!binary value contains invalid base64 data") from None


functions = FunctionTable()


@functions.add("parseYAML", "string")
def parse_yaml(text: str) -> Any:
    """Return what *text* says; nothing is an empty map."""
    return from_yaml(text) if text else {}
