"""What the parser makes of a template: expressions as trees, statements as a flat list.

Statements stay flat (an opening `Open`, an `Else`, an `End`), so that no nesting of blocks, however
deep, makes anything recursive; the compiler keeps its own stack. Expressions know their height for
the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leasekeeper.templates.golang.quoting import quote

# --- expressions ------------------------------------------------------------------------------


class Node:
    """Part of an expression, at a *position* of the template's text."""

    __slots__ = ("position",)
    height = 0

    def __init__(self, position: int) -> None:
        self.position = position

    def pieces(self) -> list[str | Node]:
        """Return the source text of the node, children in place."""
        raise NotImplementedError


class Dot(Node):
    __slots__ = ()

    def pieces(self) -> list[str | Node]:
        return ["."]


class Nil(Node):
    __slots__ = ()

    def pieces(self) -> list[str | Node]:
        return ["nil"]


class Bool(Node):
    __slots__ = ("value",)

    def __init__(self, position: int, value: bool) -> None:
        self.position = position
        self.value = value

    def pieces(self) -> list[str | Node]:
        return ["true" if self.value else "false"]


class String(Node):
    __slots__ = ("literal", "value")

    def __init__(self, position: int, literal: str, value: str) -> None:
        self.position = position
        self.literal = literal
        self.value = value

    def pieces(self) -> list[str | Node]:
        return [self.literal]


class Number(Node):
    """A numeric or character literal, and every kind of number it can be taken for."""

    __slots__ = ("as_complex", "as_float", "as_int", "as_uint", "literal")

    def __init__(self, position: int, literal: str) -> None:
        self.position = position
        self.literal = literal
        self.as_int: int | None = None
        self.as_uint: int | None = None
        self.as_float: float | None = None
        self.as_complex: complex | None = None

    def pieces(self) -> list[str | Node]:
        return [self.literal]


class Identifier(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        self.position = position
        self.name = name

    def pieces(self) -> list[str | Node]:
        return [self.name]


class Field(Node):
    """``.A.B``: fields of dot."""

    __slots__ = ("names",)

    def __init__(self, position: int, names: tuple[str, ...]) -> None:
        self.position = position
        self.names = names

    def pieces(self) -> list[str | Node]:
        return ["." + ".".join(self.names)]


class Variable(Node):
    """``$x.A.B``: a variable, and fields of it."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, name: str, names: tuple[str, ...] = ()) -> None:
        self.position = position
        self.name = name
        self.names = names

    def pieces(self) -> list[str | Node]:
        return [".".join((self.name, *self.names))]


class Chain(Node):
    """``(pipeline).A.B`` or ``function.A``: fields of what an operand yields."""

    __slots__ = ("height", "names", "operand")

    def __init__(self, position: int, operand: Node, names: tuple[str, ...]) -> None:
        self.position = position
        self.operand = operand
        self.names = names
        self.height = operand.height

    def pieces(self) -> list[str | Node]:
        suffix = "." + ".".join(self.names)
        if isinstance(self.operand, Pipe):
            return ["(", self.operand, ")" + suffix]
        return [self.operand, suffix]


class Command(Node):
    """A function, method or value with its arguments."""

    __slots__ = ("arguments", "height")

    def __init__(self, position: int) -> None:
        self.position = position
        self.arguments: list[Node] = []
        self.height = 0

    def pieces(self) -> list[str | Node]:
        pieces: list[str | Node] = []
        for argument in self.arguments:
            pieces.append(" " if pieces else "")
            pieces += ["(", argument, ")"] if isinstance(argument, Pipe) else [argument]
        return pieces


class Pipe(Node):
    """Commands joined by ``|``, the result given to variables if there are any."""

    __slots__ = ("assigns", "commands", "height", "variables")

    def __init__(self, position: int) -> None:
        self.position = position
        self.commands: list[Command] = []
        self.variables: list[str] = []
        self.assigns = False
        self.height = 0

    def pieces(self) -> list[str | Node]:
        pieces: list[str | Node] = []
        if self.variables:
            pieces.append(", ".join(self.variables) + (" = " if self.assigns else " := "))
        for at, command in enumerate(self.commands):
            pieces.append(" | " if at else "")
            pieces.append(command)
        return pieces

    def close(self) -> None:
        """Note the height, once all commands are there.

        A pipeline that is nothing but another one in parentheses adds none.
        """
        first = self.commands[0]
        if len(first.arguments) == 1 and len(self.commands) == 1 and not self.variables:
            self.height = first.height = first.arguments[0].height
            return
        for command in self.commands:
            command.height = 1 + max([argument.height for argument in command.arguments])
            self.height = max(self.height, command.height)


MAX_SOURCE = 2000
"""Longest source text in an error message, in characters; Go shows all of it."""


def source(node: Node) -> str:
    """Return *node* as source text, as Go's error messages show it."""
    parts: list[str] = []
    waiting: list[str | Node] = [node]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            parts.append(piece)
        else:
            waiting.extend(reversed(piece.pieces()))
    return shortened("".join(parts))


def shortened(text: str) -> str:
    """Return *text* without its middle if it is too long for an error message."""
    if len(text) <= MAX_SOURCE:
        return text
    return f"{text[: MAX_SOURCE // 2]} ... {text[-MAX_SOURCE // 2 :]}"


Delimiters = tuple[str, str]
"""What actions begin and end with, as in ``{{pipeline}}``."""


class Action(Node):
    """``{{pipeline}}`` as a place for error messages."""

    __slots__ = ("delimiters", "pipe")

    def __init__(self, pipe: Pipe, delimiters: Delimiters) -> None:
        self.position = pipe.position
        self.pipe = pipe
        self.delimiters = delimiters

    def pieces(self) -> list[str | Node]:
        left, right = self.delimiters
        return [left, self.pipe, right]


class Invocation(Node):
    """``{{template "name" pipeline}}``."""

    __slots__ = ("delimiters", "name", "pipe")

    def __init__(self, position: int, name: str, pipe: Pipe | None, delimiters: Delimiters) -> None:
        self.position = position
        self.name = name
        self.pipe = pipe
        self.delimiters = delimiters

    def pieces(self) -> list[str | Node]:
        left, right = self.delimiters
        name = f"{left}template {quote(self.name)}"
        return [name, right] if self.pipe is None else [name, " ", self.pipe, right]


# --- statements -------------------------------------------------------------------------------


@dataclass(slots=True)
class Text:
    """Text outside of actions."""

    text: str


@dataclass(slots=True)
class Output:
    """An action: its value is printed unless it goes to a variable."""

    action: Action


@dataclass(slots=True)
class Call:
    """Renders a defined template."""

    invocation: Invocation


@dataclass(slots=True)
class Open:
    """Starts an ``if``, ``with`` or ``range``; an `Else` may and an `End` will follow."""

    keyword: Literal["if", "with", "range"]
    pipe: Pipe


@dataclass(slots=True)
class Else:
    """Starts the alternative of the innermost open block."""


@dataclass(slots=True)
class End:
    """Ends the innermost open block."""


@dataclass(slots=True)
class Break:
    """Leaves the innermost ``range``."""


@dataclass(slots=True)
class Continue:
    """Goes on with the next element of the innermost ``range``."""


Statement = Text | Output | Call | Open | Else | End | Break | Continue


@dataclass(slots=True)
class Definition:
    """A named template, and every pipeline in it, those in parentheses included."""

    name: str
    statements: list[Statement]
    pipes: list[Pipe]

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it but blanks; such a definition can be replaced."""
        return all(
            isinstance(statement, Text) and not statement.text.strip()
            for statement in self.statements
        )
