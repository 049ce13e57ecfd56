"""Log events: past-tense facts with fields, JSON in a container, readable on a terminal.

Use ``log.info("token.renewed", ttl_s=3600)``. Event names are stable; fields are flat. ``info``
is what an operator would put on a time line, ``warning`` means degraded but coping, ``error``
that a promise was broken, ``debug`` is everything else.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

from leasekeeper.telemetry.lines import LineWriter
from leasekeeper.telemetry.redaction import redactor

# `trace` is a word of Vault Agent's; here nothing is finer than debug.
LEVELS = {"trace": 10, "debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}

Fields = dict[str, object]
Take = Callable[[int, str, Fields], None]
"""Gets an event: its level, a key of `_NAMES`, its name, and its fields."""
Copy = Callable[[bytes], None]
"""Takes every line that is written, and never waits."""


class Log:
    """Takes what happens, from any thread. Until `configure` says where to, it goes nowhere.

    *exc_info* among the fields is an exception, whose traceback is told.
    """

    def __init__(self) -> None:
        self.level = 0
        self.take: Take = lambda _level, _event, _fields: None
        self.writer: LineWriter | None = None

    def debug(self, event: str, /, **fields: object) -> None:
        """Tell a detail."""
        self.note(10, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Tell what belongs on a time line."""
        self.note(20, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Tell what is degraded but coping."""
        self.note(30, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Tell that a promise was broken."""
        self.note(40, event, fields)

    def note(self, level: int, event: str, fields: Fields) -> None:
        """Tell an event of any level."""
        if level >= self.level:
            self.take(level, event, fields)

    def flush(self) -> None:
        """Have everything written that has been told; see `LineWriter.together`."""
        if self.writer is not None:
            self.writer.flush()


log = Log()
"""The process's log."""
recent: deque[Fields] = deque(maxlen=60)
"""The newest events of level info and above, as they were written, for the status page."""


def configure(
    level: str, style: str = "auto", stream: TextIO | None = None, *, copy: Copy | None = None
) -> LineWriter:
    """Send every event, and what libraries log, to *stream* (standard output by default).

    *level* is a key of `LEVELS`; *style* is ``auto`` (people on a terminal, JSON elsewhere),
    ``json`` or ``console``. *copy* gets every line as well. Returns what writes the lines.
    """
    out = stream if stream is not None else sys.stdout
    pretty = style == "console" or (style == "auto" and out.isatty())
    writer = LineWriter(out, lambda dropped: log.warning("log.lines_dropped", lines=dropped))
    log.writer = writer
    log.take = partial(_write, writer, copy, _console if pretty else _json)
    set_level(level)
    return writer


def set_level(level: str) -> None:
    """Change the level of what `configure` has set up."""
    log.level = LEVELS[level]
    _bridge_libraries(log.level)


def _write(
    writer: LineWriter,
    copy: Copy | None,
    style: Callable[[Fields], str],
    level: int,
    name: str,
    fields: Fields,
) -> None:
    now = datetime.now(UTC).isoformat().removesuffix("+00:00")
    event: Fields = {"time": f"{now}Z", "level": _NAMES[level], "event": name}
    if isinstance(error := fields.pop("exc_info", None), BaseException):
        fields["exception"] = "".join(traceback.format_exception(error)).removesuffix("\n")
    # Before the line is made, where a secret could look like a part of the line itself.
    for key, value in fields.items():
        event[key] = redactor.mask(value)
    if level > logging.DEBUG:
        recent.append(event)
    # Surrogates come from file names and environment variables that are not UTF-8.
    line = style(event).encode("utf-8", "backslashreplace") + b"\n"
    if copy is not None:
        copy(line)
    writer.write(line, at_once=level >= logging.ERROR)


# `json.dumps` with options makes an encoder for each call, at the price of encoding a line.
_json: Callable[[Fields], str] = json.JSONEncoder(ensure_ascii=False).encode
# What a line on a terminal shows in places of their own.
_PLACED = ("time", "level", "event", "exception")


def _console(event: Fields) -> str:
    fields = " ".join(
        f"{key}={_plain(value)}" for key, value in event.items() if key not in _PLACED
    )
    line = f"{str(event['time'])[11:23]} {event['level']:<7} {event['event']:<28} {fields}".rstrip()
    return f"{line}\n{event['exception']}" if "exception" in event else line


def _plain(value: object) -> str:
    text = str(value)
    readable = text.isprintable() and " " not in text and text
    return repr(text) if isinstance(value, str) and not readable else text


class _LibraryHandler(logging.Handler):
    """Turns log records of libraries into events of ours, so that they are masked as well."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Take *record*; without the lock around `emit`, for whoever holds that of the writer may
        log in the middle of it.
        """
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a library's bad format string is not our end
            message = f"unprintable log message ({type(error).__name__})"
        fields: Fields = {"logger": record.name, "message": message}
        if record.exc_info:
            fields["exc_info"] = record.exc_info[1]
        log.note(min(max(record.levelno // 10 * 10, 10), 50), "library.logged", fields)
        return True


def _bridge_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    # Libraries' debug output dumps requests, headers and signatures: never wanted here.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
