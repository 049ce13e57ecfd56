"""How one number, string or boolean is formatted under the flags of a ``printf`` verb.

The rules are those of Go's package fmt; `printing` decides which of them a value needs.
"""

from __future__ import annotations

import math

from leasekeeper.templates.golang.numbers import format_float
from leasekeeper.templates.golang.quoting import can_backquote, hexadecimal, quote, quote_rune

_BASES = {"b": (2, "b"), "o": (8, "o"), "O": (8, "o"), "x": (16, "x"), "X": (16, "X")}
_PREFIXES = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}
_MAX_RUNE = 0x10FFFF
_DEFAULT_SHARP_DIGITS = 6


class Flags:
    """Flags, width and precision of one verb. Formatting methods return text, padded."""

    __slots__ = (
        "minus",
        "plus",
        "plus_v",
        "precision",
        "sharp",
        "sharp_v",
        "space",
        "width",
        "zero",
    )

    def __init__(self) -> None:
        self.minus = self.plus = self.sharp = self.space = self.zero = False
        self.plus_v = self.sharp_v = False
        self.width: int | None = None
        self.precision: int | None = None

    def for_v(self) -> None:
        """Give ``#`` and ``+`` the meaning they have with ``%v``: Go syntax, field names."""
        self.sharp_v, self.sharp = self.sharp, False
        self.plus_v, self.plus = self.plus, False

    def pad(self, text: str, *, zeros: bool | None = None) -> str:
        """Return *text* filled up to the width, with zeros only on the left."""
        if self.width is None or len(text) >= self.width:
            return text
        if self.minus:
            return text.ljust(self.width)
        fill_zeros = self.zero if zeros is None else zeros
        return text.rjust(self.width, "0" if fill_zeros else " ")

    # --- text -----------------------------------------------------------------------------

    def truncate(self, text: str) -> str:
        """Cut *text* to as many characters as the precision allows."""
        return text if self.precision is None else text[: self.precision]

    def string(self, text: str) -> str:
        """``%s``."""
        return self.pad(self.truncate(text))

    def quoted(self, text: str) -> str:
        """``%q`` of a string."""
        text = self.truncate(text)
        if self.sharp and can_backquote(text):
            return self.pad(f"`{text}`")
        return self.pad(quote(text, ascii_only=self.plus))

    def hex_bytes(self, text: str | bytes, verb: str) -> str:
        """``%x`` and ``%X`` of a string or bytes; the precision counts bytes."""
        digits = hexadecimal(text)
        if self.precision is not None:
            digits = digits[: 2 * self.precision]
        if verb == "X":
            digits = digits.upper()
        prefix = ("0X" if verb == "X" else "0x") if self.sharp and digits else ""
        if self.space:
            pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
            return self.pad(" ".join(prefix + pair for pair in pairs))
        return self.pad(prefix + digits)

    # --- integers -------------------------------------------------------------------------

    def integer(self, number: int, verb: str) -> str:
        """``%d %b %o %O %x %X`` (and ``%v``) of an integer."""
        base, style = _BASES.get(verb, (10, "d"))
        digits = f"{abs(number):{style}}"
        sign = "-" if number < 0 else "+" if self.plus else " " if self.space else ""
        if self.precision is not None:
            if self.precision == 0 and number == 0:
                return " " * (self.width or 0)
            digits = digits.rjust(self.precision, "0")
        elif self.zero and not self.minus and self.width is not None:
            digits = digits.rjust(self.width - len(sign), "0")
        if self.sharp and base != 10 and not (base == 8 and digits.startswith("0")):
            digits = _PREFIXES["o" if base == 8 else style] + digits
        if verb == "O":
            digits = "0o" + digits
        return self.pad(sign + digits, zeros=False)

    def prefixed_hex(self, number: int) -> str:
        """``%#v`` of an unsigned integer."""
        sharp, self.sharp = self.sharp, True
        text = self.integer(number, "x")
        self.sharp = sharp
        return text

    def character(self, code: int) -> str:
        """``%c``."""
        return self.pad(_character(code))

    def quoted_character(self, code: int) -> str:
        """``%q`` of an integer."""
        return self.pad(quote_rune(code, ascii_only=self.plus))

    def unicode(self, code: int) -> str:
        """``%U``, and with ``#`` the character itself."""
        digits = max(4, self.precision or 0)
        text = f"U+{code & (1 << 64) - 1:0{digits}X}"
        if self.sharp and 0 <= code <= _MAX_RUNE and chr(code).isprintable():
            text += f" '{chr(code)}'"
        return self.pad(text, zeros=False)

    # --- floats ---------------------------------------------------------------------------

    def float(self, number: float, verb: str, bits: int = 64) -> str:
        """``%e %E %f %F %g %G %b %x %X`` (and ``%v``) of a float."""
        precision = self.precision
        if precision is None:
            precision = 6 if verb in "eEfF" else -1
        text = format_float(number, "g" if verb == "v" else verb, precision, bits)
        if not text.startswith(("-", "+")):
            text = "+" + text
        if self.space and text[0] == "+" and not self.plus:
            text = " " + text[1:]
        if not math.isfinite(number):
            if math.isnan(number) and not self.space and not self.plus:
                text = text[1:]
            return self.pad(text, zeros=False)
        if self.sharp and verb != "b":
            text = _with_point(text, verb, precision)
        if not self.plus and text[0] == "+":
            return self.pad(text[1:])
        if self.zero and not self.minus and self.width is not None and self.width > len(text):
            return text[0] + text[1:].rjust(self.width - 1, "0")
        return self.pad(text)

    def complex(self, number: complex, verb: str) -> str:
        """The verbs of floats, for a complex number."""
        real = self.float(number.real, verb)
        plus, self.plus = self.plus, True
        imaginary = self.float(number.imag, verb)
        self.plus = plus
        return f"({real}{imaginary}i)"


def _character(code: int) -> str:
    valid = 0 <= code <= _MAX_RUNE and not 0xD800 <= code <= 0xDFFF
    return chr(code) if valid else "\ufffd"


def _with_point(text: str, verb: str, precision: int) -> str:
    """Apply the ``#`` flag: always a decimal point, and trailing zeros for ``%g``."""
    marks = "pP" if verb in "xX" else "eEpP"
    end = next((at for at, char in enumerate(text) if char in marks), len(text))
    number, tail = text[:end], text[end:]
    wanted = 0
    if verb in "vgGx":  # not X, which Go forgot
        wanted = _DEFAULT_SHARP_DIGITS if precision == -1 else precision
    wanted -= len(number[1:].replace(".", "").lstrip("0"))
    if "." not in number:
        if number[1:] == "0":
            wanted -= 1
        number += "."
    return number + "0" * max(wanted, 0) + tail
