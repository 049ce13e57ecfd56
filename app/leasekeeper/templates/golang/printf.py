"""``printf``: text with verbs, widths and argument numbers (package fmt)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leasekeeper.templates.golang.formatting import Flags
from leasekeeper.templates.golang.printer import NIL, Printer
from leasekeeper.templates.golang.values import is_signed, is_unsigned, type_name

_MAX_NUMBER = 1_000_000
_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}


def sprintf(template: str, *arguments: Any, printer: Printer | None = None) -> str:
    """Return *arguments* formatted by *template*, errors included as Go includes them.

    *printer*, fresh, is for who prints values in another way.
    """
    return _Format(template, arguments, printer or Printer()).run()


class _Format:
    """One run of ``printf``."""

    def __init__(self, template: str, arguments: Sequence[Any], printer: Printer) -> None:
        self._template = template
        self._arguments = arguments
        self._at = 0
        self._next = 0
        self._reordered = False
        self._good_index = True
        self._after_index = False
        self._printer = printer

    def run(self) -> str:
        template, printer = self._template, self._printer
        while True:
            percent = template.find("%", self._at)
            if percent < 0:
                printer.write(template[self._at :])
                break
            printer.write(template[self._at : percent])
            self._at = percent + 1
            self._verb()
        self._extra()
        return printer.text()

    def _verb(self) -> None:
        printer = self._printer
        flags = printer.flags = Flags()
        self._good_index, self._after_index = True, False
        self._read_flags(flags)
        self._read_index()
        self._read_width(flags)
        self._read_precision(flags)
        if not self._after_index:
            self._read_index()
        if self._at >= len(self._template):
            printer.write("%!(NOVERB)")
            return
        verb = self._template[self._at]
        self._at += 1
        if verb == "%":
            printer.write("%")
        elif not self._good_index:
            printer.write(f"%!{verb}(BADINDEX)")
        elif self._next >= len(self._arguments):
            printer.write(f"%!{verb}(MISSING)")
        else:
            if verb in "vw":
                flags.for_v()
            self._next += 1
            printer.argument(self._arguments[self._next - 1], verb)

    def _read_flags(self, flags: Flags) -> None:
        while self._at < len(self._template):
            name = _FLAGS.get(self._template[self._at])
            if name is None:
                return
            setattr(flags, name, True)
            self._at += 1

    def _read_index(self) -> None:
        """Read ``[n]``, the number of the next argument."""
        template, start = self._template, self._at
        self._after_index = False
        if template[start : start + 1] != "[":
            return
        self._reordered = True
        close = template.find("]", start)
        if close < 0 or len(template) - start < 3:
            self._at, self._good_index = start + 1, False
            return
        self._at = close + 1
        digits = template[start + 1 : close]
        number = _number(digits) if digits.isascii() and digits.isdigit() else None
        self._after_index = number is not None
        if number is None or not 1 <= number <= len(self._arguments):
            self._good_index = False
        else:
            self._next = number - 1

    def _read_width(self, flags: Flags) -> None:
        if self._take("*"):
            width = self._integer_argument()
            if width is None:
                self._printer.write("%!(BADWIDTH)")
            elif width < 0:
                width, flags.minus, flags.zero = -width, True, False
            flags.width = width
            self._after_index = False
            return
        flags.width = self._digits()
        if self._after_index and flags.width is not None:
            self._good_index = False

    def _read_precision(self, flags: Flags) -> None:
        # A point that ends the format is taken for the verb.
        if self._at + 1 >= len(self._template) or not self._take("."):
            return
        if self._after_index:
            self._good_index = False
        self._read_index()
        if self._take("*"):
            precision = self._integer_argument()
            if precision is None or precision < 0:
                precision = None
                self._printer.write("%!(BADPREC)")
            flags.precision = precision
            self._after_index = False
            return
        flags.precision = self._digits() or 0

    def _take(self, char: str) -> bool:
        if self._template[self._at : self._at + 1] != char:
            return False
        self._at += 1
        return True

    def _digits(self) -> int | None:
        start = self._at
        while self._template[self._at : self._at + 1] in set("0123456789"):
            self._at += 1
        if start == self._at:
            return None
        number = _number(self._template[start : self._at])
        if number is None:
            self._at = len(self._template)
        return number

    def _integer_argument(self) -> int | None:
        """Take the next argument as a width or precision; None if it is no reasonable integer."""
        if self._next >= len(self._arguments):
            return None
        value = self._arguments[self._next]
        self._next += 1
        if not (is_signed(value) or is_unsigned(value)) or abs(value) > _MAX_NUMBER:
            return None
        return int(value)

    def _extra(self) -> None:
        """Complain about arguments that no verb used."""
        if self._reordered or self._next >= len(self._arguments):
            return
        printer = self._printer
        printer.flags = Flags()
        printer.write("%!(EXTRA ")
        for at, value in enumerate(self._arguments[self._next :]):
            if at:
                printer.write(", ")
            if value is None:
                printer.write(NIL)
            else:
                printer.write(f"{type_name(value)}=")
                printer.argument(value, "v")
        printer.write(")")


def _number(digits: str) -> int | None:
    """Return the number, or None if it is larger than a width or an index may be."""
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(_MAX_NUMBER)):
        return None
    number = int(digits)
    return number if number < _MAX_NUMBER * 10 + 10 else None
