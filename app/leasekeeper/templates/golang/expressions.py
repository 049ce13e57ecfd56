"""Compiles expressions into closures over a frame.

Where Go would say, in an error, which node it was at last, that node is found at compile time
(`place_of`); nothing is written down while a template runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from leasekeeper.templates.golang import closures
from leasekeeper.templates.golang.arguments import CONSTANTS, constant, typed_constant
from leasekeeper.templates.golang.builtins import BUILTINS
from leasekeeper.templates.golang.chains import Argument, Base, chain, is_interface, with_arguments
from leasekeeper.templates.golang.closures import NEVER, Constant, fail, piped
from leasekeeper.templates.golang.faults import Fault
from leasekeeper.templates.golang.frames import Evaluate, Frame, Scope, Stage
from leasekeeper.templates.golang.functions import (
    ANY,
    Function,
    FunctionTable,
    Parameter,
    parameters_of,
)
from leasekeeper.templates.golang.nodes import (
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Pipe,
    Variable,
    source,
)
from leasekeeper.templates.golang.shapes import innermost, is_wrapper, parts_of, place_of
from leasekeeper.templates.golang.values import (
    kind,
    truth,
    type_name,
)

MAX_HEIGHT = 30
"""Closures call each other no deeper than this; what is higher is computed beforehand."""

_ANYTHING = Parameter.of(ANY)
_CHAINS = (Field, Variable, Chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What decides how a template is compiled. With *strict* a missing map key is an error."""

    functions: FunctionTable
    strict: bool


