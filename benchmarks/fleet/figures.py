"""What a log of requests says: rates, peaks, leases. Pure."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.fleet.simulation import Log, Scenario

# The first repeated questions of the last task to start are part of the wave.
WAVE_ENDS_S = 60
# After an outage, everything that it has held up is done by then.
RETURN_S = 300
# Kinds of which each costs Vault more than an answer: storage is written, users are made.
COSTLY = ("login", "mint", "renew lease", "renew token")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Requests a second over some time."""

    mean: float
    peak: float

    @property
    def ratio(self) -> float:
        """Peak to mean."""
        return self.peak / self.mean if self.mean else 0.0


@dataclass(frozen=True, kw_only=True)
class Return:
    """What the end of an outage brought.

    *work* is all that was asked but the question whether Vault is there. *ended* tasks had no
    credential any more; half of them had one again after *half_s*, and so on.
    """

    away: Rate
    back: Rate
    work: Rate
    after: Rate
    ended: int
    half_s: float
    most_s: float
    all_s: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a scenario came to. *gaps* counts losses of a credential while Vault was there."""

    wave: Rate
    steady: Rate
    costly: Rate
    outage: Return
    gaps: int
    leases_mean: float
    leases_most: int


def per_second(log: Log, end_s: float, kinds: Collection[str] | None = None) -> list[int]:
    """Return the number of requests in each second; of all *kinds* if None."""
    total: Counter[int] = Counter()
    for kind, counts in log.requests.items():
        if kinds is None or kind in kinds:
            total.update(counts)
    return [total[second] for second in range(int(end_s))]


def leases_held(log: Log, end_s: float) -> list[int]:
    """Return how many leases there were at the end of each second."""
    return list(accumulate(log.leases[second] for second in range(int(end_s))))


def rate(counts: Sequence[int], bucket_s: int = 1) -> Rate:
    """Return mean and peak of *counts*, with the peak over *bucket_s* seconds at a time."""
    buckets = [
        sum(counts[at : at + bucket_s]) / bucket_s
        for at in range(0, len(counts) - bucket_s + 1, bucket_s)
    ]
    return Rate(mean=statistics.fmean(counts), peak=max(buckets))


def figures(scenario: Scenario, log: Log) -> Figures:
    """Return what *log* says of *scenario*."""
    counts = per_second(log, scenario.end_s)
    begin = int(scenario.wave_s) + WAVE_ENDS_S
    down, up = (int(at) for at in scenario.outage)
    held = leases_held(log, scenario.end_s)[begin:]
    return Figures(
        wave=rate(counts[:begin]),
        steady=rate(counts[begin:down]),
        costly=rate(per_second(log, scenario.end_s, COSTLY)[begin:down], 60),
        outage=_return(scenario, log),
        gaps=sum(not down <= lost < up for lost, _ in log.gaps),
        leases_mean=statistics.fmean(held),
        leases_most=max(held),
    )


def _return(scenario: Scenario, log: Log) -> Return:
    down, up = scenario.outage
    begin, again = int(up), int(up) + RETURN_S
    counts = per_second(log, scenario.end_s)
    work = per_second(log, scenario.end_s, log.requests.keys() - {"health"})
    waits = sorted(found - up for lost, found in log.gaps if down <= lost < up <= found)
    return Return(
        away=rate(counts[int(down) : begin]),
        back=rate(counts[begin:again]),
        work=rate(work[begin:again]),
        after=rate(counts[again:]),
        ended=len(waits),
        half_s=_part(waits, 0.5),
        most_s=_part(waits, 0.99),
        all_s=_part(waits, 1.0),
    )


def _part(waits: Sequence[float], part: float) -> float:
    """Return how long *part* of *waits*, in order, took; 0 if there are none."""
    return waits[math.ceil(len(waits) * part) - 1] if waits else 0.0
