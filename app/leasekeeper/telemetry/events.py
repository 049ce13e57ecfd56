"""Log events: past-tense facts with fields, JSON in a container, readable on a terminal.

Use ``log.info("token.renewed", ttl_s=3600)``. Event names are stable; fields are flat. ``info``
is what an operator would put on a time line, ``warning`` means degraded but coping, ``error``
that a promise was broken, ``debug`` is everything else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog

from leasekeeper.telemetry.recent import recent
from leasekeeper.telemetry.redaction import redactor

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

# `trace` is a word of Vault Agent's; here nothing is finer than debug.
LEVELS = {"trace": 10, "debug": 10, "info": 20, "warning": 30, "error": 40}


Copy = Callable[[bytes], None]
"""Takes every line that is written, and never waits."""


def configure(
    level: str, style: str = "auto", stream: TextIO | None = None, *, copy: Copy | None = None
) -> None:
    """Send every event, and what libraries log, to *stream* (standard output by default).

    *level* is a key of `LEVELS`; *style* is ``auto`` (people on a terminal, JSON elsewhere),
    ``json`` or ``console``. *copy* gets every line as well.
    """
    out = stream if stream is not None else sys.stdout
    number = LEVELS[level]
    writer = _Writer(out, copy)
    pretty = style == "console" or (style == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _mask,
            _remember,
            _console if pretty else _json,
            _encodable,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_args: writer,
        cache_logger_on_first_use=False,
    )
    _bridge_libraries(number)


def set_level(level: str) -> None:
    """Change the level of what `configure` has set up."""
    number = LEVELS[level]
    structlog.configure(
        **{**structlog.get_config(), "wrapper_class": structlog.make_filtering_bound_logger(number)}
    )
    _bridge_libraries(number)


# How long a full pipe may hold up a line, once.
_PATIENCE_MS = 100
# What every event has, and what is not data: it comes from our own source.
_FIRST = ("time", "level", "event")


def _mask(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    # Before the line is written, where a secret could look like a part of the line itself.
    fields = {key: redactor.mask(event[key]) for key in event if key not in _FIRST}
    return {**{key: event[key] for key in _FIRST}, **fields}


def _remember(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    recent.note(event)
    return event


# `json.dumps` with options makes an encoder for each call, at the price of encoding a line.
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _json(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    return _encode(event)


def _console(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    time = event.pop("time")[11:23]
    level, name = event.pop("level"), event.pop("event")
    trace = event.pop("exception", None)
    fields = " ".join(f"{key}={_plain(value)}" for key, value in event.items())
    line = f"{time} {level:<7} {name:<28} {fields}".rstrip()
    return f"{line}\n{trace}" if trace else line


def _plain(value: object) -> str:
    text = str(value)
    readable = text.isprintable() and " " not in text and text
    return repr(text) if isinstance(value, str) and not readable else text


def _encodable(_logger: Any, _method: str, line: Any) -> str:
    # Surrogates come from file names and environment variables that are not UTF-8.
    text: str = line
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Writer:
    """Writes whole lines. A reader that is slow, or has gone away, never stops the sidecar.

    A log driver that cannot deliver stops reading, and a write to a full pipe would stop the event
    loop with every renewal in it. So lines that nobody takes are dropped, and counted.
    """

    def __init__(self, out: TextIO, copy: Copy | None) -> None:
        self._out = out
        self._copy = copy
        self._dropped = 0
        self._before = b""
        self._poll = select.poll()
        self._file: int | None = None
        with contextlib.suppress(OSError, ValueError):  # no file behind it
            self._file = out.fileno()
            self._poll.register(self._file, select.POLLOUT)

    def msg(self, line: str) -> None:
        if self._copy is not None:
            self._copy(line.encode() + b"\n")
        try:
            if self._file is None:
                self._out.write(line + "\n")
                self._out.flush()
            else:
                self._write(self._file, line.encode() + b"\n")
        except (OSError, ValueError):
            # Nobody reads our log any more, which is no reason to let credentials expire.
            pass

    log = debug = info = warn = warning = error = critical = fatal = exception = msg

    def _write(self, file: int, line: bytes) -> None:
        if self._dropped and self._is_taken():
            dropped, self._dropped = self._dropped, 0
            log.warning("log.lines_dropped", lines=dropped)
        line, whole = self._before + line, len(self._before + line)
        # A pipe that takes anything takes this much without waiting.
        while line and self._is_taken():
            line = line[os.write(file, line[: select.PIPE_BUF]) :]
        if line:
            self._dropped += 1
        if len(line) < whole:
            self._before = b"\n" if line else b""  # the next line does not continue half of one

    def _is_taken(self) -> bool:
        # The first wait is long enough for any reader that is alive; after that none is due.
        return bool(self._poll.poll(0 if self._dropped else _PATIENCE_MS))


class _LibraryHandler(logging.Handler):
    """Turns log records of libraries into events of ours, so that they are masked as well."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a library's bad format string is not our end
            message = f"unprintable log message ({type(error).__name__})"
        log.log(
            min(max(record.levelno // 10 * 10, 10), 50),
            "library.logged",
            logger=record.name,
            message=message,
            exc_info=record.exc_info,
        )


def _bridge_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    # Libraries' debug output dumps requests, headers and signatures: never wanted here.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