class Expressions:
    """Compiles the expressions of one definition, in order."""

    def __init__(self, options: Options, scope: Scope) -> None:
        self._options = options
        self._scope = scope
        self._spilled: dict[int, int] = {}
        self.stopped: dict[Node, int] = {}
        """The slot that says where an ``and`` or ``or`` has stopped, by its command."""

    # --- pipelines ----------------------------------------------------------------------------

    def pipe(self, pipe: Pipe) -> Evaluate:
        """Compile *pipe*, assignments included."""
        pipe = innermost(pipe)
        if id(pipe) in self._spilled:
            return itemgetter(self._spilled[id(pipe)])
        evaluate = self.value(pipe)
        if not pipe.variables:
            return evaluate
        if not pipe.assigns:
            slots = [self._scope.declare(name).slot for name in pipe.variables]
            return closures.store(evaluate, slots)
        for name in pipe.variables:
            slots = [binding.slot for binding in self._scope.assign(name)]
            evaluate = closures.store_first_set(evaluate, slots, place_of(pipe), name)
        return evaluate

    def value(self, pipe: Pipe) -> Evaluate:
        """Compile what *pipe* computes, without the assignment."""
        first, *rest = pipe.commands
        head = self._head(first, pipe)
        if not rest:
            return head
        before = [first, *rest]
        stages = [self._stage(command, before[at]) for at, command in enumerate(rest)]
        return closures.stages(head, stages)

    def spill(self, pipe: Pipe) -> list[Evaluate]:
        """Return what computes the parts of *pipe* that are nested too high, to be run first.

        These parts are evaluated before everything to their left, and whether ``and`` and ``or``
        reach them or not, which no template written by a person will ever notice.
        """
        if pipe.height < MAX_HEIGHT:
            return []
        actions = []
        for part in parts_of(pipe):
            if part.height and part.height % MAX_HEIGHT == 0 and part is not pipe:
                if is_wrapper(part):
                    continue
                evaluate = self.pipe(part)
                slot = self._scope.slot()
                self._spilled[id(part)] = slot
                actions.append(closures.store(evaluate, [slot]))
        return actions

    # --- commands -----------------------------------------------------------------------------

    def _head(self, command: Command, pipe: Pipe) -> Evaluate:
        """Compile the first command of *pipe*."""
        first, *arguments = command.arguments
        if isinstance(first, Identifier):
            return self._function(first, command, arguments)
        if isinstance(first, _CHAINS):
            return self._fields(first, arguments)
        if arguments:
            place = pipe if isinstance(first, Pipe) else first
            return fail(place, _not_a_function(first))
        if isinstance(first, Nil):
            return fail(first, "nil is not a command")
        return self._operand(first)

    def _stage(self, command: Command, before: Command) -> Stage:
        """Compile a command that gets the value of the one *before* it as last argument."""
        first, *arguments = command.arguments
        if isinstance(first, Identifier):
            return self._piped_function(first, command, arguments)
        if isinstance(first, Field | Chain) or (isinstance(first, Variable) and first.names):
            call = with_arguments(self._base(first), self._untyped(arguments))
            return lambda frame, value: call(frame, (value,))
        place = place_of(before) if isinstance(first, Pipe) else first
        return piped(fail(place, _not_a_function(first)))

    def _operand(self, node: Node) -> Evaluate:
        """Compile *node* as a value of its own."""
        if isinstance(node, Dot):
            return itemgetter(self._scope.dot.slot)
        if isinstance(node, _CHAINS):
            return self._fields(node, [])
        if isinstance(node, Pipe):
            return self.pipe(node)
        if isinstance(node, Identifier):
            return self._function(node, node, [])
        try:
            return Constant(constant(node))
        except Fault as fault:
            return fail(fault.node, fault.message)

    # --- variables and fields -------------------------------------------------------------------

    def _variable(self, node: Variable) -> Evaluate:
        candidates = self._scope.candidates(node.name)
        if len(candidates) == 1 and not candidates[0].conditional:
            return closures.read_slot(candidates[0].slot)
        slots = [candidate.slot for candidate in candidates]
        return closures.read_first_set(slots, node, node.name)

    def _base(self, node: Field | Variable | Chain) -> Base:
        strict = self._options.strict
        if isinstance(node, Field):
            dot = self._scope.dot
            return Base(itemgetter(dot.slot), node.names, node, node, dot, strict)
        if isinstance(node, Variable):
            candidates = self._scope.candidates(node.name)
            origin = candidates[0] if len(candidates) == 1 else None
            return Base(self._variable(node), node.names, node, node, origin, strict)
        return Base(self._operand(node.operand), node.names, node, place_of(node), None, strict)

    def _fields(self, node: Field | Variable | Chain, arguments: list[Node]) -> Evaluate:
        if isinstance(node, Variable) and not node.names:
            return fail(node, _not_a_function(node)) if arguments else self._variable(node)
        base = self._base(node)
        if not arguments:
            return chain(base)
        call = with_arguments(base, self._untyped(arguments))
        return lambda frame: call(frame, ())

    def _untyped(self, arguments: list[Node]) -> list[Argument]:
        untyped = []
        for node in arguments:
            evaluate, boxed = self._value_and_type(node)
            untyped.append(Argument(node, place_of(node), evaluate, boxed))
        return untyped

    def _value_and_type(self, node: Node) -> tuple[Evaluate, Evaluate]:
        """Compile *node*, and whether Go would know its value as an ``interface {}``."""
        if isinstance(node, CONSTANTS):
            return _constant_argument(node, _ANYTHING), NEVER
        if isinstance(node, _CHAINS) and node.names:
            base = self._base(node)
            return chain(base), is_interface(base)
        if isinstance(node, Variable):
            bindings = self._scope.candidates(node.name)
        else:
            bindings = [self._scope.dot] if isinstance(node, Dot) else []
        containers = [binding.container for binding in bindings if binding.container is not None]
        boxed = closures.element_is_interface(containers[0]) if containers else NEVER
        return self._operand(node), boxed

    # --- functions ------------------------------------------------------------------------------

    def _function(self, node: Identifier, command: Node, arguments: list[Node]) -> Evaluate:
        function = self._find(node)
        problem = _wrong_count(function, len(arguments), 0)
        if problem:
            return fail(node, problem)
        if function is _AND or function is _OR:
            evaluate, _ = self._logic(node.name, command, arguments)
            return evaluate
        if function is _LEN:
            values = [closures.with_nil_type(*self._value_and_type(arguments[0]))]
        elif function is _SLICE:
            values = self._slice_arguments(arguments)
        else:
            values = self._arguments(arguments, parameters_of(function, len(arguments)))
        if function is _CALL:
            values.insert(0, Constant(source(arguments[0])))
        return closures.invocation(function, values, command, node.name)

    def _piped_function(self, node: Identifier, command: Node, arguments: list[Node]) -> Stage:
        function = self._find(node)
        problem = _wrong_count(function, len(arguments), 1)
        if problem:
            return piped(fail(node, problem))
        if function is _AND or function is _OR:
            return self._piped_logic(node.name, command, arguments)
        *parameters, last = parameters_of(function, len(arguments) + 1)
        values = self._arguments(arguments, parameters)
        if function is _CALL and arguments:
            values.insert(0, Constant(source(arguments[0])))
        elif function is _CALL:
            return _piped_call(command)
        return closures.piped_invocation(
            function,
            values,
            last,
            place=place_of(arguments[-1]) if arguments else node,
            command=command,
            name=node.name,
        )

    def _find(self, node: Identifier) -> Function:
        return self._options.functions.get(node.name) or BUILTINS[node.name]

    def _arguments(self, nodes: list[Node], parameters: list[Parameter]) -> list[Evaluate]:
        return [
            self._argument(node, parameter)
            for node, parameter in zip(nodes, parameters, strict=True)
        ]

    def _argument(self, node: Node, parameter: Parameter) -> Evaluate:
        """Compile an argument for a *parameter*, type check included."""
        if isinstance(node, CONSTANTS):
            return _constant_argument(node, parameter)
        if parameter.any:
            return self._operand(node)
        evaluate, boxed = self._value_and_type(node)
        return closures.checked(evaluate, parameter, place_of(node), boxed)

    def _slice_arguments(self, nodes: list[Node]) -> list[Evaluate]:
        item, *indexes = nodes
        return [self._argument(item, _ANYTHING)] + [
            closures.slice_index(*self._value_and_type(index)) for index in indexes
        ]

    def _logic(self, name: str, command: Node, arguments: list[Node]) -> tuple[Evaluate, bool]:
        """Compile ``and`` or ``or``; also return whether it stops at true."""
        scope, values = self._scope, []
        before = len(scope.names)
        for at, argument in enumerate(arguments):
            scope.optional += at > 0
            values.append(self._argument(argument, _ANYTHING))
            scope.optional -= at > 0
        unset = [binding.slot for _, binding in scope.names[before:] if binding.conditional]
        stop_at = name == "or"
        slot = self.stopped.setdefault(command, scope.slot())
        return closures.short_circuit(values, unset, stop_at=stop_at, stopped=slot), stop_at

    def _piped_logic(self, name: str, command: Node, arguments: list[Node]) -> Stage:
        evaluate, stop_at = self._logic(name, command, arguments)
        if not arguments:
            return lambda _frame, value: value

        def logic(frame: Frame, last: Any) -> Any:
            value = evaluate(frame)
            return value if truth(value) is stop_at else last

        return logic


