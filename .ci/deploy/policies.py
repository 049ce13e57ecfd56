"""Look at IAM policies as text: known actions that fit their resources, and no wildcard."""

from __future__ import annotations

import json
from typing import Any

from deploy.programs import Broken


def check_policy(name: str, document: dict[str, Any]) -> None:
    """Have parliament read *document*; in what it allows, nothing stands for everything."""
    import parliament

    # A resource policy's `*` is the resource that it is attached to; a trust policy has none.
    own = {"RESOURCE_STAR"} if any("Principal" in each for each in document["Statement"]) else set()
    statements = [{"Resource": "*", **each} for each in document["Statement"]]
    text = json.dumps({**document, "Statement": statements})
    found = parliament.analyze_policy_string(text).findings
    serious = [finding for finding in found if finding.issue not in own]
    if serious:
        raise Broken("\n".join(f"{name}: {finding}" for finding in serious))
    for statement in document["Statement"]:
        check_breadth(name, statement)


def check_breadth(name: str, statement: dict[str, Any]) -> None:
    """No action and no resource of an Allow is a wildcard, except where AWS has no other way."""
    if statement["Effect"] != "Allow":
        return
    actions = as_list(statement["Action"])
    if wide := [action for action in actions if "*" in action]:
        raise Broken(f"{name}: allows {wide}")
    only_on_everything = actions == ["ecr:GetAuthorizationToken"]
    on_itself = "Principal" in statement
    if "*" in as_list(statement.get("Resource", [])) and not (only_on_everything or on_itself):
        raise Broken(f"{name}: allows {actions} on everything")
    if on_itself and "Condition" not in statement:
        raise Broken(f"{name}: a principal without a condition")


def as_list(value: Any) -> list[Any]:
    """Return *value* as IAM reads it: one is a list of one."""
    return value if isinstance(value, list) else [value]
