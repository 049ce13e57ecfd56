"""The types of /status. The published schema is made of them: docstrings are its descriptions.

Keys are only ever added; a change that could break a reader raises `VERSION`.
"""

from __future__ import annotations

from typing import Literal

# pydantic, which makes the schema, asks for this one before Python 3.12.
from typing_extensions import TypedDict

VERSION: Literal[1] = 1


class Problem(TypedDict):
    """An error that lasts."""

    code: str
    """Stands for the cause; `leasekeeper explain CODE` and docs/errors.md say more."""
    message: str
    """What was being done, to what, and what went wrong."""
    hint: str | None
    """How to mend it."""


class NextAction(TypedDict):
    """What comes next by itself."""

    action: Literal["renewal", "fetch", "login", "probe", "none"]
    """A later end for the same value, a new value, a new token, a look whether it still exists."""
    at: str | None
    """When; null when nothing is planned, or it is due already."""


class VaultStatus(TypedDict):
    """Vault, seen from here."""

    address: str
    """Scheme, host and port."""
    reachable: bool
    """Whether it answers."""
    since: str | None
    """When that changed last; null if it never did."""
    latency_seconds: float | None
    """How long the newest answer took; null before the first."""
    latencies_seconds: list[float]
    """How long the newest answers took, the oldest first."""
    clock_offset_seconds: float | None
    """Vault's clock minus ours."""
    error: Problem | None
    """Why it cannot be reached."""


class TokenStatus(TypedDict):
    """The live token."""

    live: bool
    """Whether there is one."""
    accessor_hash: str | None
    """First 16 hex digits of the SHA-256 of its accessor."""
    logins: int
    """Tokens since the start of the process, this one included."""
    renewable: bool
    """Whether Vault lets it be renewed."""
    final: bool
    """Whether no renewal can move its end any further."""
    issued: str | None
    """When it was given."""
    renewals: int
    """How often it was renewed."""
    renewed: list[str]
    """When that was, the newest 16."""
    expires: str | None
    """When it ends; null when never."""
    ttl_seconds: float | None
    """How long that is from now; null when it never ends."""
    next: NextAction
    """What is planned."""
    handover: str | None
    """When the next login ahead of its end is planned; null when none is."""
    error: Problem | None
    """Why there is no (new) token, or it cannot be renewed."""


class SecretStatus(TypedDict):
    """One secret, as asked for by templates."""

    name: str
    """The path, and what is done with it if it is not read."""
    kind: Literal["leased", "static_role", "certificate", "static", "list"] | None
    """What governs its life; null before the first value."""
    generation: int
    """Values since the start of the process."""
    issued: str | None
    """When the present value was given."""
    renewals: int
    """How often its lease was renewed."""
    renewed: list[str]
    """When that was, the newest 16."""
    expires: str | None
    """When the value stops working, with its lease or with its token; null when never."""
    valid_seconds: float | None
    """How long that is from now; null when never."""
    next: NextAction
    """What is planned, whatever comes first."""
    renewal: str | None
    """When the lease is renewed next."""
    rotation: str | None
    """When a new value is asked for at the latest; for a value without an end, when it is read."""
    probe: str | None
    """When it is looked whether the lease still exists."""
    lease_hash: str | None
    """First 16 hex digits of the SHA-256 of the lease id."""
    outputs: list[str]
    """The outputs whose file was made from it."""
    error: Problem | None
    """Why it cannot be fetched or its lease not renewed."""


class NotifyStatus(TypedDict):
    """How telling the application of the newest file stands."""

    result: str
    """idle, pending, retrying, ok or failed."""
    last_success: str | None
    """When the application was told last."""
    error: Problem | None
    """Why it could not be told."""


class OutputStatus(TypedDict):
    """One file for the application."""

    name: str
    """Its destination, or the name it was given."""
    group: str | None
    """The group whose files change together; null when it is in none."""
    state: Literal["waiting", "published", "unchanged", "failed"]
    """How the newest attempt ended."""
    generation: int
    """Contents since the start of the process."""
    published: str | None
    """When new content was put in place."""
    size_bytes: int
    """How much that is."""
    expires: str | None
    """When the first credential in it stops working; null when never."""
    valid_seconds: float | None
    """How long that is from now; null when never."""
    expired: bool
    """Whether something in it has stopped working."""
    secrets: list[str]
    """What it was made from."""
    waiting_for: list[str]
    """What is missing for new content."""
    notify: NotifyStatus | None
    """Telling the application; null when nobody is to be told."""
    error: Problem | None
    """Why the newest attempt failed. The last good file is still in place."""


class SinkStatus(TypedDict):
    """A file with the token."""

    path: str
    """Where it is."""
    settled: bool
    """Whether it holds the live token."""
    error: Problem | None
    """Why it does not."""


class ApplicationStatus(TypedDict):
    """The application that `exec` runs."""

    state: str
    """waiting, running, restarting, stopping or exited."""
    pid: int | None
    """Its process id."""
    starts: int
    """How often it was started."""
    started: str | None
    """When it was started last."""


class StateStatus(TypedDict):
    """What survives a restart."""

    error: Problem | None
    """Why it cannot be written."""


class SharedStatus(TypedDict):
    """Several tasks on one volume."""

    leading: bool
    """Whether this task writes the files."""
    leader: str | None
    """Who does."""
    term: int
    """How often that has changed."""


class Event(TypedDict):
    """One event of the log, without what is secret and without tracebacks."""

    time: str | None
    """When it was."""
    level: str | None
    """info, warning or error."""
    event: str | None
    """Its name."""
    fields: dict[str, object]
    """What belongs to it; long texts are cut."""


class Status(TypedDict):
    """The answer of /status. All times are UTC."""

    version: Literal[1]
    """Version of this document. Keys may be added without a new one."""
    leasekeeper: str
    """Version of the program."""
    now: str | None
    """When this was said."""
    state: Literal["starting", "healthy", "degraded", "unhealthy"]
    """As /health has it."""
    reasons: list[str]
    """What is wrong, a sentence each."""
    outage_budget_seconds: float | None
    """For how long everything on disk stays valid if Vault went away now; null is for ever."""
    outage_budget_until: str | None
    """When that ends; null is never."""
    vault: VaultStatus | None
    """Null in a task that stands by."""
    token: TokenStatus | None
    """Null in a task that stands by."""
    secrets: list[SecretStatus]
    """In the order in which they were first asked for."""
    outputs: list[OutputStatus]
    """In the order of the configuration."""
    sinks: list[SinkStatus]
    """In the order of the configuration."""
    application: ApplicationStatus | None
    """Null without `exec`."""
    state_store: StateStatus | None
    """Null without `state.path`."""
    shared: SharedStatus | None
    """Null without `shared.directory`."""
    events: list[Event]
    """The newest events, the newest first."""
