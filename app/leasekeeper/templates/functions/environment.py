"""env, mustEnv, envOrDefault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.templates.golang.functions import FunctionTable, GoError

if TYPE_CHECKING:
    from leasekeeper.templates.golang.machine import Run

functions = FunctionTable()


@functions.add("env", "string", run=True)
def env(run: Run, name: str) -> str:
    """Return an environment variable, or nothing."""
    return run.environ.get(name, "")


@functions.add("mustEnv", "string", run=True)
def must_env(run: Run, name: str) -> str:
    """Return an environment variable that is not empty."""
    value = run.environ.get(name, "")
    if not value:
        msg = f"required environment variable {name} is empty"
        raise GoError(msg)
    return value


@functions.add("envOrDefault", "string", "string", run=True)
def env_or_default(run: Run, name: str, default: str) -> str:
    """Return an environment variable, empty or not, or *default* if it is not set."""
    return run.environ.get(name, default)
