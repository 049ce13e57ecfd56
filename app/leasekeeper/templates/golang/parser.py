"""Turns the text of a template into definitions: named lists of statements.

Open blocks live on lists, so nothing here is recursive however deep a template nests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, NoReturn, cast

from leasekeeper.templates.golang.cursor import Cursor
from leasekeeper.templates.golang.lexer import tokenize
from leasekeeper.templates.golang.nodes import (
    Action,
    Break,
    Call,
    Continue,
    Definition,
    Delimiters,
    Else,
    End,
    Invocation,
    Open,
    Output,
    Statement,
    Text,
)
from leasekeeper.templates.golang.pipelines import STRINGS, Names, PipelineParser, unquoted
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.tokens import Token, TokenKind

_K = TokenKind


def parse(
    text: str, *, name: str, left: str, right: str, functions: Callable[[str], bool]
) -> dict[str, Definition]:
    """Return the templates that *text* defines, the text itself among them, under *name*.

    *functions* says whether a name is that of a function.

    :raises TemplateSyntaxError: with Go's message, the line, and the column where it is known.
    """
    around = (left or "{{", right or "}}")
    cursor = Cursor(tokenize(text, *around), text=text, name=name)
    return _Parser(cursor, name, functions, around).run()


class _Block:
    """An open ``if``, ``with`` or ``range``. An *implied* one has no ``{{end}}`` of its own."""

    __slots__ = ("implied", "in_else", "keyword", "names")

    def __init__(self, keyword: str, names: int, *, implied: bool) -> None:
        self.keyword = keyword
        self.names = names
        self.implied = implied
        self.in_else = False


class _Tree:
    """A definition under construction; *clause* is what opened it, unless it is the text itself."""

    __slots__ = ("blocks", "clause", "definition", "names", "pipelines", "ranges")

    def __init__(
        self, name: str, clause: str, cursor: Cursor, functions: Callable[[str], bool]
    ) -> None:
        self.definition = Definition(name, [], [])
        self.clause = clause
        self.blocks: list[_Block] = []
        self.ranges = 0
        self.names = Names()
        self.pipelines = PipelineParser(cursor, self.names, functions, self.definition.pipes)

    def add(self, statement: Statement) -> None:
        self.definition.statements.append(statement)


class _Parser:
    def __init__(
        self, cursor: Cursor, name: str, functions: Callable[[str], bool], around: Delimiters
    ) -> None:
        self._cursor = cursor
        self._functions = functions
        self._around = around
        self._definitions: dict[str, Definition] = {}
        self._trees: list[_Tree] = []
        self._begin(name, "")

    def run(self) -> dict[str, Definition]:
        while True:
            token = self._cursor.next()
            if token.kind is _K.TEXT:
                self._tree.add(Text(token.value))
            elif token.kind is _K.LEFT_DELIM:
                self._action(token)
            elif token.kind is _K.EOF:
                break
            else:
                self._cursor.unexpected(token, "input")
        if len(self._trees) > 1 or self._tree.blocks:
            self._cursor.fail("unexpected EOF")
        self._install()
        return self._definitions

    # --- definitions --------------------------------------------------------------------------

    def _begin(self, name: str, clause: str) -> None:
        self._tree = _Tree(name, clause, self._cursor, self._functions)
        self._trees.append(self._tree)
        self._cursor.action = None

    def _install(self) -> None:
        """Take up the innermost definition, which is complete."""
        definition = self._trees.pop().definition
        present = self._definitions.get(definition.name)
        if present is None or present.empty:
            self._definitions[definition.name] = definition
        elif not definition.empty:
            name = quote(definition.name)
            self._cursor.fail(f"template: multiple definition of template {name}")

    # --- actions ------------------------------------------------------------------------------

    def _action(self, delimiter: Token) -> None:
        token = self._cursor.next()
        if token.kind is _K.DEFINE and len(self._trees) == 1 and not self._tree.blocks:
            self._define()
            return
        self._cursor.action = delimiter
        control = self._CONTROLS.get(token.kind)
        if control is not None:
            control(self, token)
            return
        self._cursor.back()
        self._finish(Output(Action(self._tree.pipelines.parse("command"), self._around)))

    def _finish(self, statement: Statement | None = None) -> None:
        if statement is not None:
            self._tree.add(statement)
        self._cursor.action = None

    def _define(self) -> None:
        context = "define clause"
        name = self._template_name(self._cursor.next(), context)
        self._begin(name, context)
        self._cursor.expect(_K.RIGHT_DELIM, context)

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in STRINGS:
            self._cursor.unexpected(token, context)
        return unquoted(self._cursor, token)

    def _block(self, _keyword: Token) -> None:
        context = "block clause"
        token = self._cursor.next()
        name = self._template_name(token, context)
        pipe = self._tree.pipelines.parse(context)
        self._tree.add(Call(Invocation(token.position, name, pipe, self._around)))
        self._begin(name, context)

    def _template(self, _keyword: Token) -> None:
        context = "template clause"
        token = self._cursor.next()
        name = self._template_name(token, context)
        pipe = None
        if self._cursor.peek().kind is _K.RIGHT_DELIM:
            self._cursor.next()
        else:
            pipe = self._tree.pipelines.parse(context)
        self._finish(Call(Invocation(token.position, name, pipe, self._around)))

    def _break(self, keyword: Token) -> None:
        self._leave_range(keyword, "{{break}}", Break())

    def _continue(self, keyword: Token) -> None:
        self._leave_range(keyword, "{{continue}}", Continue())

    def _leave_range(self, keyword: Token, name: str, statement: Statement) -> None:
        self._cursor.expect(_K.RIGHT_DELIM, name)
        if not self._tree.ranges:
            self._cursor.fail(f"{name} outside {{{{range}}}}", keyword)
        self._finish(statement)

    # --- blocks -------------------------------------------------------------------------------

    def _open(self, keyword: Token, *, implied: bool = False) -> None:
        tree = self._tree
        names = len(tree.names)
        pipe = tree.pipelines.parse(keyword.value)
        tree.blocks.append(_Block(keyword.value, names, implied=implied))
        tree.ranges += keyword.kind is _K.RANGE
        tree.add(Open(cast("Literal['if', 'with', 'range']", keyword.value), pipe))

    def _else(self, keyword: Token) -> None:
        tree = self._tree
        following = self._cursor.peek()
        if following.kind not in (_K.IF, _K.WITH):
            self._cursor.expect(_K.RIGHT_DELIM, "else")
        self._finish()
        if not tree.blocks:
            self._misplaced("else", keyword)
        block = tree.blocks[-1]
        if block.in_else:
            self._cursor.fail(f"expected end; found {self._shown('else')}", keyword)
        block.in_else = True
        tree.ranges -= block.keyword == "range"
        tree.add(Else())
        if following.kind in (_K.IF, _K.WITH) and following.value == block.keyword:
            self._open(self._cursor.next(), implied=True)

    def _end(self, keyword: Token) -> None:
        self._cursor.expect(_K.RIGHT_DELIM, "end")
        self._finish()
        if self._tree.blocks:
            self._close_block()
        elif len(self._trees) > 1:
            self._install()
            self._tree = self._trees[-1]
        else:
            self._misplaced("end", keyword)

    def _close_block(self) -> None:
        tree = self._tree
        while True:
            block = tree.blocks.pop()
            tree.ranges -= block.keyword == "range" and not block.in_else
            tree.names.forget(block.names)
            tree.add(End())
            if not block.implied:
                return

    def _misplaced(self, what: str, token: Token) -> NoReturn:
        clause = f" in {self._tree.clause}" if self._tree.clause else ""
        self._cursor.fail(f"unexpected {self._shown(what)}{clause}", token)

    def _shown(self, keyword: str) -> str:
        left, right = self._around
        return f"{left}{keyword}{right}"

    _CONTROLS: ClassVar[dict[TokenKind, Callable[[_Parser, Token], None]]] = {
        _K.BLOCK: _block,
        _K.BREAK: _break,
        _K.CONTINUE: _continue,
        _K.ELSE: _else,
        _K.END: _end,
        _K.IF: _open,
        _K.RANGE: _open,
        _K.TEMPLATE: _template,
        _K.WITH: _open,
    }
