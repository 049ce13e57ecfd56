"""Go values in Python: what a template computes with.

A template sees Go's types, because its authors do: ``{{ eq 1 1.0 }}`` is an error, ``len "é"`` is
2, and a number of Vault prints digit by digit. Python's own types stand for Go's wherever they
can; the rest are subclasses that carry a Go type name.

==========================  =========================================================
Go                          Python
==========================  =========================================================
nil (untyped)               ``None``
nil pointer of a type       `NilPointer`
bool                        ``bool``
int                         ``int`` (kept within 64 bits by whoever computes: `wrap_int`)
int8 ... uint64             `Int8` ... `Uint64`; `Uint`; named types subclass these
float64, float32            ``float``, `Float32`
complex128                  ``complex``
string                      ``str``; bytes that are not UTF-8 are lone surrogates, as
                            ``surrogateescape`` makes them. Lengths and indexes that a
                            template sees count bytes: `byte_length`, `encode`, `decode`
json.Number                 `leasekeeper.vault.response.JsonNumber`
[]byte                      ``bytes``
[]interface {}              ``list``
[]string and other slices   a class from `slice_type`; ``StringSlice`` is the common one
map[string]interface {}     ``dict``; iteration order is never used, Go sorts keys
other maps                  a class from `map_type`; `StringMap`, `InterfaceMap`
struct, pointer to struct   a subclass of `GoStruct`
chan                        `GoChannel`
func                        `leasekeeper.templates.golang.functions.Function`
==========================  =========================================================

Slices and maps are shared by reference, as in Go. Always dispatch on ``type(value)``, never with
``isinstance``: ``bool`` is an ``int`` in Python, and in Go it is not.

Go's slices share memory when they overlap; that is not imitated.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from leasekeeper.vault.response import JsonNumber

if TYPE_CHECKING:
    from leasekeeper.templates.golang.functions import Function

EMPTY_INTERFACE = "interface {}"

# --- numbers --------------------------------------------------------------------------------


class GoInteger(int):
    """An integer of another type than Go's ``int``. Subclasses say which."""

    __slots__ = ()
    go_type: ClassVar[str]
    go_kind: ClassVar[str]
    go_methods: ClassVar[Mapping[str, Function]] = {}
    bits: ClassVar[int]
    signed: ClassVar[bool]

    @classmethod
    def wrap(cls, number: int) -> Self:
        """Return *number* as Go's arithmetic would leave it: modulo the width of the type."""
        return cls(_wrap(number, cls.bits, signed=cls.signed))


def _wrap(number: int, bits: int, *, signed: bool) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if signed and number >> (bits - 1) else number


def wrap_int(number: int) -> int:
    """Return *number* as Go's 64-bit ``int`` arithmetic would leave it."""
    return number if -(1 << 63) <= number < 1 << 63 else _wrap(number, 64, signed=True)


