"""The errors that Leasekeeper raises on purpose.

::

    AgentError                        .exit_code, .retryable, .hint
    ├─ ConfigError                    every problem at once                          exit 2
    ├─ AuthError                                                                     exit 3
    │  ├─ AwsCredentialsError         no usable task role credentials (yet)          retryable
    │  ├─ LoginInputError             a file that the login needs is not there (yet) retryable
    │  └─ LoginDenied                 Vault answered and said no
    ├─ VaultError                     .status .path .operation, never a body         exit 4
    │  ├─ VaultUnavailable            transport, 5xx, sealed, standby, 429   retryable, exit 6
    │  ├─ VaultDenied                 403: the token, or its policy
    │  ├─ SecretNotFound              404, or a deleted version
    │  ├─ VaultRejected               any other 4xx: the request itself is wrong
    │  └─ MintBudgetSpent             not asked at all: too many new values lately   retryable
    ├─ LeaseLost                      a lease that can no longer be renewed          exit 4
    ├─ TemplateError                  .template .line .column, never a value         exit 4
    │  ├─ TemplateSyntaxError         found when the configuration is checked        exit 2
    │  └─ TemplateRenderError         found with the data at hand
    ├─ OutputError                    a destination or its content                   exit 5
    │  ├─ UnreadableFile              a local file that a template uses (not yet)    retryable
    │  ├─ PublishError                .path .errno; the last good file stays         retryable
    │  │  └─ Unwritable              time will not mend it: no directory, no right
    │  ├─ StateError                  the directory of the state cannot be used      retryable
    │  ├─ SinkError                   the token cannot be encrypted for its reader   retryable
    │  ├─ ValidationFailed            the new content is not what `validate` asks for
    │  └─ NotifyError                 the application could not be told              retryable
    ├─ ApplicationError               the application cannot be started (`exec`)     exit 7
    ├─ LeadershipLost                 another task leads; ends nothing but our own leading
    └─ StartupDeadlineExceeded        nothing else explains why we are not ready     exit 6

Errors of other libraries are translated where they appear, with the cause chained, and
whether to try again is read off the class. Messages say what was being done and to what.
They never hold a secret: response bodies and rendered text stay out of them.

Every error has a code for its cause (``LK-AUTH-003``): its class's, or a closer one that whoever
raises it has set. `leasekeeper.codes` says what each means; only `explain` and the docs need that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

EXIT_DONE = 0
EXIT_CONFIG = 2
EXIT_LOGIN = 3
EXIT_SECRET = 4
EXIT_DESTINATION = 5
EXIT_STARTUP_DEADLINE = 6
EXIT_APPLICATION = 7
EXIT_BUG = 70


class AgentError(Exception):
    """Base of every deliberate error; *hint* is a sentence that says how to mend it."""

    code: str = "LK-BUG-001"
    exit_code: ClassVar[int] = EXIT_BUG
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    @property
    def coded(self) -> str:
        """The message, the hint and the code, for people."""
        return f"{self} [{self.code}]"


class Problem(str):
    """One thing that is wrong with a configuration: a sentence that has a *code*."""

    __slots__ = ("code",)
    code: str

    def __new__(cls, text: str, code: str) -> Self:
        """Return *text* as a problem of the kind *code*."""
        self = super().__new__(cls, text)
        self.code = code
        return self

    @property
    def coded(self) -> str:
        """The sentence and the code, for people."""
        return f"{self} [{self.code}]"


class ConfigError(AgentError):
    """The configuration cannot be used; *problems* lists everything that is wrong with it.

    What is given without a code gets the general one.
    """

    code = "LK-CONF-001"
    exit_code = EXIT_CONFIG

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems) or "the configuration is not valid")
        self.problems = tuple(
            text if isinstance(text, Problem) else Problem(text, self.code) for text in problems
        )
        if len({problem.code for problem in self.problems}) == 1:
            self.code = self.problems[0].code


class AuthError(AgentError):
    """No login to Vault."""

    code = "LK-AUTH-001"
    exit_code = EXIT_LOGIN


class AwsCredentialsError(AuthError):
    """The task role's credentials cannot be read, or have expired."""

    code = "LK-AUTH-006"
    retryable = True


class LoginInputError(AuthError):
    """A file that the login needs is missing, empty or holds something else."""

    code = "LK-AUTH-011"
    retryable = True


