"""A place in the list of tokens, and the syntax errors that are found there."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from leasekeeper.errors import TemplateSyntaxError
from leasekeeper.templates.golang.nodes import shortened
from leasekeeper.templates.golang.tokens import Position, Token, TokenKind


class UnknownFunction(TemplateSyntaxError):
    """A template names a *function* that does not exist."""

    function = ""


_Error = TypeVar("_Error", bound=TemplateSyntaxError)


class Cursor:
    """Reads tokens one after the other, with as much looking ahead and going back as needed.

    *action* is the left delimiter of the current action, None outside of actions.
    """

    def __init__(self, tokens: list[Token], *, text: str, name: str) -> None:
        self._tokens = tokens
        self._text = text
        self._name = name
        self._peeked = 0
        self.at = 0
        self.action: Token | None = None

    def next(self) -> Token:
        """Return the token here and go on to the one after it."""
        at = self.at
        self.at = at + 1
        return self._tokens[at]

    def peek(self) -> Token:
        """Return the token here."""
        if self.at > self._peeked:
            self._peeked = self.at
        return self._tokens[self.at]

    def adjoining(self) -> TokenKind | None:
        """Return the kind of the token here, None if a blank is before it."""
        # A blank is a token in Go: whoever looks at it has not seen what comes after it.
        if self._tokens[self.at - 1].spaced:
            return None
        return self.peek().kind

    def back(self) -> None:
        """Go back by one token."""
        self.at -= 1
        self.peek()

    def expect(self, kind: TokenKind, context: str) -> Token:
        """Return the next token if it is of *kind*.

        :raises TemplateSyntaxError: if it is not.
        """
        token = self.next()
        if token.kind is not kind:
            self.unexpected(token, context)
        return token

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """Complain about a token that makes no sense here."""
        if token.kind is not TokenKind.ERROR:
            self.fail(f"unexpected {token.describe()} in {context}", token)
        extra = ""
        line = self._line(self.action or token)
        if line != self._line(token):
            extra = f" in action started at {self._name}:{line}"
            if token.value.endswith(" action"):
                extra = extra.removeprefix(" in action")
        self.fail(token.value + extra, token)

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Complain; *token* is the culprit, where there is one."""
        raise self.error(TemplateSyntaxError, message, token)

    def error(self, kind: type[_Error], message: str, token: Token | None) -> _Error:
        """Return the error that `fail` raises, of another class."""
        # Go names the line of the last token it has looked at, wherever the problem is.
        line = self._line(self._tokens[max(self._peeked, self.at - 1)])
        column = None
        if token is not None:
            place = Position.at(self._text, token.position)
            column = place.column if place.line == line else None
        message = f"template: {self._name}:{line}: {shortened(message)}"
        return kind(message, template=self._name, line=line, column=column)

    def _line(self, token: Token) -> int:
        return Position.at(self._text, token.position).line
