"""The sections that say how the application learns of a new file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from leasekeeper.settings.durations import Timeout
from leasekeeper.settings.fields import FilePath, Section, Url


class HttpNotify(Section):
    """Tell the application with an HTTP request."""

    url: Url
    """URL to call; it may not carry credentials."""
    method: Literal["POST", "PUT", "GET"] = "POST"
    """HTTP method."""


class SignalNotify(Section):
    """Tell the application with a signal."""

    pid_file: FilePath
    """File with the process id; a missing file means not started yet, which is no error."""
    signal: Literal["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGWINCH"] = "SIGHUP"
    """Signal to send."""


class CommandNotify(Section):
    """Tell the application by running a program."""

    command: Annotated[list[str], Field(min_length=1)]
    """Program and arguments; no shell. Placeholders: none. The environment is Leasekeeper's,
    without its own secrets, plus `LEASEKEEPER_OUTPUT` (the destination)."""


class Notify(Section):
    """How the application learns of a newly published file. A failure never blocks an output."""

    http: HttpNotify | None = None
    """Send an HTTP request."""
    signal: SignalNotify | None = None
    """Send a signal."""
    command: CommandNotify | None = None
    """Run a program."""
    exec: (
        Literal["restart", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGWINCH"] | None
    ) = None
    """Tell the application that Leasekeeper runs (`exec`): by a signal, or start it again."""
    timeout: Timeout = 10.0
    """Longest time for one try."""
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    """Tries after the first one, with growing pauses; a newer publish starts over."""

    @model_validator(mode="after")
    def _check(self) -> Notify:
        ways = (self.http, self.signal, self.command, self.exec)
        if sum(way is not None for way in ways) != 1:
            msg = "exactly one of http, signal, command and exec is needed"
            raise ValueError(msg)
        return self
