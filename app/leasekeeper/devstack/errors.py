"""What goes wrong in the local world."""

from __future__ import annotations

from leasekeeper.errors import AgentError

INSTALL = "pip install 'leasekeeper[devstack]'"


class DevstackError(AgentError):
    """A part of the local world cannot be started, or refused an administrative request."""


class Refused(DevstackError):
    """OpenBao or STS answered an administrative request with an error; *status* is HTTP's."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


def missing(what: str) -> DevstackError:
    """Return the error for a component that is not installed."""
    return DevstackError(f"{what} is not installed", hint=INSTALL)
