"""scratch and executeTemplate: what parts of a template share within one render."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from leasekeeper.templates.golang.functions import Function, FunctionTable, GoError
from leasekeeper.templates.golang.ordering import sorted_keys
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import GoStruct, NilList

if TYPE_CHECKING:
    from leasekeeper.templates.golang.machine import Run

functions = FunctionTable()


class Scratch(GoStruct):
    """A pad of named values."""

    __slots__ = ("_values",)
    go_type = "template.Scratch"
    go_pointer = True

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def key(self, run: Run, key: str) -> bool:
        """Whether there is a value called *key*."""
        run.settle()
        return key in self._values

    def get(self, run: Run, key: str) -> Any:
        """Return the value called *key*, or nil."""
        run.settle()
        return self._values.get(key)

    def set(self, _run: Run, key: str, value: Any) -> str:
        """Keep *value* under *key*."""
        self._values[key] = value
        return ""

    def set_x(self, run: Run, key: str, value: Any) -> str:
        """Keep *value* under *key* if there is none yet."""
        run.settle()
        self._values.setdefault(key, value)
        return ""

    def map_set(self, _run: Run, key: str, member: str, value: Any) -> str:
        """Keep *value* as a member of the map called *key*."""
        self._map(key)[member] = value
        return ""

    def map_set_x(self, run: Run, key: str, member: str, value: Any) -> str:
        """Keep *value* as a member of the map called *key* if there is none yet."""
        run.settle()
        self._map(key).setdefault(member, value)
        return ""

    def _map(self, key: str) -> dict[str, Any]:
        members = self._values.setdefault(key, {})
        if type(members) is not dict:
            msg = f"{quote(key)} is not a map"
            raise GoError(msg)
        return members

    def map_values(self, run: Run, key: str) -> list[Any]:
        """Return the members of the map called *key*, in the order of their names."""
        run.settle()
        members = self._values.get(key)
        if type(members) is not dict:
            return NilList()
        return [members[name] for name in sorted_keys(members)]


def _method(name: str, call: Callable[..., Any], *types: str) -> Function:
    """Return *call* as a method, which gets the run before the pad."""

    def method(run: Run, pad: Scratch, *arguments: Any) -> Any:
        return call(pad, run, *arguments)

    return Function.declare(name, method, *types, run=True)


_ANY = "interface {}"
Scratch.go_methods = {
    method.name: method
    for method in (
        _method("Key", Scratch.key, "string"),
        _method("Get", Scratch.get, "string"),
        _method("Set", Scratch.set, "string", _ANY),
        _method("SetX", Scratch.set_x, "string", _ANY),
        _method("MapSet", Scratch.map_set, "string", "string", _ANY),
        _method("MapSetX", Scratch.map_set_x, "string", "string", _ANY),
        _method("MapValues", Scratch.map_values, "string"),
    )
}


@functions.add("scratch", run=True)
def scratch(run: Run) -> Scratch:
    """Return the pad of this render."""
    pad: Scratch = run.scratch.setdefault("scratch", Scratch())
    return pad


@functions.add("executeTemplate", "string", "...interface {}", run=True)
def execute_template(run: Run, name: str, *data: Any) -> str:
    """Return what the template *name* renders."""
    if len(data) > 1:
        got = len(data) + 1
        msg = f"executeTemplate: wrong number of arguments, expected 1 or 2, but got {got}"
        raise GoError(msg)
    return run.execute(name, *data)
