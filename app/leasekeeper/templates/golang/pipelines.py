"""Parses what stands inside of actions: pipelines, commands, operands.

Open parentheses live on a list, so their depth is bounded by Go's limit and never by Python's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from leasekeeper.templates.golang import literals
from leasekeeper.templates.golang.cursor import Cursor, UnknownFunction
from leasekeeper.templates.golang.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Variable,
    source,
)
from leasekeeper.templates.golang.quoting import QuotingError, quote, unquote
from leasekeeper.templates.golang.tokens import Token, TokenKind

MAX_PARENTHESES = 10_000
"""Deepest nesting of parentheses, as in Go."""

_K = TokenKind
STRINGS = frozenset({_K.STRING, _K.RAW_STRING})
_NUMBERS = frozenset({_K.NUMBER, _K.COMPLEX, _K.CHAR_CONSTANT})
_OPERANDS = (
    STRINGS
    | _NUMBERS
    | {_K.BOOL, _K.DOT, _K.FIELD, _K.IDENTIFIER, _K.NIL, _K.VARIABLE, _K.LEFT_PAREN}
)
_ENDS = (_K.RIGHT_DELIM, _K.RIGHT_PAREN)
_VALUES = (Bool, Dot, Nil, Number, String)


class Names:
    """The variables that are visible at the current place of a definition."""

    def __init__(self) -> None:
        self._stack = ["$"]
        self._counts = {"$": 1}

    def __len__(self) -> int:
        return len(self._stack)

    def __contains__(self, name: str) -> bool:
        return self._counts.get(name, 0) > 0

    def declare(self, name: str) -> None:
        """Make *name* visible."""
        self._stack.append(name)
        self._counts[name] = self._counts.get(name, 0) + 1

    def forget(self, count: int) -> None:
        """Leave only the first *count* declarations visible."""
        while len(self._stack) > count:
            self._counts[self._stack.pop()] -= 1


class _OpenPipe:
    """A pipeline under construction, and the command in it that is."""

    __slots__ = ("command", "context", "end", "pipe")

    def __init__(self, position: int, context: str, end: TokenKind) -> None:
        self.pipe = Pipe(position)
        self.context = context
        self.end = end
        self.command: Command | None = None

    def at(self, token: Token) -> Command:
        """Return the command that *token* is part of, a new one if none has been started."""
        if self.command is None:
            self.command = Command(token.position)
            self.pipe.commands.append(self.command)
        return self.command


def unquoted(cursor: Cursor, token: Token) -> str:
    """Return the text of a string *token*."""
    try:
        return unquote(token.value)
    except QuotingError as error:
        cursor.fail(str(error), token)


class PipelineParser:
    """Parses pipelines of one definition, whose variables are *names*.

    *is_function* says whether a name is that of a function. *parsed* gets every pipeline, those
    in parentheses included.
    """

    def __init__(
        self,
        cursor: Cursor,
        names: Names,
        is_function: Callable[[str], bool],
        parsed: list[Pipe],
    ) -> None:
        self._cursor = cursor
        self._names = names
        self._is_function = is_function
        self._parsed = parsed

    def parse(self, context: str) -> Pipe:
        """Parse up to and including the right delimiter; *context* is for error messages."""
        cursor = self._cursor
        stack = [self._open(context, _K.RIGHT_DELIM)]
        while True:
            opened, token = stack[-1], cursor.next()
            make = self._TERMS.get(token.kind)
            if make is not None:
                self._operand(opened.at(token), make(self, token))
            elif token.kind is _K.LEFT_PAREN:
                opened.at(token)
                if len(stack) > MAX_PARENTHESES:
                    cursor.fail("max expression depth exceeded", token)
                stack.append(self._open("parenthesized pipeline", _K.RIGHT_PAREN))
            elif self._ends(opened, token):
                stack.pop()
                if not stack:
                    return opened.pipe
                self._operand(stack[-1].at(token), opened.pipe)

    def _open(self, context: str, end: TokenKind) -> _OpenPipe:
        token = self._cursor.peek()
        opened = _OpenPipe(token.position, context, end)
        if token.kind is _K.VARIABLE:
            self._declarations(opened.pipe, context)
        return opened

    def _declarations(self, pipe: Pipe, context: str) -> None:
        """Parse ``$x :=``, ``$x =`` or, for ``range``, ``$i, $x :=``, if the variable is one."""
        cursor = self._cursor
        while cursor.peek().kind is _K.VARIABLE:
            start = cursor.at
            variable = cursor.next()
            following = cursor.peek()
            if following.kind in (_K.ASSIGN, _K.DECLARE):
                cursor.next()
                pipe.assigns = following.kind is _K.ASSIGN
                self._declare(pipe, variable)
                return
            if following.kind is not _K.CHAR or following.value != ",":
                cursor.at = start
                return
            cursor.next()
            self._declare(pipe, variable)
            if context != "range" or len(pipe.variables) > 1:
                cursor.fail(f"too many declarations in {context}", variable)
            if cursor.peek().kind not in (_K.VARIABLE, _K.RIGHT_DELIM, _K.RIGHT_PAREN):
                cursor.fail("range can only initialize variables", variable)

    def _declare(self, pipe: Pipe, variable: Token) -> None:
        pipe.variables.append(variable.value)
        self._names.declare(variable.value)

    def _ends(self, opened: _OpenPipe, token: Token) -> bool:
        """Whether *token*, which is no operand, ends the pipeline; else it ends a command."""
        if opened.command is not None:
            if token.kind is _K.PIPE:
                opened.command = None
                return False
            if token.kind not in _ENDS:
                self._cursor.unexpected(token, "operand")
        if token.kind is not opened.end:
            self._cursor.unexpected(token, opened.context)
        self._check(opened)
        opened.pipe.close()
        self._parsed.append(opened.pipe)
        return True

    def _check(self, opened: _OpenPipe) -> None:
        commands = opened.pipe.commands
        if not commands:
            self._cursor.fail(f"missing value for {opened.context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.arguments[0], _VALUES):
                self._cursor.fail(f"non executable command in pipeline stage {stage}")

    def _operand(self, command: Command, node: Node) -> None:
        """Add *node*, with the fields that follow it, to the *command*."""
        cursor = self._cursor
        fields = []
        while (following := cursor.adjoining()) is _K.FIELD:
            fields.append(cursor.next())
        command.arguments.append(self._chain(node, fields) if fields else node)
        if following in _OPERANDS:
            cursor.unexpected(cursor.next(), "operand")

    def _chain(self, node: Node, fields: list[Token]) -> Node:
        first, names = fields[0], [field.value[1:] for field in fields]
        if isinstance(node, Field):
            return Field(first.position, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(first.position, node.name, (*node.names, *names))
        if isinstance(node, _VALUES):
            self._cursor.fail(f"unexpected . after term {quote(source(node))}", first)
        return Chain(first.position, node, tuple(names))

    def _function(self, token: Token) -> Node:
        if not self._is_function(token.value):
            message = f"function {quote(token.value)} not defined"
            error = self._cursor.error(UnknownFunction, message, token)
            error.function = token.value
            raise error
        return Identifier(token.position, token.value)

    def _variable(self, token: Token) -> Node:
        if token.value not in self._names:
            self._cursor.fail(f"undefined variable {quote(token.value)}", token)
        return Variable(token.position, token.value)

    def _string(self, token: Token) -> Node:
        return String(token.position, token.value, unquoted(self._cursor, token))

    def _number(self, token: Token) -> Node:
        try:
            return literals.number(token)
        except ValueError as error:
            self._cursor.fail(str(error), token)

    _TERMS: ClassVar[dict[TokenKind, Callable[[PipelineParser, Token], Node]]] = {
        _K.IDENTIFIER: _function,
        _K.FIELD: lambda _, token: Field(token.position, (token.value[1:],)),
        _K.VARIABLE: _variable,
        _K.DOT: lambda _, token: Dot(token.position),
        _K.BOOL: lambda _, token: Bool(token.position, token.value == "true"),
        _K.NIL: lambda _, token: Nil(token.position),
        **dict.fromkeys(STRINGS, _string),
        **dict.fromkeys(_NUMBERS, _number),
    }
