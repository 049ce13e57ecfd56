"""The application as a child of Leasekeeper, with secrets in its environment."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from leasekeeper.settings import checks
from leasekeeper.settings.durations import Duration, Timeout
from leasekeeper.settings.fields import FilePath, Section, Text


class EnvSection(Section):
    """One environment variable of the application."""

    name: Annotated[str, AfterValidator(checks.variable_name)]
    """Name of the variable; it replaces one of the same name in Leasekeeper's own environment."""
    template: Text | None = None
    """The value as a template, in the language of Vault Agent (Go templates)."""
    template_file: FilePath | None = None
    """File with the template; read once at start."""
    error_on_missing_key: bool = True
    """Fail instead of writing `<no value>` when a template uses a key that does not exist."""
    left_delimiter: Text = "{{"
    """Start of an action in the template."""
    right_delimiter: Text = "}}"
    """End of an action in the template."""
    function_denylist: list[Text] = Field(default_factory=list)
    """Functions that the template may not call; `*` and `?` stand for any name."""
    sandbox_path: FilePath | None = None
    """Directory that the template's function `file` may not leave."""

    @property
    def label(self) -> str:
        """The variable's name, as errors tell it."""
        return self.name

    @model_validator(mode="after")
    def _check(self) -> EnvSection:
        if (self.template is None) == (self.template_file is None):
            msg = "exactly one of template and template_file is needed"
            raise ValueError(msg)
        return self


class ExecSection(Section):
    """Run the application as a child; its exit code is Leasekeeper's."""

    command: Annotated[list[str], AfterValidator(checks.command), Field(min_length=1)]
    """Program and arguments; no shell. It starts when every output and every variable is there,
    and gets Leasekeeper's environment without `LEASEKEEPER_...`, plus `env`."""
    env: list[EnvSection] = Field(default_factory=list)
    """Variables of the application, made from secrets. They change together or not at all."""
    restart_on_secret_changes: Literal["always", "never"] = "always"
    """Whether the application is started again when the value of one of `env` has changed."""
    restart_stop_signal: Annotated[str, AfterValidator(checks.signal_name)] = "SIGTERM"
    """Signal that asks the application to end, for a restart and at the end of Leasekeeper."""
    child_process_stdout: FilePath | None = None
    """File to append the application's standard output to, instead of sharing Leasekeeper's."""
    child_process_stderr: FilePath | None = None
    """File to append the application's standard error to, instead of sharing Leasekeeper's."""
    restart_delay: Duration = 2.0
    """Time between a change and the restart, so that changes that belong together are one."""
    kill_timeout: Timeout = 20.0
    """Time for the application to end before it is killed. With `lifecycle.shutdown_deadline` it
    should not be longer than the task's `stopTimeout` (30 s by default)."""

    @model_validator(mode="after")
    def _check(self) -> ExecSection:
        counts = Counter(variable.name for variable in self.env)
        if twice := [name for name, count in counts.items() if count > 1]:
            msg = f"env: there are two variables called {twice[0]}"
            raise ValueError(msg)
        return self
