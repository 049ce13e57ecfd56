"""What ECS says about the task we run in (task metadata endpoint, version 4)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from leasekeeper.aws.metadata import MetadataError, get_json
from leasekeeper.telemetry.events import log

# Set by ECS in every container of a task, on Fargate (platform 1.4) and on EC2 (agent 1.39).
METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetadata:
    """One reading; fields that ECS left out are empty."""

    task_arn: str
    cluster: str = ""
    family: str = ""
    revision: str = ""
    desired_status: str = ""
    known_status: str = ""
    availability_zone: str = ""
    launch_type: str = ""

    @property
    def task_id(self) -> str:
        """The last part of the task's ARN."""
        return self.task_arn.rpartition("/")[2]

    @property
    def stopping(self) -> bool:
        """Whether ECS stops the whole task, and not just this container."""
        return self.desired_status == "STOPPED"


async def read_task_metadata(*, timeout_s: float = TIMEOUT_S) -> TaskMetadata | None:
    """Return what ECS says about the task now; None outside ECS and when it does not answer."""
    base = os.environ.get(METADATA_VARIABLE)
    if not base:
        return None
    try:
        document = await get_json(f"{base.rstrip('/')}/task", timeout_s=timeout_s)
    except MetadataError as error:
        log.debug("task.metadata_unavailable", error=str(error))
        return None
    return _task(document)


async def is_end_of_task(*, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether our end is the end of everybody who uses what we hold.

    Inside ECS that is so only while the whole task is being stopped; when it does not say, no:
    the application goes on while this container alone is replaced. Outside ECS it always is.
    """
    if not os.environ.get(METADATA_VARIABLE):
        return True
    task = await read_task_metadata(timeout_s=timeout_s)
    return task is not None and task.stopping


def _task(document: dict[str, Any]) -> TaskMetadata | None:
    def text(key: str) -> str:
        value = document.get(key)
        return value if isinstance(value, str) else ""

    if not text("TaskARN"):
        return None
    return TaskMetadata(
        task_arn=text("TaskARN"),
        cluster=text("Cluster"),
        family=text("Family"),
        revision=text("Revision"),
        desired_status=text("DesiredStatus"),
        known_status=text("KnownStatus"),
        availability_zone=text("AvailabilityZone"),
        launch_type=text("LaunchType"),
    )
