"""The policies and task definitions that Terraform and CloudFormation would make, as data.

Terraform's come from modules that need no provider, by a real ``terraform apply``; CloudFormation's
from the template with its functions resolved.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from deploy.cloudformation import resolved
from deploy.programs import output, program, run
from deploy.task_definition import from_cloudformation

TEMPLATE = Path("ecs/cloudformation/product-api.yaml")
EVERY_OPTION = {
    "ShareFiles": "true",
    "StateKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "EcrRepositoryArn": "arn:aws:ecr:us-east-1:123456789012:repository/leasekeeper",
    "PrometheusSecurityGroupId": "sg-01234567",
}


def policies_of_terraform(tree: Path) -> dict[str, Any]:
    """Return what modules/policies makes of everything that can be asked of it."""
    values = applied(tree / "ecs/terraform/tests/policies")
    return {f"terraform: {name}": json.loads(text) for name, text in values.items()}


def policies_of_cloudformation(tree: Path) -> dict[str, Any]:
    """Return the policies in the template, with every option on."""
    documents: dict[str, Any] = {}
    for name, resource in resolved(tree / TEMPLATE, EVERY_OPTION).items():
        for key in ("PolicyDocument", "AssumeRolePolicyDocument", "FileSystemPolicy"):
            if key in resource["Properties"]:
                documents[f"cloudformation: {name}"] = resource["Properties"][key]
    return documents


def with_every_option(tree: Path) -> str:
    """Return the text of the template with the defaults that switch everything on."""
    text = (tree / TEMPLATE).read_text()
    for name, value in EVERY_OPTION.items():
        default = re.compile(rf"^(  {name}:\n(?:    .*\n)*?    Default: ).*$", re.MULTILINE)
        text, count = default.subn(lambda found, value=value: f'{found[1]}"{value}"', text)
        assert count == 1, name
    return text


def tasks_of_terraform(tree: Path) -> dict[str, Any]:
    """Return task definitions with what modules/sidecar makes of several inputs."""
    sidecars = applied(tree / "ecs/terraform/tests/tasks")
    return {f"terraform: {name}": task_around(sidecar) for name, sidecar in sidecars.items()}


def tasks_of_cloudformation(tree: Path) -> dict[str, Any]:
    """Return the template's task definition with all options off, and with all of them on."""
    found = {}
    options: tuple[tuple[str, dict[str, str]], ...] = (
        ("plain", {}),
        ("every option", EVERY_OPTION),
    )
    for name, parameters in options:
        properties = resolved(tree / TEMPLATE, parameters)["TaskDefinition"]["Properties"]
        found[f"cloudformation: {name}"] = from_cloudformation(properties)
    return found


def task_around(sidecar: dict[str, Any]) -> dict[str, Any]:
    """Return the task definition that the example's resource would register."""
    application = {
        "name": "app",
        "image": "app:1",
        "essential": True,
        "dependsOn": sidecar["depends_on"],
        "mountPoints": [sidecar["application_mount_point"]],
    }
    return {
        "family": "app",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "taskRoleArn": "arn:aws:iam::123456789012:role/app",
        "executionRoleArn": "arn:aws:iam::123456789012:role/app-execution",
        "containerDefinitions": [sidecar["container_definition"], application],
        "volumes": [volume_of(each) for each in sidecar["volumes"]],
    }


def volume_of(volume: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of modules/sidecar's ``volumes`` as ECS has it."""
    if volume["efs"] is None:
        return {"name": volume["name"]}
    efs = {
        "fileSystemId": volume["efs"]["file_system_id"],
        "transitEncryption": "ENABLED",
        "authorizationConfig": {
            "accessPointId": volume["efs"]["access_point_id"],
            "iam": "ENABLED",
        },
    }
    return {"name": volume["name"], "efsVolumeConfiguration": efs}


def applied(folder: Path) -> dict[str, Any]:
    """Return the output ``all`` of the Terraform configuration in *folder*, without a provider."""
    tool = program("terraform")
    run(tool, "init", "-input=false", "-no-color", cwd=folder)
    run(tool, "apply", "-auto-approve", "-input=false", "-no-color", cwd=folder)
    value: dict[str, Any] = json.loads(output(tool, "output", "-json", "all", cwd=folder))
    return value
