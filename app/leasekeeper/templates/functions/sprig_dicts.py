"""sprig's functions on maps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from leasekeeper.templates.functions.casting import to_text
from leasekeeper.templates.functions.merging import merge_maps
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.ordering import sorted_keys
from leasekeeper.templates.golang.values import NilMap, StringSlice, type_name

functions = FunctionTable()

_DICT = "map[string]interface {}"
Dict = dict[str, Any]


@functions.add("sprig_dict", "...interface {}")
def make_dict(*pairs: Any) -> Dict:
    """Return a map of keys and values that alternate; a missing last value is empty."""
    values = [*pairs[1::2], ""]
    return {to_text(key): value for key, value in zip(pairs[::2], values, strict=False)}


@functions.add("sprig_get", _DICT, "string")
def get(table: Dict, key: str) -> Any:
    """Return the value of *key*, or an empty text."""
    return table.get(key, "")


@functions.add("sprig_set", _DICT, "string", "interface {}")
def set_key(table: Dict, key: str, value: Any) -> Dict:
    """Set *key* in the map itself, and return it."""
    if isinstance(table, NilMap):
        raise GoError("assignment to entry in nil map")
    table[key] = value
    return table


@functions.add("sprig_unset", _DICT, "string")
def unset(table: Dict, key: str) -> Dict:
    """Remove *key* from the map itself, and return it."""
    table.pop(key, None)
    return table


@functions.add("sprig_hasKey", _DICT, "string")
def has_key(table: Dict, key: str) -> bool:
    """Whether the map has *key*."""
    return key in table


@functions.add("sprig_pluck", "string", f"...{_DICT}")
def pluck(key: str, *tables: Dict) -> list[Any]:
    """Return the values of *key* in all maps that have it."""
    return [table[key] for table in tables if key in table]


@functions.add("sprig_keys", f"...{_DICT}")
def keys(*tables: Dict) -> list[str]:
    """Return all keys; sorted, because Go's order changes from run to run."""
    return StringSlice(key for table in tables for key in sorted_keys(table))


@functions.add("sprig_values", _DICT)
def values(table: Dict) -> list[Any]:
    """Return all values in the order of their keys; Go's order changes from run to run."""
    return [table[key] for key in sorted_keys(table)]


@functions.add("sprig_pick", _DICT, "...string")
def pick(table: Dict, *names: str) -> Dict:
    """Return a map of only *names*."""
    return {name: table[name] for name in names if name in table}


@functions.add("sprig_omit", _DICT, "...string")
def omit(table: Dict, *names: str) -> Dict:
    """Return a map without *names*."""
    return {key: value for key, value in table.items() if key not in names}


@functions.add("sprig_merge", _DICT, f"...{_DICT}")
@functions.add("sprig_mustMerge", _DICT, f"...{_DICT}")
def merge(target: Dict, *sources: Dict) -> Dict:
    """Fill what the first map lacks from the others, and return it."""
    target = _there(target, sources)
    for source in sources:
        merge_maps(target, source, override=False)
    return target


def _there(target: Dict, sources: Iterable[Dict]) -> Dict:
    """Return *target*, or a map for it if it is nil and there is something to merge."""
    nil = isinstance(target, NilMap) and not all(isinstance(each, NilMap) for each in sources)
    return {} if nil else target


@functions.add("sprig_mergeOverwrite", _DICT, f"...{_DICT}")
@functions.add("sprig_mustMergeOverwrite", _DICT, f"...{_DICT}")
def merge_overwrite(target: Dict, *sources: Dict) -> Dict:
    """Overwrite the first map with the others, and return it."""
    target = _there(target, sources)
    for source in sources:
        merge_maps(target, source, override=True)
    return target


@functions.add("sprig_dig", "...interface {}")
def dig(*arguments: Any) -> Any:
    """Return what the keys lead to in the last argument, or the default before it."""
    if len(arguments) < 3:
        msg = "dig needs at least three arguments"
        raise GoError(msg)
    *path, fallback, table = arguments
    _expect(table, _DICT)
    for key in path:
        _expect(key, "string")
    for at, key in enumerate(path):
        _expect(table, _DICT)
        if key not in table:
            return fallback
        table = table[key]
        if at == len(path) - 1:
            return table
    return fallback


def _expect(value: Any, go_type: str) -> None:
    if type_name(value) != go_type:
        shown = "nil" if value is None else type_name(value)
        msg = f"interface conversion: interface {{}} is {shown}, not {go_type}"
        raise GoError(msg)
