"""What a scenario is, and the list of all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.chaos.lane import Rules
from tests.chaos.subjects import Subject

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

BOTH = (Subject.LEASEKEEPER, Subject.BAO_AGENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came out. *said* is for people, *figures* for machines, *good* reaches the goal."""

    said: str
    good: bool
    figures: Mapping[str, object] = field(default_factory=dict)


Play = Callable[["Stage"], Awaitable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Something that breaks. *lasts_s* is about how long one subject takes, at full length."""

    name: str
    event: str
    goal: str
    lasts_s: float
    play: Play
    rules: Rules
    subjects: tuple[Subject, ...] = BOTH
    heavy: bool = False
    """It keeps a processor busy, so it is played beside no other of its kind."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    *,
    event: str,
    goal: str,
    lasts_s: float,
    rules: Rules | None = None,
    subjects: tuple[Subject, ...] = BOTH,
    heavy: bool = False,
) -> Callable[[Play], Play]:
    """Put the decorated function on the list; *event* and *goal* are the table's words."""

    def register(play: Play) -> Play:
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(
            name=name,
            event=event,
            goal=goal,
            lasts_s=lasts_s,
            play=play,
            rules=rules or Rules(),
            subjects=subjects,
            heavy=heavy,
        )
        return play

    return register


def load() -> dict[str, Scenario]:
    """Return every scenario, in the order of the table."""
    from tests.chaos import scenarios  # they register themselves, and use this module

    modules = [module.__name__ for module in scenarios.IN_ORDER]
    found = sorted(SCENARIOS.values(), key=lambda one: modules.index(one.play.__module__))
    return {one.name: one for one in found}
