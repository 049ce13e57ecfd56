"""Everything that is wrong with a configuration, in plain language, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from leasekeeper.errors import ConfigError, Problem
from leasekeeper.settings import keys
from leasekeeper.settings.draft import Path, dotted, on_one_line

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from leasekeeper.settings.draft import Draft, Origin

# More than anybody reads; it bounds what a file of a hundred thousand misspelt keys costs.
_MOST = 100

_MESSAGES = {
    "bool_parsing": "needs true or false",
    "bool_type": "needs true or false",
    "dict_type": "needs keys and values",
    "greater_than_equal": "needs to be at least {ge}",
    "int_from_float": "needs a whole number",
    "int_parsing": "needs a whole number",
    "int_parsing_size": "needs a smaller number",
    "int_type": "needs a whole number",
    "less_than_equal": "needs to be at most {le}",
    "list_type": "needs a list",
    "missing": "is needed",
    "model_attributes_type": "needs keys and values",
    "model_type": "needs keys and values",
    "string_too_short": "may not be empty",
    "string_type": "needs text",
    "string_unicode": "is not valid Unicode text",
    "too_short": "needs at least one item",
    "value_error": "{error}",
}


class Problems:
    """A growing list of problems; what only follows from another one is left out."""

    def __init__(self) -> None:
        self._found: list[tuple[Origin, str, str]] = []
        self._paths: set[Path] = set()
        self._cut = False

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, origin: Origin, text: str, path: Path = (), *, code: str = "") -> None:
        """Note that *text* is wrong with what stands at *origin*, at most once for a *path*."""
        code = code or _code_of(text)
        if path and path in self._paths:
            return
        if len(self._found) == _MOST:
            self._cut = True
            return
        if path:
            self._paths.add(path)
            text = f"{self.name(origin, path)}: {text}"
        self._found.append((origin, text, code))

    def name(self, origin: Origin, path: Path) -> str:  # noqa: ARG002 - for other dialects
        """Return what *path* is called where *origin* is."""
        return dotted(path)

    def settle(self, path: Path) -> None:
        """Note that enough has been said about *path*: that it is missing is no news."""
        self._paths.add(path)

    def covers(self, path: Path, text: str) -> bool:
        """Tell whether *text* about *path* only repeats, or follows from, what is known.

        A rule about several keys of a section names them, and says nothing new when one of them
        is wrong already.
        """
        if path in self._paths:
            return True
        words = _words(text)
        return any(known[:-1] == path and known[-1] in words for known in self._paths)

    def fail(self) -> NoReturn:
        """Raise all problems: those with a line by line, then the others as they were found."""
        ordered = sorted(self._found, key=lambda found: found[0].line or 1_000_000_000)
        lines = [
            Problem(f"{on_one_line(str(origin))}: {text}", code) for origin, text, code in ordered
        ]
        if self._cut:
            lines.append(Problem("... and more problems", ConfigError.code))
        raise ConfigError(*lines) from None


def _code_of(text: str) -> str:
    if "unknown key" in text or "unknown variable" in text:
        return "LK-CONF-002"
    return "LK-CONF-004" if text.startswith("is needed") else "LK-CONF-003"


def explain(error: ValidationError, draft: Draft, problems: Problems) -> bool:
    """Add what *error* found in *draft*, and mend the draft the way the advice says.

    Validating the mended draft again finds what was hidden behind these errors. Returns whether
    anything was new.
    """
    new = False
    details = error.errors(include_url=False, include_input=False)[: _MOST + 1]
    # Misspelt keys first: the right ones are not missing then.
    for detail in sorted(details, key=lambda detail: detail["type"] != "extra_forbidden"):
        path = _place(detail)
        if not path or (detail["type"] == "missing" and draft.get(path) is not None):
            # No path has only the rule about all outputs, which `clashes` reports one by one.
            continue
        text = _text(detail, path, draft)
        if not problems.covers(path, text):
            problems.add(_origin(path, text, draft), text, path)
            new = True
        _mend(path, draft)
    return new


def _place(detail: ErrorDetails) -> Path:
    """Return the path as it was written: pydantic also counts the variant of a section."""
    path: Path = ()
    key, skip = keys.root(), False
    for part in detail["loc"]:
        if skip:
            skip = False
            continue
        path = (*path, part)
        key = keys.find(path) or keys.Key()
        skip = bool(key.variants)
    return (*path, key.tag) if detail["type"].startswith("union_tag") else path


def _text(detail: ErrorDetails, path: Path, draft: Draft) -> str:
    value = draft.get(path)
    if detail["type"] == "extra_forbidden":
        advice = keys.advice(path, _method(path, draft))
        return f"unknown key; {advice}" if advice else "unknown key"
    if choices := keys.choices(path):
        return _choice(value, choices)
    if detail["type"] == "string_type" and isinstance(value, bool | int | float):
        return "needs text; put the value in quotes"
    return _MESSAGES.get(detail["type"], "cannot be used").format(**detail.get("ctx", {}))


def _choice(value: object, choices: tuple[str, ...]) -> str:
    listed = ", ".join(f'"{choice}"' for choice in choices)
    if value is None:
        return f"is needed: one of {listed}"
    match = keys.alike(value, choices) if isinstance(value, str) else ""
    if not match and isinstance(value, str) and value:  # "aws", as Vault calls the method
        match = next((choice for choice in choices if choice.startswith(value)), "")
    return f'needs one of {listed}; did you mean "{match}"?' if match else f"needs one of {listed}"


def _origin(path: Path, text: str, draft: Draft) -> Origin:
    """Return where to mend it: a rule about several keys points at the first one written."""
    section, words = draft.get(path), _words(text)
    if isinstance(section, dict):
        path = next(((*path, name) for name in section if name in words), path)
    return draft.origin(path)


def _mend(path: Path, draft: Draft) -> None:
    """Replace what is wrong at *path* by what was probably meant, or else by its default."""
    value, origin = draft.get(path), draft.origin(path)
    if isinstance(value, dict) and keys.find(path):
        return  # a rule about the section; none of its keys is wrong by itself
    better = keys.meant(path, _method(path, draft))
    draft.drop(path)
    if better and draft.get((*path[:-1], better)) is None:
        draft.put((*path[:-1], better), value, origin)
    elif isinstance(value, str) and (match := keys.alike(value, keys.choices(path))):
        draft.put(path, match, origin)


def _method(path: Path, draft: Draft) -> object:
    section = keys.find(path[:-1])
    return draft.get((*path[:-1], section.tag)) if section and section.tag else None


def _words(text: str) -> set[str]:
    return set(text.replace(",", " ").split())
