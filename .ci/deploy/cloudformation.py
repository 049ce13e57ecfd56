"""Resolve a CloudFormation template as far as checkers need: parameters, conditions, references."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NOTHING = object()
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "us-east-1",
    "AWS::Partition": "aws",
    "AWS::StackName": "product-api",
    "AWS::NoValue": NOTHING,
}
# What parameters and attributes of resources look like when nobody says: by the end of their name.
EFS = "arn:aws:elasticfilesystem:us-east-1:123456789012"
SHAPES = {
    "PrivateSubnetIds": ["subnet-01234567", "subnet-12345678"],
    "PublicSubnetIds": ["subnet-23456789", "subnet-34567890"],
    "VaultAddress": "https://vault.example.com:8200",
    "FileSystem": "fs-01234567",
    "AccessPoint": "fsap-01234567",
    "TaskRole.Arn": "arn:aws:iam::123456789012:role/product-api",
    "ExecutionRole.Arn": "arn:aws:iam::123456789012:role/product-api-execution",
    "FileSystem.Arn": f"{EFS}:file-system/fs-01234567",
    "AccessPoint.Arn": f"{EFS}:access-point/fsap-01234567",
}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, `!Ref x`, as their long ones."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)  # type: ignore[no-untyped-call]


def resolved(template: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the resources that *parameters* give, with made-up names for what AWS would name."""
    text = yaml.load(template.read_text(), Loader=_Loader)
    stack = _Stack(text, parameters)
    return {
        name: stack.value(resource)
        for name, resource in text["Resources"].items()
        if stack.holds(resource.get("Condition"))
    }


class _Stack:
    def __init__(self, text: dict[str, Any], parameters: Mapping[str, str]) -> None:
        self._conditions = text.get("Conditions", {})
        defaults = {name: each.get("Default", NOTHING) for name, each in text["Parameters"].items()}
        self._known = {**PSEUDO, **SHAPES}
        self._known |= {name: each for name, each in defaults.items() if each is not NOTHING}
        self._known |= parameters

    def holds(self, condition: Any) -> bool:
        """Return whether *condition*, a name or a function, is true; none is."""
        if condition is None:
            return True
        if isinstance(condition, str):
            return self.holds(self._conditions[condition])
        ((function, operands),) = condition.items()
        if function == "Condition":
            return self.holds(operands)
        if function == "Fn::Equals":
            left, right = (self.value(each) for each in operands)
            return bool(left == right)
        answers = [self.holds(each) for each in operands]
        return {"Fn::Not": not answers[0], "Fn::Or": any(answers), "Fn::And": all(answers)}[
            function
        ]

    def value(self, node: Any) -> Any:
        """Return *node* without functions; what is `AWS::NoValue` is left out."""
        if isinstance(node, list):
            return [each for each in map(self.value, node) if each is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, operands),) = node.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._called(name, operands)
        pairs = {key: self.value(each) for key, each in node.items()}
        return {key: each for key, each in pairs.items() if each is not NOTHING}

    def _called(self, function: str, operands: Any) -> Any:
        if function in ("Ref", "Fn::GetAtt"):
            return self._named(operands)
        if function == "Fn::Sub":
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(self._named(found[1])), operands)
        if function == "Fn::If":
            return self.value(operands[1 if self.holds(operands[0]) else 2])
        if function == "Fn::Select":
            return self.value(operands[1])[int(operands[0])]
        raise NotImplementedError(f"{function} in the template: teach it to {__file__}")

    def _named(self, name: str) -> Any:
        return self._known.get(name, f"some-{name.lower().replace('.', '-').replace(':', '-')}")
