"""Paths that name the task we run in, told by ECS."""

from __future__ import annotations

import asyncio
import os

from leasekeeper.aws.ecs import METADATA_VARIABLE, TaskMetadata, read_task_metadata
from leasekeeper.errors import ConfigError, Problem
from leasekeeper.files.task_folders import Place, TaskFolders
from leasekeeper.settings.model import Settings
from leasekeeper.settings.task_paths import NAMES, fill, filled, folders, names_in, pattern

TRIES = 5
PAUSE_S = 1.0


async def resolve(settings: Settings) -> tuple[Settings, TaskFolders | None]:
    """Return *settings* with all placeholders filled, and the folders that are the task's own.

    :raises ConfigError: if there are placeholders, and ECS does not say what they stand for.
    """
    needed = names_in(settings)
    if not needed:
        return settings, None
    task = await _task()
    values = {
        "task_id": task.task_id,
        "task_arn": task.task_arn,
        "task_family": task.family,
        "task_revision": task.revision,
        "cluster": task.cluster.rpartition("/")[2],
        "availability_zone": task.availability_zone,
    }
    if missing := sorted(name for name in needed if not values[name]):
        names = ", ".join(f"{{{name}}}" for name in missing)
        msg = f"the task metadata of ECS has nothing for {names}"
        raise ConfigError(Problem(msg, "LK-CONF-008"))
    found = filled(settings, values)
    places = [
        Place(
            path=fill(folder, values),
            siblings=pattern(os.path.basename(folder), values),
            files=tuple(fill(path, values) for path in paths),
        )
        for folder, paths in folders(settings).items()
    ]
    dead_after_s = settings.lifecycle.remove_dead_tasks
    return found, TaskFolders(places, dead_after_s=dead_after_s) if places else None


async def _task() -> TaskMetadata:
    for tries_left in reversed(range(TRIES)):
        if (task := await read_task_metadata()) is not None:
            return task
        if METADATA_VARIABLE not in os.environ:
            break
        if tries_left:
            await asyncio.sleep(PAUSE_S)
    msg = (
        f"paths with placeholders ({', '.join(NAMES)}) need the task metadata of ECS, version 4, "
        f"whose address {METADATA_VARIABLE} holds: it is not set, or does not answer"
    )
    raise ConfigError(Problem(msg, "LK-CONF-008"))
