"""Refusing content that the application could not read.

The checks of a format block and belong in a worker thread. No message ever quotes the content: a
line and a column are enough to find the mistake in the template.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from leasekeeper.errors import ValidationFailed
from leasekeeper.outputs.commands import describe_exit, run_command

Format = Literal["json", "yaml", "dotenv", "toml"]

_YAML_MAX_DEPTH = 200
_YAML_MAX_NODES = 1_000_000
"""Nodes after every alias has been followed; the well-known bombs have a thousand times more."""

_DOTENV_LINE = re.compile(
    r"""
    [ \t]*
    (?:
        (?: export [ \t]+ )?
        [A-Za-z_][A-Za-z0-9_.-]* [ \t]* = [ \t]*
        (?:
            " (?: [^"\\] | \\. )* " [ \t]* (?: \# [^\n]* )?   # may span lines, as may '...'
          | ' [^']* ' [ \t]* (?: \# [^\n]* )?
          | (?! ["'] ) [^\n]*
        )
      | \# [^\n]*
    )?
    \r? (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)


class CommandRefused(ValidationFailed):
    """`validate_command` did not accept the content; another time it may."""

    retryable = True


class _Malformed(Exception):
    """The content is wrong at a place, in words that do not quote it."""


def check_format(kind: Format, content: bytes, *, destination: str) -> None:
    """Check that *content* parses as *kind*. Blocks, for as long as parsing takes.

    :raises ValidationFailed: if it does not.
    """
    try:
        _CHECKS[kind](_text(content))
    except RecursionError:
        where = "it is nested too deeply"
    except _Malformed as error:
        where = str(error)
    else:
        return
    # Not chained: the parsers' errors carry the document.
    message = f"the new content of {destination} is not valid {kind}: {where}"
    hint = "the last good file stays; mend the template, or the secret that it uses"
    raise ValidationFailed(message, hint=hint) from None


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"byte {error.start} is not UTF-8"
    raise _Malformed(msg)


def _at(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - text.rfind(chr(10), 0, offset)}"


def _check_json(text: str) -> None:
    def no_such_number(_name: str) -> None:
        msg = "NaN and Infinity are not JSON"
        raise _Malformed(msg)

    try:
        # Numbers stay text: Python refuses integers of more than 4,300 digits, JSON does not.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=no_such_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
    else:
        return
    raise _Malformed(where)


def _check_toml(text: str) -> None:
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line \d+, column \d+|end of document", str(error))
        where = match[0] if match else "a value is out of range"
    except ValueError:  # a date or an integer that the grammar allows and Python does not
        where = "a value is out of range"
    else:
        return
    raise _Malformed(where)


def _check_yaml(text: str) -> None:
    import yaml

    # Every scalar stays a string: what a date or a tag means is the application's business.
    # libyaml's parser is some ten times faster, where PyYAML was built with it.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        _measure_yaml(yaml.parse(text, Loader=loader))
        # Building finds what parsing cannot: a `{{ name }}` that was left in the text, above all.
        for _document in yaml.load_all(text, Loader=loader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "at its end"
    except yaml.reader.ReaderError:
        where = "it has a character that YAML does not allow"
    else:
        return
    raise _Malformed(where)


def _measure_yaml(events: object) -> None:
    """Bound depth and size, aliases followed, before anything is built."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            if len(open_nodes) > _YAML_MAX_DEPTH:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        elif isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor or "", 0)
        total += isinstance(event, yaml.NodeEvent)
        if total > _YAML_MAX_NODES:
            msg = f"with its aliases it has more than {_YAML_MAX_NODES:,} nodes"
            raise _Malformed(msg)


def _check_dotenv(text: str) -> None:
    if (nul := text.find("\0")) >= 0:
        msg = f"{_at(text, nul)} is a NUL"
        raise _Malformed(msg)
    offset = 0
    while offset < len(text):
        match = _DOTENV_LINE.match(text, offset)
        if match is None:
            where = _at(text, offset)
            raise _Malformed(where)
        offset = match.end()


_CHECKS: Mapping[Format, Callable[[str], None]] = {
    "json": _check_json,
    "yaml": _check_yaml,
    "dotenv": _check_dotenv,
    "toml": _check_toml,
}


async def check_command(
    argv: Sequence[str],
    path: str,
    *,
    destination: str,
    environ: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Have a program judge the staged file at *path*, which takes the place of ``{}`` in *argv*.

    :raises CommandRefused: unless it exits with 0 within *timeout_s* seconds; when it does not,
        its whole process group is killed.
    """
    command = [argument.replace("{}", path) for argument in argv]
    try:
        async with asyncio.timeout(timeout_s):
            status = await run_command(command, environ)
    except TimeoutError:
        complaint = f"did not end within {timeout_s:g} s"
    except OSError as error:
        complaint = f"cannot be started: {error.strerror}"
    else:
        if status == 0:
            return
        complaint = describe_exit(status)
    message = f"the program {argv[0]!r} that validates {destination} {complaint}"
    raise CommandRefused(
        message, hint="the last good file stays; run the program by hand to see why"
    )
