"""Where values live while a template runs.

A frame is a list: the `Run`, ``$``, dot, then one slot for every variable, ``with`` and ``range``.
Which slot holds what is known when the template is compiled, so looking a variable up costs an
index, and leaving a block costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Frame = list[Any]
Evaluate = Callable[[Frame], Any]
Stage = Callable[[Frame, Any], Any]

RUN, ROOT, DOT = 0, 1, 2
_FIRST_SLOT = 3


class Marker:
    """What a slot holds when it holds no value."""

    __slots__ = ()


PENDING = Marker()
"""The variable's value depends on something that is not there yet."""
UNSET = Marker()
"""The variable is declared in a part of an ``and`` or ``or`` that was not reached."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a variable, or dot, lives.

    *container* is the slot of the slice or map whose elements the variable takes, None if it takes
    whole values. A *conditional* one may be unset.
    """

    slot: int
    container: int | None = None
    conditional: bool = False


_ROOT, _DOT = Binding(ROOT), Binding(DOT)


class Scope:
    """The variables of one definition, as far as it has been compiled."""

    def __init__(self) -> None:
        self.names: list[tuple[str, Binding]] = [("$", _ROOT)]
        self.dot = _DOT
        self.size = _FIRST_SLOT
        self.touched: list[int] = []
        """Slots that are given values, in the order in which that is compiled."""
        self.optional = 0
        """Above 0 while compiling what may not be reached."""

    def slot(self) -> int:
        """Return a new slot of the frame."""
        self.size += 1
        return self.size - 1

    def declare(self, name: str, *, container: int | None = None) -> Binding:
        """Make *name* visible from here on."""
        binding = Binding(self.slot(), container, conditional=self.optional > 0)
        self.names.append((name, binding))
        self.touched.append(binding.slot)
        return binding

    def candidates(self, name: str) -> list[Binding]:
        """Return where the value of *name* may be, the innermost first; mostly it is one."""
        found = []
        for known, binding in reversed(self.names):
            if known == name:
                found.append(binding)
                if not binding.conditional:
                    break
        return found

    def assign(self, name: str) -> list[Binding]:
        """Return the candidates of *name*, which is about to be given a value."""
        candidates = self.candidates(name)
        self.touched += [binding.slot for binding in candidates]
        return candidates
