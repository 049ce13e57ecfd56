"""Running the operator's programs: no shell, no input, no output, and none of our secrets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

_OUR_PREFIXES = ("LEASEKEEPER_", "VAULT_", "BAO_")
# Whoever holds these holds the task role, and with it our login to Vault.
_AWS_CREDENTIALS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
_REAP_S = 1.0  # a killed process that does not end within this hangs in the kernel


def child_environment(
    environ: Mapping[str, str], *, destination: str | None = None
) -> dict[str, str]:
    """Return *environ* without what belongs to Leasekeeper, plus ``LEASEKEEPER_OUTPUT``."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_OUR_PREFIXES) and name not in _AWS_CREDENTIALS
    }
    return kept if destination is None else {**kept, "LEASEKEEPER_OUTPUT": destination}


async def run_command(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a program to its end and return its exit status, negative for a signal.

    It gets a process group of its own; cancelling this call kills the whole group. What it writes
    is thrown away, because a checker that quotes the bad line quotes a secret.

    :raises OSError: if the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            await kill_group(process)


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill *process* and what it has started; one that hangs in the kernel is left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REAP_S):
            await process.wait()


def describe_exit(status: int) -> str:
    """Return an exit status in words."""
    if status >= 0:
        return f"exited with {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
