"""Rules for ECS task definitions: botocore's types, moto's registration, and what both leave."""

from __future__ import annotations

import os
from typing import Any

# Fargate's sizes: CPU units to MiB. Larger ones are not for a sidecar's example.
FARGATE = {
    "256": (512, 1024, 2048),
    "512": tuple(range(1024, 4097, 1024)),
    "1024": tuple(range(2048, 8193, 1024)),
    "2048": tuple(range(4096, 16385, 1024)),
}
HEALTH_CHECK = {
    "interval": (5, 300),
    "timeout": (2, 60),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}
LONGEST_TIMEOUT_S = 120
RESTART_PERIOD_S = (60, 1800)


class Wrong(Exception):
    """ECS would refuse the task definition, or run something else than what is meant."""


def check_task_definition(name: str, definition: dict[str, Any]) -> None:
    """Look at *definition* in every way there is without AWS.

    :raises Wrong: with everything that was found.
    """
    problems = [
        *unregistered(definition),
        *strange_values(input_shape(), definition, "task"),
        *broken_references(definition),
        *sizes_out_of_range(definition),
        *open_volumes(definition),
    ]
    if problems:
        raise Wrong("\n".join(f"{name}: {problem}" for problem in problems))


def unregistered(definition: dict[str, Any]) -> list[str]:
    """Register with moto, through botocore's own validation; what comes back is what was sent."""
    from botocore.exceptions import BotoCoreError, ClientError
    from moto import mock_aws

    with mock_aws():
        try:
            answer = client().register_task_definition(**definition)["taskDefinition"]
        except (BotoCoreError, ClientError) as error:
            return [str(error)]
    return [f"moto has not kept {where}" for where in lost(definition, answer, "task")]


def lost(sent: Any, answer: Any, where: str) -> list[str]:
    """Return where *answer* does not hold what was *sent*; it may hold more, such as defaults."""
    if isinstance(sent, dict) and isinstance(answer, dict):
        return [
            path
            for key, value in sent.items()
            for path in lost(value, answer.get(key), f"{where}.{key}")
        ]
    if isinstance(sent, list) and isinstance(answer, list) and len(sent) == len(answer):
        pairs = enumerate(zip(sent, answer, strict=True))
        return [
            path
            for number, (one, other) in pairs
            for path in lost(one, other, f"{where}[{number}]")
        ]
    return [] if sent == answer else [where]


def client() -> Any:
    """Return an ECS client that can only talk to moto."""
    import boto3

    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.client(
        "ecs", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
    )


def input_shape() -> Any:
    """Return botocore's description of a task definition."""
    return client().meta.service_model.operation_model("RegisterTaskDefinition").input_shape


def strange_values(shape: Any, value: Any, where: str) -> list[str]:
    """Return the texts that are not in their enumeration, which botocore does not look at."""
    if shape.type_name == "structure":
        return [
            problem
            for key, each in value.items()
            if key in shape.members
            for problem in strange_values(shape.members[key], each, f"{where}.{key}")
        ]
    if shape.type_name == "list":
        return [
            problem
            for number, each in enumerate(value)
            for problem in strange_values(shape.member, each, f"{where}[{number}]")
        ]
    allowed = shape.enum if shape.type_name == "string" else []
    return (
        [f"{where} is {value!r}, not one of {allowed}"] if allowed and value not in allowed else []
    )


def broken_references(definition: dict[str, Any]) -> list[str]:
    """Return containers and volumes that are named and not there, or there and not named."""
    containers = {each["name"]: each for each in definition["containerDefinitions"]}
    volumes = {each["name"] for each in definition.get("volumes", ())}
    problems = []
    if len(containers) < len(definition["containerDefinitions"]):
        problems.append("two containers have one name")
    if not any(each.get("essential", True) for each in containers.values()):
        problems.append("no container is essential")
    used = set()
    for name, container in containers.items():
        for needed in container.get("dependsOn", ()):
            problems += unfit_dependency(name, needed, containers)
        used |= {each["sourceVolume"] for each in container.get("mountPoints", ())}
    problems += [f"there is no volume {name}" for name in sorted(used - volumes)]
    problems += [f"nobody mounts the volume {name}" for name in sorted(volumes - used)]
    return problems


def unfit_dependency(
    name: str, needed: dict[str, str], containers: dict[str, dict[str, Any]]
) -> list[str]:
    """Return what is wrong with one entry of dependsOn."""
    other, condition = needed["containerName"], needed["condition"]
    if other not in containers or other == name:
        return [f"{name} depends on {other}, which is not there"]
    if condition == "HEALTHY" and "healthCheck" not in containers[other]:
        return [f"{name} waits for the health of {other}, which has no health check"]
    if condition in ("SUCCESS", "COMPLETE") and containers[other].get("essential", True):
        return [f"{name} waits for the end of {other}, which ends the task"]
    return []


def sizes_out_of_range(definition: dict[str, Any]) -> list[str]:
    """Return the numbers that ECS, or Fargate, does not allow."""
    problems = []
    cpu, memory = definition["cpu"], int(definition["memory"])
    if memory not in FARGATE.get(cpu, ()):
        problems.append(f"Fargate has no {cpu} CPU units with {memory} MiB")
    containers = definition["containerDefinitions"]
    if sum(each.get("memory", 0) for each in containers) > memory:
        problems.append("the containers have more memory than the task")
    for container in containers:
        name = container["name"]
        for key, (least, most) in HEALTH_CHECK.items():
            number = container.get("healthCheck", {}).get(key, least)
            if not least <= number <= most:
                problems.append(f"{name}: {key} is {number}, not {least} to {most}")
        problems += [
            f"{name}: {key} is not 1 to {LONGEST_TIMEOUT_S}"
            for key in ("startTimeout", "stopTimeout")
            if not 0 < container.get(key, 1) <= LONGEST_TIMEOUT_S
        ]
        least, most = RESTART_PERIOD_S
        period = container.get("restartPolicy", {}).get("restartAttemptPeriod", least)
        if not least <= period <= most:
            problems.append(f"{name}: restartAttemptPeriod is {period}, not {least} to {most}")
    return problems


def open_volumes(definition: dict[str, Any]) -> list[str]:
    """Return the EFS volumes that are mounted in the clear, or by whoever is in the network."""
    problems = []
    for volume in definition.get("volumes", ()):
        if efs := volume.get("efsVolumeConfiguration"):
            authorized = efs.get("authorizationConfig", {})
            if efs.get("transitEncryption") != "ENABLED":
                problems.append(f"the volume {volume['name']} is not encrypted in transit")
            if authorized.get("iam") != "ENABLED" or "accessPointId" not in authorized:
                problems.append(f"the volume {volume['name']} needs IAM and an access point")
    return problems


def from_cloudformation(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of an `AWS::ECS::TaskDefinition` as the request that they mean.

    :raises Wrong: for a property that the request does not have.
    """
    value = _renamed(input_shape(), {**properties, "Tags": []}, "TaskDefinition")
    value.pop("tags")
    return dict(value)


def _renamed(shape: Any, value: Any, where: str) -> Any:
    if shape.type_name == "list":
        return [_renamed(shape.member, each, where) for each in value]
    if shape.type_name != "structure":
        return value
    names = {member.lower(): member for member in shape.members}
    if unknown := [key for key in value if key.lower() not in names]:
        raise Wrong(f"{where} has no {unknown}")
    return {
        names[key.lower()]: _renamed(shape.members[names[key.lower()]], each, f"{where}.{key}")
        for key, each in value.items()
    }