_AND, _OR = BUILTINS["and"], BUILTINS["or"]
_LEN, _SLICE, _CALL = BUILTINS["len"], BUILTINS["slice"], BUILTINS["call"]


def _not_a_function(node: Node) -> str:
    return f"can't give argument to non-function {source(node)}"


def _wrong_count(function: Function, given: int, piped_values: int) -> str:
    """Return what is wrong with the number of arguments, if anything."""
    wanted, total = len(function.parameters), given + piped_values
    if function.variadic is not None:
        # Go's message leaves the piped value out here, and only here.
        problem = f"want at least {wanted} got {given}" if total < wanted else ""
    else:
        problem = f"want {wanted} got {total}" if total != wanted else ""
    return problem and f"wrong number of args for {function.name}: {problem}"


def _piped_call(command: Node) -> Stage:
    """Compile ``... | call``, where the function itself is piped and has no name."""

    def call(frame: Frame, value: Any) -> Any:
        name = str(value) if kind(value) == "string" else f"<{type_name(value)} Value>"
        arguments: list[Evaluate] = [Constant(name), Constant(value)]
        return closures.invocation(_CALL, arguments, command, "call")(frame)

    return call


def _constant_argument(node: Node, parameter: Parameter) -> Evaluate:
    try:
        value = typed_constant(node, parameter)
    except Fault as fault:
        return fail(fault.node, fault.message)
    if isinstance(value, list | dict):
        shape = type(value)  # a nil slice or map: a new one for every call
        return lambda _frame: shape()
    return Constant(value)
