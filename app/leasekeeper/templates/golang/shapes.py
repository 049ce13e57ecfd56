"""Questions about the shape of an expression. None of them is answered recursively."""

from __future__ import annotations

from leasekeeper.templates.golang.nodes import Chain, Command, Identifier, Node, Pipe


def place_of(node: Node) -> Node:
    """Return the node that evaluating *node* looks at last, where Go locates what fails next.

    It is an ``and`` or ``or`` itself if which of its arguments that is shows only at run time.
    """
    while True:
        if isinstance(node, Pipe):
            node = node.commands[-1]
        elif isinstance(node, Chain):
            node = node.operand
        elif isinstance(node, Command) and not may_stop_early(node):
            node = node.arguments[-1]
        else:
            return node


def may_stop_early(command: Command) -> bool:
    """Whether *command* is an ``and`` or ``or`` that may leave arguments out."""
    first = command.arguments[0]
    is_logic = isinstance(first, Identifier) and first.name in ("and", "or")
    return is_logic and len(command.arguments) > 2


def innermost(pipe: Pipe) -> Pipe:
    """Return what is inside ``((...))``, where the parentheses hold nothing else."""
    while is_wrapper(pipe):
        inner = pipe.commands[0].arguments[0]
        assert isinstance(inner, Pipe)
        pipe = inner
    return pipe


def is_wrapper(pipe: Pipe) -> bool:
    """Whether *pipe* is nothing but another pipeline in parentheses."""
    if pipe.variables or len(pipe.commands) > 1:
        return False
    arguments = pipe.commands[0].arguments
    return len(arguments) == 1 and isinstance(arguments[0], Pipe)


def parts_of(root: Pipe) -> list[Pipe]:
    """Return the pipelines inside *root*, each after the ones inside it."""
    parts: list[Pipe] = []
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Pipe):
            parts.append(node)
            waiting.extend(node.commands)
        elif isinstance(node, Command):
            waiting.extend(node.arguments)
        elif isinstance(node, Chain):
            waiting.append(node.operand)
    return parts[::-1]
