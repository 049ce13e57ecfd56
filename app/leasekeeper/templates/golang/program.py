"""Compiles definitions into flat code that a `machine` steps through.

Blocks become jumps, so nesting costs nothing at run time. A statement that has to be given up,
because a dependency is missing, is left by going on at its `Resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from leasekeeper.templates.golang import operations
from leasekeeper.templates.golang.closures import fail
from leasekeeper.templates.golang.expressions import Expressions, Options
from leasekeeper.templates.golang.frames import Binding, Evaluate, Frame, Scope
from leasekeeper.templates.golang.nodes import (
    Break,
    Call,
    Command,
    Continue,
    Definition,
    Else,
    End,
    Node,
    Open,
    Output,
    Pipe,
    Text,
)
from leasekeeper.templates.golang.operations import RETURN, Loop, Operation
from leasekeeper.templates.golang.shapes import place_of


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on when an operation is given up, and the variables that are pending then."""

    target: int
    pending: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled definition. *size* is the length of its frame, *stopped* as in `Expressions`.

    An operation without a resume, when it is given up, goes on with the next one.
    """

    name: str
    operations: tuple[Operation, ...]
    resumes: dict[int, Resume]
    size: int
    stopped: Mapping[Node, int]

    def place(self, node: Node, frame: Frame) -> Node:
        """Return what was looked at last when *node*, which may be an ``and``, is blamed."""
        while (slot := self.stopped.get(node)) is not None:
            assert isinstance(node, Command)
            at = frame[slot]
            node = place_of(node.arguments[-1 if at is None else at + 1])
        return node


def compile_program(definitions: Iterable[Definition], options: Options) -> dict[str, Code]:
    """Return the code of every definition, by name."""
    codes: dict[str, Code] = {}
    for definition in definitions:
        codes[definition.name] = _Compiler(definition, options, codes).run()
    return codes


_RETURN = operations.jump(RETURN)


@dataclass(slots=True)
class _Statement:
    """A statement as something to be given up: the first of its operations, and how many slots
    had been given values before it."""

    first: int
    touched: int


@dataclass(slots=True)
class _Block:
    """An open block.

    Jumps forward are made when it is known where they go: those in *exits*, by index, leave the
    block; *enter* makes operation *at*, which goes to ``{{else}}`` if there is nothing to do.
    """

    keyword: str
    statement: _Statement
    names: int
    dot: Binding
    at: int = 0
    enter: Callable[[int], Operation] = operations.jump
    loop: Loop | None = None
    exits: list[int] = field(default_factory=list)
    in_else: bool = False

    @property
    def step(self) -> int:
        """Where a ``range`` takes its next element."""
        return self.at + 1


class _Compiler:
    def __init__(self, definition: Definition, options: Options, codes: dict[str, Code]) -> None:
        self._definition = definition
        self._codes = codes
        self._scope = Scope()
        self._expressions = Expressions(options, self._scope)
        self._operations: list[Operation] = []
        self._resumes: dict[int, Resume] = {}
        self._blocks: list[_Block] = []

    def run(self) -> Code:
        for statement in self._definition.statements:
            self._HANDLERS[type(statement)](self, statement)
        self._operations.append(_RETURN)
        name, size = self._definition.name, self._scope.size
        stopped = self._expressions.stopped
        return Code(name, tuple(self._operations), self._resumes, size, stopped)

    @property
    def _after(self) -> int:
        """The index of what comes after the operation that is made now."""
        return len(self._operations) + 1

    # --- simple statements ----------------------------------------------------------------------

    def _text(self, text: Text) -> None:
        self._operations.append(operations.write_text(text.text, self._after))

    def _begin(self) -> _Statement:
        return _Statement(len(self._operations), len(self._scope.touched))

    def _finish(self, statement: _Statement, own: int) -> None:
        """Have the operations of *statement* before *own* go on here when they are given up."""
        pending = self._scope.touched[statement.touched :]
        end = len(self._operations)
        if pending or end > statement.first + 1:
            resume = Resume(end, tuple(sorted(set(pending))))
            self._resumes.update(dict.fromkeys(range(statement.first, own), resume))

    def _prepare(self, pipe: Pipe) -> None:
        """Emit what has to be computed before *pipe*."""
        spilled = self._expressions.spill(pipe)
        if spilled:
            self._operations.append(operations.several(spilled, self._after))

    def _output(self, output: Output) -> None:
        statement = self._begin()
        node, pipe = output.action, output.action.pipe
        self._prepare(pipe)
        evaluate, after = self._expressions.pipe(pipe), self._after
        if pipe.variables:
            self._operations.append(operations.evaluate_only(evaluate, after))
        else:
            self._operations.append(operations.write_value(evaluate, node, after))
        self._finish(statement, after)

    def _call(self, call: Call) -> None:
        statement = self._begin()
        node, codes = call.invocation, self._codes
        argument: Evaluate | None = None
        if node.pipe is not None:
            self._prepare(node.pipe)
            argument = self._expressions.pipe(node.pipe)
        after = self._after
        self._operations.append(operations.call_template(node, codes, argument, after))
        self._finish(statement, after)

    # --- blocks ---------------------------------------------------------------------------------

    def _open(self, node: Open) -> None:
        scope = self._scope
        block = _Block(node.keyword, self._begin(), len(scope.names), scope.dot)
        self._blocks.append(block)
        self._prepare(node.pipe)
        block.at = len(self._operations)
        after = self._later()
        if node.keyword == "range":
            self._open_range(node.pipe, block)
            return
        evaluate = self._expressions.pipe(node.pipe)
        if node.keyword == "if":
            block.enter = lambda otherwise: operations.branch(evaluate, after, otherwise)
            return
        dot = scope.dot = Binding(scope.slot())
        block.enter = lambda otherwise: operations.branch_with(evaluate, dot.slot, after, otherwise)

    def _later(self) -> int:
        """Leave room for an operation that cannot be made yet; return the index after it."""
        self._operations.append(_RETURN)
        return len(self._operations)

    def _open_range(self, pipe: Pipe, block: _Block) -> None:
        evaluate = self._expressions.value(pipe)
        loop, missing = self._loop(pipe)
        if missing:
            problem = fail(loop.place, f"undefined variable: {missing}")
            evaluate = _first(evaluate, problem)
        step = block.step
        block.loop = loop
        block.enter = lambda otherwise: operations.start_range(evaluate, loop, step, otherwise)
        self._later()

    def _loop(self, pipe: Pipe) -> tuple[Loop, str]:
        """Lay out the slots of a ``range``; also return a variable that does not exist, if any."""
        scope = self._scope
        container = scope.slot()
        variables, missing = [], ""
        for name in pipe.variables:
            if not pipe.assigns:
                variables.append(scope.declare(name, container=container).slot)
                continue
            candidates = scope.assign(name)
            variables += [binding.slot for binding in candidates[:1]]
            for binding in candidates[:1]:
                # Inside the loop it holds elements.
                scope.names.append((name, replace(binding, container=container)))
            missing = missing if candidates else missing or name
        dot = scope.dot = Binding(scope.slot(), container)
        keys, elements = variables[:-1], variables[-1:]
        loop = Loop(
            place=place_of(pipe),
            iterator=scope.slot(),
            container=container,
            elements=(dot.slot, *elements),
            keys=tuple(keys),
        )
        return loop, missing

    def _else(self, _node: Else) -> None:
        block = self._blocks[-1]
        if block.loop is None:
            block.exits.append(len(self._operations))
            self._later()
        self._leave_body(block)
        block.in_else = True

    def _leave_body(self, block: _Block) -> None:
        """End a body: what is done if there is nothing to do starts here. Restore dot."""
        if block.loop is not None:
            self._operations.append(operations.jump(block.step))
        self._operations[block.at] = block.enter(len(self._operations))
        self._scope.dot = block.dot

    def _end(self, _node: End) -> None:
        block = self._blocks.pop()
        if not block.in_else:
            self._leave_body(block)
        end, body = len(self._operations), block.step
        if block.loop is not None:
            body += 1
            self._operations[block.step] = operations.next_element(block.loop, body, end)
        for at in block.exits:
            self._operations[at] = operations.jump(end)
        del self._scope.names[block.names :]
        self._finish(block.statement, body)

    def _break(self, _node: Break) -> None:
        # In the {{else}} of a range, it is still that range that is left.
        ranges = [block for block in self._blocks if block.loop is not None]
        ranges[-1].exits.append(len(self._operations))
        self._later()

    def _continue(self, _node: Continue) -> None:
        step = next(
            block.step
            for block in reversed(self._blocks)
            if block.loop is not None and not block.in_else
        )
        self._operations.append(operations.jump(step))

    _HANDLERS: ClassVar[dict[type, Callable[[_Compiler, Any], None]]] = {
        Text: _text,
        Output: _output,
        Call: _call,
        Open: _open,
        Else: _else,
        End: _end,
        Break: _break,
        Continue: _continue,
    }


def _first(evaluate: Evaluate, then: Evaluate) -> Evaluate:
    def both(frame: Frame) -> object:
        evaluate(frame)
        return then(frame)

    return both
