"""Compiles definitions into flat code that a `machine` steps through.

Blocks become jumps, so nesting costs nothing at run time. A statement that has to be given up,
because a dependency is missing, is left by going on at its `Resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from leasekeeper.templates.golang import operations
from leasekeeper.templates.golang.closures import fail
from leasekeeper.templates.golang.expressions import Expressions, Options
from leasekeeper.templates.golang.frames import Binding, Evaluate, Frame, Scope
from leasekeeper.templates.golang.nodes import (
    Break,
    Call,
    Continue,
    Definition,
    Else,
    End,
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
    """A compiled definition. *size* is the length of its frame."""

    name: str
    operations: tuple[Operation, ...]
    resumes: tuple[Resume, ...]
    size: int


def compile_program(definitions: Iterable[Definition], options: Options) -> dict[str, Code]:
    """Return the code of every definition, by name."""
    codes: dict[str, Code] = {}
    for definition in definitions:
        codes[definition.name] = _Compiler(definition, options, codes).run()
    return codes


class _Label:
    """A place in the code, known once everything before it is."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = RETURN


Make = Callable[[int], Operation]
"""Makes an operation, given the index of the one after it; labels are known by then."""


@dataclass(slots=True)
class _Statement:
    """A statement as something to be given up: where it ends, and what it gives values to."""

    end: _Label = field(default_factory=_Label)
    touched: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Block:
    """An open block."""

    keyword: str
    statement: _Statement
    outer_touched: set[int]
    names: int
    dot: Binding
    otherwise: _Label
    step: _Label
    in_else: bool = False


class _Compiler:
    def __init__(self, definition: Definition, options: Options, codes: dict[str, Code]) -> None:
        self._definition = definition
        self._codes = codes
        self._scope = Scope()
        self._expressions = Expressions(options, self._scope)
        self._emitted: list[tuple[Make, _Statement]] = []
        self._blocks: list[_Block] = []

    def run(self) -> Code:
        handlers: dict[type, Callable[..., None]] = {
            Text: self._text,
            Output: self._output,
            Call: self._call,
            Open: self._open,
            Else: self._else,
            End: self._end,
            Break: self._break,
            Continue: self._continue,
        }
        for statement in self._definition.statements:
            handlers[type(statement)](statement)
        return self._link()

    def _link(self) -> Code:
        count = len(self._emitted)
        made = tuple(
            make(at if at < count else RETURN)
            for at, (make, _) in enumerate(self._emitted, start=1)
        )
        resumes = tuple(
            Resume(self._target(statement.end), tuple(sorted(statement.touched)))
            for _, statement in self._emitted
        )
        # These know the compiler, and it them: a third of all objects would be left to the garbage
        # collector, which costs a seventh of the start with 1,000 templates.
        self._emitted.clear()
        return Code(self._definition.name, made, resumes, self._scope.size)

    def _target(self, label: _Label) -> int:
        return label.at if label.at < len(self._emitted) else RETURN

    def _emit(self, make: Make, statement: _Statement) -> None:
        self._emitted.append((make, statement))

    def _mark(self, label: _Label) -> None:
        label.at = len(self._emitted)

    # --- simple statements ----------------------------------------------------------------------

    def _text(self, text: Text) -> None:
        self._emit(lambda after: operations.write_text(text.text, after), _Statement())

    def _begin(self) -> set[int]:
        """Start to collect what a statement touches; return what was collected so far."""
        outer, self._scope.touched = self._scope.touched, set()
        return outer

    def _finish(self, statement: _Statement, outer: set[int]) -> None:
        statement.touched |= self._scope.touched
        self._scope.touched |= outer
        self._mark(statement.end)

    def _prepare(self, pipe: Pipe, statement: _Statement) -> None:
        """Emit what has to be computed before *pipe*."""
        spilled = self._expressions.spill(pipe)
        if spilled:
            self._emit(lambda after: operations.several(spilled, after), statement)

    def _output(self, output: Output) -> None:
        statement, outer = _Statement(), self._begin()
        node, pipe = output.action, output.action.pipe
        self._prepare(pipe, statement)
        evaluate = self._expressions.pipe(pipe)
        if pipe.variables:
            self._emit(lambda after: operations.evaluate_only(evaluate, after), statement)
        else:
            self._emit(lambda after: operations.write_value(evaluate, node, after), statement)
        self._finish(statement, outer)

    def _call(self, call: Call) -> None:
        statement, outer = _Statement(), self._begin()
        node, codes = call.invocation, self._codes
        argument: Evaluate | None = None
        if node.pipe is not None:
            self._prepare(node.pipe, statement)
            argument = self._expressions.pipe(node.pipe)
        self._emit(lambda after: operations.call_template(node, codes, argument, after), statement)
        self._finish(statement, outer)

    # --- blocks ---------------------------------------------------------------------------------

    def _open(self, node: Open) -> None:
        statement, outer = _Statement(), self._begin()
        block = _Block(
            node.keyword,
            statement,
            outer,
            len(self._scope.names),
            self._scope.dot,
            _Label(),
            _Label(),
        )
        self._blocks.append(block)
        self._prepare(node.pipe, statement)
        if node.keyword == "range":
            self._open_range(node.pipe, block)
            return
        evaluate = self._expressions.pipe(node.pipe)
        otherwise = block.otherwise
        if node.keyword == "if":
            self._emit(
                lambda after: operations.branch(evaluate, after, self._target(otherwise)),
                statement,
            )
            return
        dot = self._scope.dot = Binding(self._scope.slot())
        self._emit(
            lambda after: operations.branch_with(
                evaluate, dot.slot, after, self._target(otherwise)
            ),
            statement,
        )

    def _open_range(self, pipe: Pipe, block: _Block) -> None:
        evaluate = self._expressions.value(pipe)
        loop, missing = self._loop(pipe)
        if missing:
            problem = fail(loop.place, f"undefined variable: {missing}")
            evaluate = _first(evaluate, problem)
        statement = block.statement
        self._emit(
            lambda after: operations.start_range(
                evaluate, loop, after, self._target(block.otherwise)
            ),
            statement,
        )
        self._mark(block.step)
        self._emit(
            lambda after: operations.next_element(loop, after, self._target(statement.end)),
            statement,
        )

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
        self._leave_body(block)
        self._mark(block.otherwise)
        block.in_else = True

    def _leave_body(self, block: _Block) -> None:
        """Emit the jump at the end of a body; restore dot and forget the body's variables."""
        target = block.step if block.keyword == "range" else block.statement.end
        self._emit(lambda _after: operations.jump(self._target(target)), block.statement)
        self._scope.dot = block.dot

    def _end(self, _node: End) -> None:
        block = self._blocks.pop()
        if block.in_else:
            self._scope.dot = block.dot
        else:
            self._leave_body(block)
            self._mark(block.otherwise)
        del self._scope.names[block.names :]
        self._finish(block.statement, block.outer_touched)

    def _break(self, _node: Break) -> None:
        # In the {{else}} of a range, it is still that range that is left.
        ranges = [block for block in self._blocks if block.keyword == "range"]
        end = ranges[-1].statement.end
        self._emit(lambda _after: operations.jump(self._target(end)), _Statement())

    def _continue(self, _node: Continue) -> None:
        step = next(
            block.step
            for block in reversed(self._blocks)
            if block.keyword == "range" and not block.in_else
        )
        self._emit(lambda _after: operations.jump(self._target(step)), _Statement())


def _first(evaluate: Evaluate, then: Evaluate) -> Evaluate:
    def both(frame: Frame) -> object:
        evaluate(frame)
        return then(frame)

    return both
