"""How Go values become text under the verbs of package fmt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from leasekeeper.templates.golang.formatting import Flags
from leasekeeper.templates.golang.functions import MAX_TEXT, Function, GoError, TextTooLarge
from leasekeeper.templates.golang.ordering import sorted_keys
from leasekeeper.templates.golang.values import (
    EMPTY_INTERFACE,
    NIL_CONTAINERS,
    SIGNED_KINDS,
    UNSIGNED_KINDS,
    GoStruct,
    NilPointer,
    Uint8,
    canonical,
    decode,
    element_type,
    is_unsigned,
    kind,
    type_name,
)

MAX_NESTING = 150
"""Deepest value that prints. Go has no limit, and dies of a map that holds itself."""
NIL = "<nil>"
_PART = 16
"""What a piece of text costs besides its characters, towards `MAX_TEXT`."""


_WITH_ADDRESS = frozenset({"slice", "map", "ptr", "chan", "func", "struct"})


class Printer:
    """Collects the text of values under the current `Flags`."""

    __slots__ = ("_parts", "_size", "erroring", "flags")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self.flags = Flags()
        self.erroring = False

    def write(self, text: str) -> None:
        """Append *text*.

        :raises TextTooLarge: if there is too much of it by now.
        """
        self._size += len(text) + _PART
        if self._size > MAX_TEXT:
            raise TextTooLarge
        self._parts.append(text)

    def text(self) -> str:
        """Return everything written so far."""
        return canonical("".join(self._parts))

    def argument(self, value: Any, verb: str) -> None:
        """Write one operand with *verb*."""
        if value is None:
            if verb in "Tv":
                self.write(self.flags.pad(NIL))
            else:
                self.bad_verb(value, verb)
        elif verb == "T":
            self.write(self.flags.string(type_name(value)))
        elif verb == "p" and kind(value) in _WITH_ADDRESS:
            self._pointer(value, verb)
        else:
            self.value(value, verb, 0)

    def bad_verb(self, value: Any, verb: str) -> None:
        """Write that *verb* does not apply to *value*, and the value."""
        self.erroring = True
        self.write(f"%!{verb}(")
        if value is None:
            self.write(NIL)
        else:
            self.write(f"{type_name(value)}=")
            self.value(value, "v", 0)
        self.write(")")
        self.erroring = False

    def value(self, value: Any, verb: str, depth: int) -> None:
        """Write *value*, which sits *depth* containers deep."""
        if depth > MAX_NESTING:
            msg = f"value is nested more than {MAX_NESTING} levels deep"
            raise GoError(msg)
        if verb == "w" and not self.erroring:
            self.bad_verb(value, verb)
        elif not self._described(value, verb):
            self._WRITERS[kind(value)](self, value, verb, depth)

    def _described(self, value: Any, verb: str) -> bool:
        """Write what the value's own ``Error`` or ``String`` method says, if it has one."""
        if self.erroring or verb not in "vsxXq":
            return False
        if self.flags.sharp_v:
            return self._described_in_go(value)
        method = describing_method(value)
        if method is None:
            return False
        self._string(method.call(value), verb, 0)
        return True

    def _described_in_go(self, value: Any) -> bool:
        """Write what the value's own ``GoString`` method says, if it has one."""
        methods = getattr(value, "go_methods", None) or {}
        if "GoString" not in methods:
            return False
        self.write(self.flags.string(methods["GoString"].call(value)))
        return True

    # --- by kind ----------------------------------------------------------------------------

    def _bool(self, value: Any, verb: str, _depth: int) -> None:
        if verb in "tv":
            self.write(self.flags.pad("true" if value else "false"))
        else:
            self.bad_verb(value, verb)

    def _integer(self, value: Any, verb: str, _depth: int) -> None:
        flags = self.flags
        if verb in "vdboOxX":
            if verb == "v" and flags.sharp_v and is_unsigned(value):
                self.write(flags.prefixed_hex(int(value)))
            else:
                self.write(flags.integer(int(value), verb))
        elif verb == "c":
            self.write(flags.character(value))
        elif verb == "q":
            self.write(flags.quoted_character(value))
        elif verb == "U":
            self.write(flags.unicode(value))
        else:
            self.bad_verb(value, verb)

    def _float(self, value: Any, verb: str, _depth: int) -> None:
        if verb in "vbeEfFgGxX":
            bits = 32 if kind(value) == "float32" else 64
            self.write(self.flags.float(float(value), verb, bits))
        else:
            self.bad_verb(value, verb)

    def _complex(self, value: Any, verb: str, _depth: int) -> None:
        if verb in "vbeEfFgGxX":
            self.write(self.flags.complex(value, verb))
        else:
            self.bad_verb(value, verb)

    def _string(self, value: Any, verb: str, _depth: int) -> None:
        text = str(value)
        if verb == "s" or (verb == "v" and not self.flags.sharp_v):
            self.write(self.flags.string(text))
        elif verb in "vq":
            self.write(self.flags.quoted(text))
        elif verb in "xX":
            self.write(self.flags.hex_bytes(text, verb))
        else:
            self.bad_verb(value, verb)

    def _slice(self, value: Any, verb: str, depth: int) -> None:
        if type(value) is bytes:
            self._bytes(value, verb)
        else:
            self._elements(value, verb, depth, element_type(value))

    def _elements(self, items: Iterable[Any], verb: str, depth: int, element: str) -> None:
        sharp = self.flags.sharp_v
        if sharp and type(items) in NIL_CONTAINERS:
            self.write(f"{type_name(items)}(nil)")
            return
        self.write(f"{type_name(items)}{{" if sharp else "[")
        for at, item in enumerate(items):
            if at:
                self.write(", " if sharp else " ")
            self._element(item, verb, depth, element)
        self.write("}" if sharp else "]")

    def _element(self, item: Any, verb: str, depth: int, element: str) -> None:
        if item is None:
            self.write(f"{element}(nil)" if self.flags.sharp_v else NIL)
        else:
            self.value(item, verb, depth + 1)

    def _bytes(self, value: bytes, verb: str) -> None:
        if verb == "s":
            self.write(self.flags.string(decode(value)))
        elif verb == "q":
            self.write(self.flags.quoted(decode(value)))
        elif verb in "xX":
            self.write(self.flags.hex_bytes(value, verb))
        elif verb in "vd" and self.flags.sharp_v:
            self.write("[]byte{" + ", ".join(f"{byte:#x}" for byte in value) + "}")
        elif verb in "vd":
            self.write("[" + " ".join(self.flags.integer(byte, "d") for byte in value) + "]")
        else:
            self._elements(list(map(Uint8, value)), verb, 0, "uint8")

    def _map(self, value: Any, verb: str, depth: int) -> None:
        sharp = self.flags.sharp_v
        if sharp and type(value) in NIL_CONTAINERS:
            self.write(f"{type_name(value)}(nil)")
            return
        element = element_type(value)
        self.write(f"{type_name(value)}{{" if sharp else "map[")
        for at, key in enumerate(sorted_keys(value)):
            if at:
                self.write(", " if sharp else " ")
            self._element(key, verb, depth, EMPTY_INTERFACE)
            self.write(":")
            self._element(value[key], verb, depth, element)
        self.write("}" if sharp else "]")

    def _struct(self, value: Any, verb: str, depth: int) -> None:
        if not value.go_pointer:
            self.struct(value, verb, depth)
        elif depth == 0:
            self.write("&")
            self.struct(value, verb, 1)
        else:
            self._pointer(value, verb)

    def struct(self, value: GoStruct, verb: str, depth: int) -> None:
        """Write the fields of a struct."""
        flags = self.flags
        self.write(f"{value.go_type}{{" if flags.sharp_v else "{")
        for at, (name, go_type) in enumerate(value.go_fields.items()):
            if at:
                self.write(", " if flags.sharp_v else " ")
            if flags.plus_v or flags.sharp_v:
                self.write(f"{name}:")
            self._element(getattr(value, name), verb, depth, go_type)
        self.write("}")

    def _pointer(self, value: Any, verb: str) -> None:
        if type(value) is not NilPointer:
            if verb in "vpbodxX":
                self.write(self.flags.pad(address(value)))
            else:
                self.bad_verb(value, verb)
        elif verb != "v":
            self.write(f"%!{verb}({value.go_type}={NIL})")
        elif self.flags.sharp_v:
            self.write(f"({value.go_type})(nil)")
        else:
            self.write(self.flags.pad(NIL))

    def _opaque(self, value: Any, verb: str, _depth: int) -> None:
        self._pointer(value, verb)

    def _nothing(self, _value: Any, verb: str, depth: int) -> None:
        self._element(None, verb, depth, EMPTY_INTERFACE)

    _WRITERS: ClassVar[dict[str, Callable[[Printer, Any, str, int], None]]] = {
        "bool": _bool,
        "float32": _float,
        "float64": _float,
        "complex128": _complex,
        "string": _string,
        "slice": _slice,
        "map": _map,
        "struct": _struct,
        "ptr": _opaque,
        "chan": _opaque,
        "func": _opaque,
        "invalid": _nothing,
        **dict.fromkeys(SIGNED_KINDS | UNSIGNED_KINDS, _integer),
    }


def describing_method(value: Any) -> Function | None:
    """Return the method that says what *value* prints as, if it has one."""
    methods = getattr(value, "go_methods", None)
    if not methods:
        return None
    method: Function | None = methods.get("Error") or methods.get("String")
    return None if method is None or method.run else method


def address(value: Any) -> str:
    """Return what stands for the address of *value*; it differs from run to run, as in Go."""
    return f"0xc{id(value) & 0xFFFFFFFFF:09x}"
