"""What 200 tasks ask of Vault together, over the model of `benchmarks/fleet`: no storms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.fleet.figures import COSTLY, Rate, leases_held, per_second, rate
from benchmarks.fleet.model import Terms
from benchmarks.fleet.simulation import Log, Scenario, simulate

FLEET = Scenario(
    tasks=200,
    terms=Terms(token_ttl=1200, token_max_ttl=1e9, lease_ttl=1200, lease_max_ttl=1800),
    wave_s=10,
    end_s=2700,
    outage=(1800, 1980),
)
# 200 tasks are few for single seconds: chance alone makes some twice as busy as others.
BUCKET_S = 10


@pytest.fixture(scope="module")
def log() -> Log:
    return simulate(FLEET)


def between(log: Log, begin: int, end: int) -> Rate:
    return rate(per_second(log, FLEET.end_s)[begin:end], BUCKET_S)


def test_tasks_deployed_together_are_out_of_step_when_the_deployment_is_over(log: Log) -> None:
    """Leases reach max TTL within this time, all of the same age."""
    after = between(log, 20, 1800)

    assert after.ratio <= 2


def test_the_return_of_vault_brings_at_most_three_times_what_is_usual(log: Log) -> None:
    usual = between(log, 20, 1800)

    assert between(log, 1980, 2280).peak <= 3 * usual.mean
    assert between(log, 2280, 2700).peak <= 2 * usual.mean


def test_what_an_outage_has_put_off_does_not_come_in_step_ever_after() -> None:
    """Without probes the first that fails is a reading, so all are made up for at once."""
    log = simulate(replace(FLEET, end_s=3600, settings={"probe": {"interval": "0"}}))
    readings = per_second(log, 3600, ("read",))

    assert rate(readings[1980:2100], 30).ratio > 1.5
    assert rate(readings[2160:3600], 30).ratio <= 2


def test_no_credential_ends_before_there_is_another(log: Log) -> None:
    assert log.gaps == []


def test_a_credential_that_ended_in_an_outage_is_replaced_at_once() -> None:
    short = Terms(token_ttl=120, token_max_ttl=1e9, lease_ttl=120, lease_max_ttl=240)
    some = replace(FLEET, tasks=40, terms=short, end_s=700, outage=(500, 680))
    gaps = simulate(some).gaps

    assert len(gaps) == some.tasks
    assert max(found for _, found in gaps) <= 683


def test_members_that_draw_the_same_jitter_would_stay_in_step() -> None:
    """That the assertions above can fail."""
    alike = simulate(replace(FLEET, jitter=False, end_s=600, outage=(1e9, 1e9)))

    assert rate(per_second(alike, 600)[20:], BUCKET_S).ratio > 2


def test_a_task_costs_vault_what_its_intervals_say_and_no_more(log: Log) -> None:
    asked = {kind: sum(counts.values()) / FLEET.tasks for kind, counts in log.requests.items()}
    life_s = FLEET.end_s

    assert asked["login"] == 1
    assert asked["find mount"] == 2
    assert 2 <= asked["mint"] <= 4  # 30 minutes each, of 45, replaced ahead of their end
    assert asked["read"] <= 2 + life_s / 270
    for lookup in ("lookup token", "lookup lease"):
        assert asked[lookup] <= 3 + life_s / 27
    for renewal in ("renew token", "renew lease"):
        assert asked[renewal] <= 2 + life_s / (1200 * 0.5)
    assert asked["health"] <= 6 + 180 / 7.5  # while Vault is away
    assert sum(per_second(log, life_s, COSTLY)) <= 15 * FLEET.tasks


def test_a_task_holds_one_lease_and_few_more_while_they_change(log: Log) -> None:
    held = leases_held(log, FLEET.end_s)[20:]

    assert min(held) >= FLEET.tasks
    assert max(held) <= 2.5 * FLEET.tasks