class Int8(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "int8", "int8", 8, True


class Int16(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "int16", "int16", 16, True


class Int32(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "int32", "int32", 32, True


class Int64(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "int64", "int64", 64, True


class Uint(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "uint", "uint", 64, False


class Uint8(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "uint8", "uint8", 8, False


class Uint16(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "uint16", "uint16", 16, False


class Uint32(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "uint32", "uint32", 32, False


class Uint64(GoInteger):
    __slots__ = ()
    go_type, go_kind, bits, signed = "uint64", "uint64", 64, False


class Float32(float):
    """Go's float32; the caller rounds to single precision."""

    __slots__ = ()
    go_type: ClassVar[str] = "float32"
    go_kind: ClassVar[str] = "float32"
    go_methods: ClassVar[Mapping[str, Function]] = {}


# --- slices, maps, channels -----------------------------------------------------------------


class GoSlice(list[Any]):
    """A slice whose elements have one type other than ``interface {}``. See `slice_type`."""

    __slots__ = ()
    go_type: ClassVar[str]
    go_kind: ClassVar[str] = "slice"
    go_methods: ClassVar[Mapping[str, Function]] = {}
    element: ClassVar[str]


class GoMap(dict[Any, Any]):
    """A map of another type than ``map[string]interface {}``. See `map_type`."""

    __slots__ = ()
    go_type: ClassVar[str]
    go_kind: ClassVar[str] = "map"
    go_methods: ClassVar[Mapping[str, Function]] = {}
    key: ClassVar[str]
    element: ClassVar[str]


@cache
def slice_type(element: str) -> type[list[Any]]:
    """Return the Python class of the Go type ``[]element``."""
    if element == EMPTY_INTERFACE:
        return list
    name = f"[]{element}"
    return type(name, (GoSlice,), {"__slots__": (), "go_type": name, "element": element})


@cache
def map_type(key: str, element: str) -> type[dict[Any, Any]]:
    """Return the Python class of the Go type ``map[key]element``."""
    if (key, element) == ("string", EMPTY_INTERFACE):
        return dict
    if (key, element) == (EMPTY_INTERFACE, EMPTY_INTERFACE):
        return InterfaceMap
    name = f"map[{key}]{element}"
    names = {"__slots__": (), "go_type": name, "key": key, "element": element}
    return type(name, (GoMap,), names)


StringSlice = slice_type("string")
StringMap = map_type("string", "string")


class NilMap(GoMap):
    """What nil is for a parameter of type ``map[string]interface {}``: nothing can be put in."""

    __slots__ = ()
    go_type = "map[string]interface {}"
    key = "string"
    element = EMPTY_INTERFACE


class NilStrings(GoSlice):
    """A nil slice of strings, which JSON tells from an empty one."""

    __slots__ = ()
    go_type = "[]string"
    element = "string"


class NilList(GoSlice):
    """A nil slice of anything."""

    __slots__ = ()
    go_type = "[]interface {}"
    element = EMPTY_INTERFACE


NIL_CONTAINERS = frozenset({NilMap, NilStrings, NilList})


class InterfaceMap(GoMap):
    """A map with keys of any type, as YAML makes them: 1, 1.0 and true are three keys."""

    __slots__ = ()
    go_type = "map[interface {}]interface {}"
    key = EMPTY_INTERFACE
    element = EMPTY_INTERFACE

    def __init__(self, entries: Mapping[Any, Any] | None = None) -> None:
        super().__init__()
        self.update(entries or {})

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_stored(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_stored(key), value)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(_stored(key))

    def __iter__(self) -> Iterator[Any]:
        return (key[1] if type(key) is tuple else key for key in super().__iter__())

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of *key*, or *default*."""
        return super().get(_stored(key), default)

    def keys(self) -> KeysView[Any]:  # type: ignore[override]
        """Return the keys."""
        return KeysView(self)

    def items(self) -> ItemsView[Any, Any]:  # type: ignore[override]
        """Return keys and values."""
        return ItemsView(self)

    def update(self, other: Mapping[Any, Any]) -> None:  # type: ignore[override] # no pairs
        """Take what *other* has."""
        for key in other:
            self[key] = other[key]


def _stored(key: Any) -> Any:
    """Return what stands for *key* in a `dict`, to which True, 1 and 1.0 are the same."""
    return (type(key), key) if type(key) is bool or type(key) is float else key


class GoChannel:
    """A channel to receive from. It is drained by the first ``range`` over it, and lazily."""

    __slots__ = ("_items", "go_type")
    go_kind: ClassVar[str] = "chan"
    go_methods: ClassVar[Mapping[str, Function]] = {}

    def __init__(self, items: Iterator[Any], *, element: str = "int64") -> None:
        self._items = items
        self.go_type = f"<-chan {element}"

    def __iter__(self) -> Iterator[Any]:
        return self._items


# --- structs and pointers -------------------------------------------------------------------


class GoStruct:
    """Base of what is a struct, or a pointer to one, in Go.

    A subclass names its Go type and lists the fields a template may use, in declaration order,
    each with its Go type; the value is the attribute of the same name. *go_methods* are called
    with the struct as first argument (after the run, if they ask for it); a ``String`` or
    ``Error`` method decides how the value prints.
    """

    __slots__ = ()
    go_type: ClassVar[str]
    """The type's name without the star: ``dependency.Secret``."""
    go_kind: ClassVar[str] = "struct"
    go_pointer: ClassVar[bool] = False
    """Whether templates hold a pointer to it, which shows in `%T`, `%v` and error messages."""
    go_fields: ClassVar[Mapping[str, str]] = {}
    go_methods: ClassVar[Mapping[str, Function]] = {}


@dataclass(frozen=True, slots=True)
class NilPointer:
    """A nil pointer that knows its type, such as the ``.Auth`` of a secret without one."""

    go_type: str
    """With the star: ``*dependency.SecretAuth``."""
    struct: type[GoStruct] | None = None
    """What it would point to, so that error messages know the fields."""
    go_kind: ClassVar[str] = "ptr"
    go_methods: ClassVar[Mapping[str, Function]] = {}

    def may_have(self, field: str) -> bool:
        """Whether a pointer of this type that is not nil could have *field*."""
        return self.struct is None or field in self.struct.go_fields


# --- asking a value what it is ----------------------------------------------------------------

_BASIC: dict[type, tuple[str, str]] = {
    type(None): ("invalid", "<nil>"),
    bool: ("bool", "bool"),
    int: ("int", "int"),
    float: ("float64", "float64"),
    complex: ("complex128", "complex128"),
    str: ("string", "string"),
    JsonNumber: ("string", "json.Number"),
    bytes: ("slice", "[]uint8"),
    list: ("slice", "[]interface {}"),
    dict: ("map", "map[string]interface {}"),
}

SIGNED_KINDS = frozenset({"int", "int8", "int16", "int32", "int64"})
UNSIGNED_KINDS = frozenset({"uint", "uint8", "uint16", "uint32", "uint64"})
FLOAT_KINDS = frozenset({"float32", "float64"})


def kind(value: Any) -> str:
    """Return the name of Go's ``reflect.Kind`` after following a pointer: ``int``, ``map``, ...

    nil is ``invalid``; a nil pointer is ``ptr``.
    """
    basic = _BASIC.get(type(value))
    return basic[0] if basic else str(value.go_kind)


def type_name(value: Any) -> str:
    """Return the Go type of *value* as ``%T`` prints it; nil is ``<nil>``."""
    basic = _BASIC.get(type(value))
    if basic:
        return basic[1]
    name = str(value.go_type)
    return f"*{name}" if getattr(value, "go_pointer", False) else name


def element_type(container: Any) -> str:
    """Return the Go type of the elements of a slice, map, channel or number."""
    kind_of = type(container)
    if kind_of is list or kind_of is dict:
        return EMPTY_INTERFACE
    if kind_of is bytes or kind_of is str:
        return "uint8"
    if kind_of is GoChannel:
        return str(container.go_type.removeprefix("<-chan "))
    if isinstance(container, int):  # of a range over a number
        return type_name(container)
    return str(container.element)


def is_signed(value: Any) -> bool:
    """Whether *value* is of one of Go's signed integer kinds (a bool is not)."""
    return type(value) is int or kind(value) in SIGNED_KINDS


def is_unsigned(value: Any) -> bool:
    """Whether *value* is of one of Go's unsigned integer kinds."""
    return kind(value) in UNSIGNED_KINDS


def is_float(value: Any) -> bool:
    """Whether *value* is a float32 or float64."""
    return kind(value) in FLOAT_KINDS


def truth(value: Any) -> bool:
    """Whether *value* counts as true: not the zero of its kind, and not empty."""
    kind_of = type(value)
    if kind_of is bool:
        return bool(value)
    if kind_of is NilPointer:
        return False
    if isinstance(value, GoStruct) or kind_of is GoChannel:
        return True
    return bool(value)


_PYTHON: dict[str, type] = {
    EMPTY_INTERFACE: object,
    "bool": bool,
    "int": int,
    "int8": Int8,
    "int16": Int16,
    "int32": Int32,
    "int64": Int64,
    "uint": Uint,
    "uint8": Uint8,
    "uint16": Uint16,
    "uint32": Uint32,
    "uint64": Uint64,
    "float32": Float32,
    "float64": float,
    "complex128": complex,
    "string": str,
    "json.Number": JsonNumber,
    "[]uint8": bytes,
}


@cache
def python_type(go_type: str) -> type:
    """Return the Python class whose instances are values of *go_type*.

    ``interface {}`` is ``object``. Pointer and struct types are not known here.

    :raises KeyError: if the type is not one of the table at the top of this module.
    """
    if go_type in _PYTHON:
        return _PYTHON[go_type]
    if go_type.startswith("[]"):
        return slice_type(go_type[2:])
    if go_type.startswith("map["):
        key, _, element = go_type[4:].partition("]")
        return map_type(key, element)
    raise KeyError(go_type)


def zero(go_type: str) -> Any:
    """Return the zero value of *go_type*; nil for interfaces and for what is not known here."""
    if go_type == EMPTY_INTERFACE:
        return None
    try:
        return python_type(go_type)()
    except KeyError:
        return NilPointer(go_type) if go_type.startswith("*") else None


# --- strings are bytes ------------------------------------------------------------------------

_STRAY_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def encode(text: str) -> bytes:
    """Return the bytes of a Go string. Surrogates that stand for no byte become U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return sanitize(text).encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """Return *data* as a Go string; nothing is lost when it is not UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def byte_length(text: str) -> int:
    """Return the length of a Go string, in bytes."""
    return len(text) if text.isascii() else len(encode(text))


def canonical(text: str) -> str:
    """Return *text* with escaped bytes that together form characters joined to them.

    Cutting a string between the bytes of a character and putting it together again must give
    the same string.
    """
    if text.isascii() or text.isprintable():
        return text
    return decode(encode(text))


def sanitize(text: str) -> str:
    """Replace surrogates that stand for no byte by U+FFFD, as Go's JSON decoder does."""
    return _STRAY_SURROGATE.sub("\ufffd", text)
