"""Parses what stands inside of actions: pipelines, commands, operands.

Open parentheses live on a list, so their depth is bounded by Go's limit and never by Python's.
"""

from __future__ import annotations

from collections import Counter
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
_VALUES = (Bool, Dot, Nil, Number, String)


class Names:
    """The variables that are visible at the current place of a definition."""

    def __init__(self) -> None:
        self._stack = ["$"]
        self._counts = Counter(self._stack)

    def __len__(self) -> int:
        return len(self._stack)

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    def declare(self, name: str) -> None:
        """Make *name* visible."""
        self._stack.append(name)
        self._counts[name] += 1

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


def unquoted(cursor: Cursor, token: Token) -> str:
    """Return the text of a string *token*."""
    try:
        return unquote(token.value)
    except QuotingError as error:
        cursor.fail(str(error), token)


class PipelineParser:
    """Parses pipelines of one definition, whose variables are *names*.

    *is_function* says whether a name is that of a function.
    """

    def __init__(self, cursor: Cursor, names: Names, is_function: Callable[[str], bool]) -> None:
        self._cursor = cursor
        self._names = names
        self._is_function = is_function

    def parse(self, context: str) -> Pipe:
        """Parse up to and including the right delimiter; *context* is for error messages."""
        cursor = self._cursor
        stack = [self._open(context, _K.RIGHT_DELIM)]
        while True:
            current = stack[-1]
            if current.command is None:
                if self._starts_command(current):
                    continue
                stack.pop()
                if not stack:
                    return current.pipe
                self._operand(stack[-1], current.pipe)
                continue
            token = cursor.next_word()
            if token.kind is not _K.LEFT_PAREN:
                self._operand(current, self._term(token))
                continue
            if len(stack) > MAX_PARENTHESES:
                cursor.fail("max expression depth exceeded", token)
            stack.append(self._open("parenthesized pipeline", _K.RIGHT_PAREN))

    def _open(self, context: str, end: TokenKind) -> _OpenPipe:
        opened = _OpenPipe(self._cursor.peek_word().position, context, end)
        self._declarations(opened.pipe, context)
        return opened

    def _declarations(self, pipe: Pipe, context: str) -> None:
        """Parse ``$x :=``, ``$x =`` and, for ``range``, ``$i, $x :=``, if they are there."""
        cursor = self._cursor
        while cursor.peek_word().kind is _K.VARIABLE:
            start = cursor.at
            variable = cursor.next()
            following = cursor.peek_word()
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
            if cursor.peek_word().kind not in (_K.VARIABLE, _K.RIGHT_DELIM, _K.RIGHT_PAREN):
                cursor.fail("range can only initialize variables", variable)

    def _declare(self, pipe: Pipe, variable: Token) -> None:
        pipe.variables.append(variable.value)
        self._names.declare(variable.value)

    def _starts_command(self, opened: _OpenPipe) -> bool:
        """Start the next command; False if the pipeline is complete instead."""
        token = self._cursor.next_word()
        if token.kind is opened.end:
            self._check(opened)
            opened.pipe.close()
            return False
        if token.kind not in _OPERANDS:
            self._cursor.unexpected(token, opened.context)
        self._cursor.back()
        opened.command = Command(token.position)
        return True

    def _check(self, opened: _OpenPipe) -> None:
        commands = opened.pipe.commands
        if not commands:
            self._cursor.fail(f"missing value for {opened.context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.arguments[0], _VALUES):
                self._cursor.fail(f"non executable command in pipeline stage {stage}")

    def _operand(self, opened: _OpenPipe, node: Node | None) -> None:
        """Add *node*, with the fields that follow it, to the command; end it where it ends."""
        command = opened.command
        assert command is not None
        if node is not None:
            if self._cursor.peek().kind is _K.FIELD:
                node = self._fields(node)
            command.arguments.append(node)
        token = self._cursor.next()
        if token.kind is _K.SPACE:
            return
        if token.kind in (_K.RIGHT_DELIM, _K.RIGHT_PAREN):
            self._cursor.back()
        elif token.kind is not _K.PIPE:
            self._cursor.unexpected(token, "operand")
        if not command.arguments:
            self._cursor.fail("empty command")
        opened.pipe.commands.append(command)
        opened.command = None

    def _fields(self, node: Node) -> Node:
        first = self._cursor.peek()
        names: list[str] = []
        while self._cursor.peek().kind is _K.FIELD:
            names.append(self._cursor.next().value[1:])
        if isinstance(node, Field):
            return Field(first.position, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(first.position, node.name, (*node.names, *names))
        if isinstance(node, _VALUES):
            self._cursor.fail(f"unexpected . after term {quote(source(node))}", first)
        return Chain(first.position, node, tuple(names))

    def _term(self, token: Token) -> Node | None:
        """Return the operand that *token* is, or put it back and return None."""
        make = self._TERMS.get(token.kind)
        if make is None:
            self._cursor.back()
            return None
        return make(self, token)

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
