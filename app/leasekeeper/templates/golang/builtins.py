"""The functions that belong to the language."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang import comparison, escaping, indexing, printing
from leasekeeper.templates.golang.functions import ANY, FunctionTable
from leasekeeper.templates.golang.values import truth

BUILTINS = FunctionTable()

_MANY = f"...{ANY}"

for _name, _call in (("eq", comparison.eq), ("index", indexing.index), ("slice", indexing.slice_)):
    BUILTINS.add(_name, ANY, _MANY)(_call)
for _name, _call in (
    ("ne", comparison.ne),
    ("lt", comparison.lt),
    ("le", comparison.le),
    ("gt", comparison.gt),
    ("ge", comparison.ge),
):
    BUILTINS.add(_name, ANY, ANY)(_call)
for _name, _text in (
    ("html", escaping.html),
    ("js", escaping.js),
    ("urlquery", escaping.urlquery),
    ("print", printing.sprint),
    ("println", printing.sprintln),
):
    BUILTINS.add(_name, _MANY)(_text)
BUILTINS.add("len", ANY)(indexing.length)
BUILTINS.add("printf", "string", _MANY)(printing.sprintf)


@BUILTINS.add("not", ANY)
def not_(value: Any) -> bool:
    """Return the opposite of the value's truth."""
    return not truth(value)


@BUILTINS.add("and", ANY, _MANY)
@BUILTINS.add("or", ANY, _MANY)
def _short_circuit(*_arguments: Any) -> Any:
    # Their arguments are evaluated one by one, so they are never called.
    raise NotImplementedError


BUILTINS.add("call", ANY, _MANY, run=True)(indexing.call)
