"""Log events: past-tense facts with fields, JSON in a container, readable on a terminal.

Use ``log.info("token.renewed", ttl_s=3600)``. Event names are stable; fields are flat. ``info``
is what an operator would put on a time line, ``warning`` means degraded but coping, ``error``
that a promise was broken, ``debug`` is everything else.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from leasekeeper.telemetry.redaction import redactor

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

LEVELS = {"trace": 5, "debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, style: str = "auto", stream: TextIO | None = None) -> None:
    """Send every event, and what libraries log, to *stream* (standard output by default).

    *level* is a key of `LEVELS`; *style* is ``auto`` (people on a terminal, JSON elsewhere),
    ``json`` or ``console``.
    """
    out = stream if stream is not None else sys.stdout
    number = LEVELS[level]
    pretty = style == "console" or (style == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _console if pretty else _json(),
            _redact,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_args: _Writer(out),
        cache_logger_on_first_use=False,
    )
    _bridge_libraries(number)


def _json() -> Any:
    def order(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
        first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
        return {**first, **event}

    render = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)

    def both(logger: Any, method: str, event: structlog.typing.EventDict) -> Any:
        return render(logger, method, order(logger, method, event))

    return both


def _console(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    time = event.pop("time")[11:23]
    level, name = event.pop("level"), event.pop("event")
    trace = event.pop("exception", None)
    fields = " ".join(f"{key}={_plain(value)}" for key, value in event.items())
    line = f"{time} {level:<7} {name:<28} {fields}".rstrip()
    return f"{line}\n{trace}" if trace else line


def _plain(value: object) -> str:
    text = str(value)
    return repr(text) if isinstance(value, str) and (" " in text or not text) else text


def _redact(_logger: Any, _method: str, line: Any) -> str:
    # Surrogates come from file names and environment variables that are not UTF-8.
    clean: str = redactor.redact(line)
    return clean.encode("utf-8", "backslashreplace").decode("utf-8")


class _Writer:
    """Writes whole lines; a reader that has gone away never stops the sidecar."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, line: str) -> None:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):
            # Nobody reads our log any more, which is no reason to let credentials expire.
            pass

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


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
