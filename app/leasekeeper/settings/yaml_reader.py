"""YAML with line numbers, within bounds, and without the surprises of YAML 1.1.

The text is read as a stream of events, so that every key knows its line, a key that is given
twice is noticed, and nothing is built that is too deep or too large. Scalars follow YAML 1.2:
``no`` and ``12:30`` are text. Anchors work; tags and merge keys are refused.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import yaml

from leasekeeper.settings.draft import MAX_DEPTH, Draft, Origin, Path, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leasekeeper.settings.problems import Problems

# libyaml is many times faster; its absence costs nothing but time.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Far above the 30,000 values of two thousand outputs; in a megabyte only aliases get there.
_MOST_VALUES = 200_000
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_QUOTED = re.compile(r"""'[^']{2,}'|"[^"]{2,}\"""")
_AGENT_HCL = re.compile(
    r"^\s*(auto_auth|vault|template|template_config|listener|cache|api_proxy|exec|env_template)"
    r"""\s*("[^"]*"\s*)?\{|^\s*(pid_file|exit_after_auth|log_level)\s*=\s""",
    re.MULTILINE,
)


class _Stop(Exception):
    """Reading cannot go on; what is wrong has been noted."""


def read_yaml(text: str, name: str, problems: Problems) -> Draft | None:
    """Return the values of *text*, or None when it cannot be read to its end.

    What is wrong with it is added to *problems*; *name* is what they call the text.
    """
    draft = Draft(Origin(name))
    try:
        _Reader(text, draft, problems).read()
    except yaml.YAMLError as error:
        problems.add(*_explain(error, text, name), code="LK-CONF-005")
    except _Stop:
        pass
    else:
        return draft
    return None


class _Reader:
    """Turns the events of one YAML text into the values and origins of a draft."""

    def __init__(self, text: str, draft: Draft, problems: Problems) -> None:
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._draft = draft
        self._problems = problems
        self._anchors: dict[str, Any] = {}
        self._values = 0

    def read(self) -> None:
        next(self._events)  # the start of the stream
        if isinstance(start := next(self._events), yaml.StreamEndEvent):
            self._stop(start, "is empty")
        event = next(self._events)
        if not isinstance(event, yaml.MappingStartEvent):
            hcl = _AGENT_HCL.search(self._text)
            self._stop(event, _IS_HCL if hcl else "needs keys and values, such as `vault:`")
        self._draft.values = self._value(event, ())
        next(self._events)  # the end of the document
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            self._stop(event, "only one document is allowed; remove `---` and all behind it")

    def _value(self, event: Any, path: Path) -> Any:
        self._spend(event, 1)
        if len(path) > MAX_DEPTH:
            self._stop(event, "is nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        if event.tag is not None:
            self._note(event, "tags (words that start with !) are not supported", path)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            self._check_text(event, path)
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(path)
        else:
            value = self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _list(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            here = (*path, len(values))
            self._draft.origins[here] = self._origin(event)
            values.append(self._value(event, here))
        return values

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            here = (*path, key)
            if key in values:
                first = self._draft.origins[here].line
                self._note(event, f"is given twice, first in line {first}", here)
            self._draft.origins[here] = self._origin(event)
            values[key] = self._value(next(self._events), here)
        return values

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._note(event, "a value that starts with { or [ needs quotes", path)
            self._value(event, path)
            return ""
        self._check_text(event, path)
        if event.value == "<<" and event.implicit[0]:
            self._note(event, "merge keys (<<) are not supported; write the keys out", path)
        return str(event.value)

    def _check_text(self, event: Any, path: Path) -> None:
        # Only PyYAML's own parser lets an escaped surrogate through; libyaml refuses it itself.
        if not is_text(event.value):
            self._note(event, "is not valid Unicode text", path)

    def _aliased(self, event: Any, path: Path) -> Any:
        if event.anchor not in self._anchors:
            self._stop(event, "an alias (*name) needs its anchor (&name) further up")
        value = self._anchors[event.anchor]
        size, height = _measure(value)
        self._spend(event, size)
        if len(path) + height > MAX_DEPTH:
            self._stop(event, "is nested too deeply")
        value = copy.deepcopy(value)
        self._draft.remember(path, value, self._draft.origin(path))
        return value

    def _spend(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            self._stop(event, "has too many values")

    def _note(self, event: Any, text: str, path: Path = ()) -> None:
        self._problems.add(self._origin(event), text, path)

    def _stop(self, event: Any, text: str) -> None:
        self._note(event, text)
        raise _Stop

    def _origin(self, event: Any) -> Origin:
        return Origin(self._draft.root.name, event.start_mark.line + 1)


_IS_HCL = "is in the language of Vault Agent (HCL), not in YAML; use `leasekeeper agent -config`"


def _scalar(event: Any) -> str | int | bool | None:
    text = str(event.value)
    if not event.implicit[0]:  # in quotes, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


def _measure(value: Any) -> tuple[int, int]:
    """Return how many values are in *value*, itself included, and how deep it is."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    sizes = [_measure(child) for child in below]
    return 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)


def _explain(error: yaml.YAMLError, text: str, name: str) -> tuple[Origin, str]:
    """Return where *text* is not YAML, and why; nothing of the text is repeated."""
    if _AGENT_HCL.search(text):
        return Origin(name), _IS_HCL
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
        at = text.count("\n", 0, odd.start()) + 1 if odd else None
        return Origin(name, at), "has a character that YAML does not allow"
    lines = text.splitlines() or [""]
    number = min(error.problem_mark.line, len(lines) - 1)
    line, column = lines[number], int(error.problem_mark.column)
    why = _QUOTED.sub("'...'", error.problem or "")
    if line[column : column + 1] == "\t":
        why = "a tab cannot indent; use spaces"
    elif "{{" in line:
        why += "; a template in one line needs quotes around it, or `|` and its own lines"
    start = error.context_mark
    if error.context and start is not None and start.line < number:
        why += f" ({error.context} that starts in line {start.line + 1})"
    return Origin(name, number + 1), f"is not valid YAML at column {column + 1}: {why}"
