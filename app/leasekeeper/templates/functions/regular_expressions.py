"""Regular expressions as Go has them: RE2, with Go's errors, replacement and empty matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import re2

from leasekeeper.templates.golang.functions import FunctionTable, GoError, check_length
from leasekeeper.templates.golang.quoting import can_backquote, quote
from leasekeeper.templates.golang.values import NilStrings, StringSlice

functions = FunctionTable()

# What RE2 says -> what Go says.
_ERRORS = {
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class": "invalid character class",
    "invalid character class range": "invalid character class range",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
    "invalid named capture group": "invalid named capture",
}
_MOST_MATCHES = 1_000_000
"""In one text: seconds. Templates are rendered in the event loop."""
_LONGEST_PATTERN = 10_000
"""In characters: matching takes time in proportion to it, and to its groups."""
_STRAY = re.compile("[\ud800-\udfff]")
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # RE2 knows it, Go does not


@lru_cache(maxsize=64)
def compile_pattern(pattern: str) -> Any:
    """Return *pattern* compiled.

    :raises GoError: ``error parsing regexp: ...``.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise GoError("error parsing regexp: expression too large")
    options = re2.Options()
    options.log_errors = False
    try:
        if _STRAY.search(pattern):
            raise re2.error(f"invalid UTF-8: {_unicode(pattern)}")
        if _ANY_BYTE.search(pattern):
            raise re2.error("invalid escape sequence: \\C")
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        message = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        what, _, where = message.partition(": ")
        msg = f"error parsing regexp: {_ERRORS.get(what, what)}: `{where}`"
        raise GoError(msg) from None


def _unicode(text: str) -> str:
    # RE2 does not match bytes that are not UTF-8; Go takes each for this character. One stands for
    # one, so places in the result are places in *text*.
    return _STRAY.sub("\ufffd", text)


def must_compile(pattern: str) -> Any:
    """Return *pattern* compiled.

    :raises GoError: in the words of Go's ``regexp.MustCompile``.
    """
    try:
        return compile_pattern(pattern)
    except GoError as error:
        shown = f"`{pattern}`" if can_backquote(pattern) else quote(pattern)
        msg = f"regexp: Compile({shown}): {error}"
        raise GoError(msg) from None


def find_all(compiled: Any, text: str) -> Iterator[Any]:
    """Yield the matches in *text*; an empty one right after another match does not count.

    :raises GoError: if there are too many.
    """
    previous_end = -1
    # Not `search` from the last end on: that encodes the whole text each time.
    for count, match in enumerate(compiled.finditer(_unicode(text))):
        if count == _MOST_MATCHES:
            msg = f"regexp: more than {_MOST_MATCHES} matches"
            raise GoError(msg)
        if match.start() != match.end() or match.start() != previous_end:
            yield match
        previous_end = match.end()


def replace_all(compiled: Any, text: str, expand: Callable[[Any], str]) -> str:
    """Return *text* with *expand* of every match in its place."""
    out, end, length = [], 0, len(text)
    for match in find_all(compiled, text):
        out += [text[end : match.start()], expand(match)]
        end, length = match.end(), length + len(out[-1])
        check_length(length)
    return "".join([*out, text[end:]])


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def expander(template: str, text: str) -> Callable[[Any], str]:
    """Return what fills ``$1``, ``${name}`` and ``$$`` of *template* for a match in *text*."""

    def expand(match: Any) -> str:
        return _REFERENCE.sub(lambda found: _reference(found, match, text), template)

    return expand


def _reference(found: re.Match[str], match: Any, text: str) -> str:
    name = found[1] or found[2]
    if name is None:
        return "$"
    if re.fullmatch("0|[1-9][0-9]{0,8}", name):
        group: int | None = int(name)
    else:
        group = match.re.groupindex.get(name)
    if group is None or group > match.re.groups or match.start(group) < 0:
        return ""
    return text[match.start(group) : match.end(group)]


# --- consul-template's ------------------------------------------------------------------------


@functions.add("regexMatch", "string", "string")
@functions.add("sprig_mustRegexMatch", "string", "string")
def regex_match(pattern: str, text: str) -> bool:
    """Whether *pattern* matches anywhere in *text*."""
    return compile_pattern(pattern).search(_unicode(text)) is not None


@functions.add("regexReplaceAll", "string", "string", "string")
def regex_replace_all(pattern: str, replacement: str, text: str) -> str:
    """Return *text* with *replacement* for every match."""
    return replace_all(compile_pattern(pattern), text, expander(replacement, text))


# --- sprig's: every function twice, because sprig panics where its "must" function fails --------


def _twice(name: str, *types: str) -> Callable[[Callable[..., Any]], None]:
    def register(call: Callable[..., Any]) -> None:
        for full, compiling in (
            (f"sprig_{name}", must_compile),
            (f"sprig_must{name[0].upper()}{name[1:]}", compile_pattern),
        ):
            functions.add(full, *types)(_with(call, compiling))

    return register


def _with(call: Callable[..., Any], compiling: Callable[[str], Any]) -> Callable[..., Any]:
    def function(pattern: str, text: str, *rest: Any) -> Any:
        return call(compiling(pattern), text, *rest)

    return function


@functions.add("sprig_regexMatch", "string", "string")
def sprig_match(pattern: str, text: str) -> bool:
    """Whether *pattern* is valid and matches anywhere in *text*."""
    try:
        return regex_match(pattern, text)
    except GoError:
        return False


@_twice("regexFind", "string", "string")
def _find(compiled: Any, text: str) -> str:
    match = compiled.search(_unicode(text))
    return text[match.start() : match.end()] if match else ""


@_twice("regexFindAll", "string", "string", "int")
def _find_all(compiled: Any, text: str, limit: int) -> list[str]:
    found = [text[match.start() : match.end()] for match in find_all(compiled, text)]
    found = found if limit < 0 else found[:limit]
    return StringSlice(found) if found else NilStrings()


@_twice("regexReplaceAll", "string", "string", "string")
def _replace_all(compiled: Any, text: str, replacement: str) -> str:
    return replace_all(compiled, text, expander(replacement, text))


@_twice("regexReplaceAllLiteral", "string", "string", "string")
def _replace_all_literal(compiled: Any, text: str, replacement: str) -> str:
    return replace_all(compiled, text, lambda _match: replacement)


@_twice("regexSplit", "string", "string", "int")
def _split(compiled: Any, text: str, limit: int) -> list[str]:
    if limit == 0:
        return NilStrings()
    if not text and compiled.pattern:
        return StringSlice([""])
    parts: list[str] = []
    begin = end = 0
    for match in find_all(compiled, text):
        if 0 < limit <= len(parts) + 1:
            break
        end = match.start()
        if match.end() != 0:
            parts.append(text[begin:end])
        begin = match.end()
    if end != len(text):
        parts.append(text[begin:])
    return StringSlice(parts)


@functions.add("sprig_regexQuoteMeta", "string")
def quote_meta(text: str) -> str:
    """Return *text* so that it matches only itself."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)
