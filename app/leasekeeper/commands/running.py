"""Asking the Leasekeeper that runs in this container."""

from __future__ import annotations

import argparse
import http.client
import json
import os
from datetime import UTC, datetime
from typing import Any

from leasekeeper.errors import EXIT_SECRET, AgentError
from leasekeeper.web.healthcheck import DEFAULT_LISTEN

_TIMEOUT_S = 5.0
_LISTEN = "LEASEKEEPER_WEB__LISTEN"


class NotRunning(AgentError):
    """Nobody answers where Leasekeeper should be listening."""

    code = "LK-START-002"
    exit_code = EXIT_SECRET


def add_listen(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the running process is."""
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT",
        default=os.environ.get(_LISTEN) or DEFAULT_LISTEN,
        help=f"where Leasekeeper listens; default: {_LISTEN}, else {DEFAULT_LISTEN}",
    )  # fmt: skip


def status(listen: str) -> dict[str, Any]:
    """Return /status of the process that listens there.

    :raises NotRunning: without an answer of Leasekeeper.
    """
    host, _, port = listen.rpartition(":")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host)  # noqa: S104 - compared, not bound
    hint = f"is it running? --listen or {_LISTEN} says where; web.listen is its setting"
    try:
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/status")
            answer = connection.getresponse()
            told = _document(answer.read())
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        if isinstance(error, ValueError):
            reason = "that is no ADDRESS:PORT"
        raise NotRunning(f"no answer from {listen}: {reason}", hint=hint) from error
    if not isinstance(told, dict) or not {"version", "secrets", "outputs"} <= told.keys():
        raise NotRunning(f"what answers at {listen} is not Leasekeeper", hint=hint)
    return told


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def seconds_until(time: str | None, told: dict[str, Any]) -> float | None:
    """Return how long *time* is from the moment of the answer; None for never."""
    if time is None:
        return None
    moment = datetime.fromisoformat(told["now"]) if told.get("now") else datetime.now(UTC)
    return (datetime.fromisoformat(time) - moment).total_seconds()


def times(count: int) -> str:
    """Return how often something happened as a person says it."""
    return "once" if count == 1 else f"{count} times"


def span(seconds: float | None) -> str:
    """Return a length of time as a person says it: ``2h 5m``, ``41s``; ``-`` for endless."""
    if seconds is None:
        return "-"
    whole = max(round(seconds), 0)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m")]
    said = [f"{number}{unit}" for number, unit in [*parts, (whole % 60, "s")] if number]
    return " ".join(said[:2]) or "0s"
