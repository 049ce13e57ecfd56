"""What can be told of a template without rendering it."""

from __future__ import annotations

from collections.abc import Mapping

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.nodes import (
    Call,
    Definition,
    Identifier,
    Node,
    Pipe,
    String,
)


def constant_requests(
    definitions: Mapping[str, Definition], main: str, functions: FunctionTable
) -> frozenset[SecretRequest]:
    """Return the requests with constant arguments in *main* and in what it can call.

    Code that is never reached counts as well, as far as that takes running it to know.
    """
    requests: set[SecretRequest] = set()
    seen: set[str] = set()
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in definitions:
            continue
        seen.add(name)
        definition = definitions[name]
        for pipe in definition.pipes:
            requests.update(_requests(pipe, functions))
            waiting += _strings(pipe)  # may be given to executeTemplate
        waiting += [
            statement.invocation.name
            for statement in definition.statements
            if isinstance(statement, Call)
        ]
    return frozenset(requests)


def _strings(pipe: Pipe) -> list[str]:
    return [
        node.value
        for command in pipe.commands
        for node in command.arguments
        if isinstance(node, String)
    ]


def _requests(pipe: Pipe, functions: FunctionTable) -> list[SecretRequest]:
    """Return the requests that the commands of *pipe* make."""
    requests = []
    piped: list[Node] = []
    for command in pipe.commands:
        first = command.arguments[0]
        if isinstance(first, Identifier):
            request = _request(first, command.arguments[1:] + piped, functions)
            requests += [request] if request is not None else []
        # Only a constant can be known at the next command; anything else stops it being constant.
        piped = [first] if len(command.arguments) == 1 else [command]
    return requests


def _request(
    name: Identifier, arguments: list[Node], functions: FunctionTable
) -> SecretRequest | None:
    function = functions.get(name.name)
    if function is None or function.request is None:
        return None
    values = tuple([node.value for node in arguments if isinstance(node, String)])
    if len(values) < len(arguments):
        return None
    try:
        return function.request(values)
    except GoError:
        return None  # rendering will say so, with the place