class LoginDenied(AuthError):
    """Vault answered the login and refused it; final until somebody changes something."""

    code = "LK-AUTH-001"

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class VaultError(AgentError):
    """Vault answered with an error, or did not answer. *operation* and *path* say to what."""

    code = "LK-VAULT-007"
    exit_code = EXIT_SECRET

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        path: str = "",
        status: int = 0,
        errors: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.path = path
        self.status = status
        self.errors = errors


class VaultUnavailable(VaultError):
    """Vault cannot be reached or cannot serve now; nothing that is valid may be dropped for it.

    *retry_after_s* is the pause that Vault asked for, in seconds, or None. *unreachable* raises the
    doubt that nobody behind the address can serve anything now; `Reachability` then finds out.
    *interrupted* says that the request hung through an outage that has ended: try again at once.
    *never_sent* says that there was no connection, so Vault has done nothing.
    """

    code = "LK-VAULT-007"
    exit_code = EXIT_STARTUP_DEADLINE
    retryable = True
    retry_after_s: float | None = None
    unreachable: bool = False
    interrupted: bool = False
    never_sent: bool = False


class VaultDenied(VaultError):
    """403: the token is bad, or its policy does not allow this path.

    *token_serial* names the login whose token was refused, so that ten refusals of one token
    cause one login.
    """

    code = "LK-SECRET-001"
    token_serial: int = 0


class SecretNotFound(VaultError):
    """There is no secret at the path, or its current version is deleted.

    *metadata* is what KV version 2 still tells of a version without data, or None.
    """

    code = "LK-SECRET-002"
    metadata: Mapping[str, object] | None = None


class VaultRejected(VaultError):
    """Vault refused the request as such (400, 405, 413, ...)."""

    code = "LK-VAULT-008"


class MintBudgetSpent(VaultError):
    """A secret was not asked for, because it had too many new values lately."""

    code = "LK-SECRET-004"
    retryable = True


class LeaseLost(AgentError):
    """Vault no longer knows the lease, or refuses to renew it."""

    code = "LK-SECRET-005"
    exit_code = EXIT_SECRET


class TemplateError(AgentError):
    """A template cannot be used. *line* counts from 1, *column* counts bytes from 0."""

    code = "LK-TPL-002"
    exit_code = EXIT_SECRET

    def __init__(
        self,
        message: str,
        *,
        template: str = "",
        line: int = 0,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.template = template
        self.line = line
        self.column = column


class TemplateSyntaxError(TemplateError):
    """The text of a template does not parse, or names an unknown function."""

    code = "LK-TPL-001"
    exit_code = EXIT_CONFIG


class TemplateRenderError(TemplateError):
    """A template failed on the data it was given.

    *sticky* is True when it failed for what it had not been given yet, in Vault Agent's dialect:
    there that ends the template, so its arrival is no reason to try again.
    """

    code = "LK-TPL-002"
    sticky: bool = False


class OutputError(AgentError):
    """An output could not be published; what is on disk is unchanged."""

    code = "LK-FILE-006"
    exit_code = EXIT_DESTINATION


class UnreadableFile(OutputError):
    """A local file that a template uses is missing, or is no file."""

    code = "LK-TPL-006"
    retryable = True


class PublishError(OutputError):
    """The file system refused the file at *path*."""

    code = "LK-FILE-006"
    retryable = True

    def __init__(
        self, message: str, *, path: str, errno: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.errno = errno


class Unwritable(PublishError):
    """The file system refused for what time does not mend, such as a directory that is missing."""

    retryable = False


class StateError(OutputError):
    """The state cannot be kept: its directory is not writable, or in use by another process."""

    code = "LK-STATE-001"
    retryable = True


class SinkError(OutputError):
    """The token cannot be encrypted for the reader of a sink, whose key is not usable (yet)."""

    code = "LK-SINK-001"
    retryable = True


class ValidationFailed(OutputError):
    """The rendered content is not valid, so the last good file stays."""

    code = "LK-FILE-008"


class NotifyError(OutputError):
    """The application could not be told of a published file."""

    code = "LK-NOTIFY-001"
    retryable = True


class ApplicationError(AgentError):
    """The application that `exec` names cannot be started."""

    code = "LK-APP-001"
    exit_code = EXIT_APPLICATION


class LeadershipLost(AgentError):
    """Another task leads on the shared volume now; ours stands by again."""

    code = "LK-SHARED-001"


class StartupDeadlineExceeded(AgentError):
    """The first complete publish did not happen in time, and no single error explains why."""

    code = "LK-START-001"
    exit_code = EXIT_STARTUP_DEADLINE
