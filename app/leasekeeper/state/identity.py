"""Whose state it is: nobody else can use it, wherever it is copied to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from dataclasses import dataclass

from leasekeeper.aws.ecs import METADATA_VARIABLE, read_task_metadata
from leasekeeper.errors import StateError
from leasekeeper.settings.model import Settings

_TRIES = 3
# What may change without making another login of it.
_TUNING = {"min_backoff", "max_backoff", "exit_on_err"}


@dataclass(frozen=True, slots=True)
class Identity:
    """*place* is the task's ARN, or this machine; the others say which Vault it is about."""

    place: str
    address: str
    namespace: str

    @property
    def bound(self) -> bytes:
        """What is authenticated together with the state."""
        return json.dumps([self.place, self.address, self.namespace]).encode()

    @property
    def kms_context(self) -> dict[str, str]:
        """What KMS authenticates together with the data key; it is seen in CloudTrail."""
        return {"leasekeeper:place": self.place, "leasekeeper:vault": self.address}


async def identity_of(settings: Settings) -> Identity:
    """Return who we are: the ECS task, or outside ECS this machine.

    :raises StateError: if ECS does not say which task this is.
    """
    vault = settings.vault
    return Identity(await _place(), vault.address, vault.namespace)


async def _place() -> str:
    if not os.environ.get(METADATA_VARIABLE):
        return f"host {_machine_id()} {socket.gethostname()}"
    for _ in range(_TRIES):
        if task := await read_task_metadata():
            return task.task_arn
        await asyncio.sleep(0.5)
    raise StateError(
        "reading the task's ARN, to which the state is bound: the task metadata does not answer"
    )


def _machine_id() -> str:
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return ""


def login_of(settings: Settings) -> str:
    """Return a digest of how the configuration logs in, without its secrets and its timing."""
    about = settings.auth.model_dump_json(exclude=_TUNING)
    return hashlib.sha256(about.encode()).hexdigest()
