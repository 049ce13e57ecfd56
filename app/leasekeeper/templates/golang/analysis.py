"""What can be told of a template without rendering it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.nodes import (
    Call,
    Chain,
    Command,
    Definition,
    Identifier,
    Node,
    Open,
    Output,
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
        for node in _nodes(definitions[name]):
            if isinstance(node, String):
                waiting.append(node.value)  # may be given to executeTemplate
            elif isinstance(node, Pipe):
                requests |= _requests(node, functions)
        waiting += [
            statement.invocation.name
            for statement in definitions[name].statements
            if isinstance(statement, Call)
        ]
    return frozenset(requests)


def _nodes(definition: Definition) -> Iterator[Node]:
    """Yield every node of the definition's expressions."""
    for statement in definition.statements:
        waiting: list[Node] = []
        if isinstance(statement, Output):
            waiting.append(statement.action.pipe)
        elif isinstance(statement, Open):
            waiting.append(statement.pipe)
        elif isinstance(statement, Call) and statement.invocation.pipe is not None:
            waiting.append(statement.invocation.pipe)
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node, Pipe):
                waiting.extend(node.commands)
            elif isinstance(node, Command):
                waiting.extend(node.arguments)
            elif isinstance(node, Chain):
                waiting.append(node.operand)


def _requests(pipe: Pipe, functions: FunctionTable) -> set[SecretRequest]:
    """Return the requests that the commands of *pipe* make."""
    requests = set()
    piped: list[Node] = []
    for command in pipe.commands:
        first, *arguments = [*command.arguments, *piped]
        request = _request(first, arguments, functions)
        if request is not None:
            requests.add(request)
        # Only a constant can be known at the next command; anything else stops it being constant.
        piped = [first] if len(command.arguments) == 1 else [command]
    return requests


def _request(first: Node, arguments: list[Node], functions: FunctionTable) -> SecretRequest | None:
    function = functions.get(first.name) if isinstance(first, Identifier) else None
    if function is None or function.request is None:
        return None
    values = tuple(node.value for node in arguments if isinstance(node, String))
    if len(values) < len(arguments):
        return None
    try:
        return function.request(values)
    except GoError:
        return None  # rendering will say so, with the place
