"""Every kind of token that a role can give, on a real server, while what it made is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.test_promises import Application
from tests.program import Leasekeeper
from tests.short_lives import short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

# Twice as long as the longest of these tokens can live.
WATCHED_S = 16.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Fields of an AppRole, and how many of its tokens the watched time takes."""

    role: Mapping[str, object]
    logins: range
    renewed: bool = True


KINDS = {
    "periodic": Kind(role={"token_period": "4s"}, logins=range(1, 2)),
    "periodic with an end": Kind(
        role={"token_period": "4s", "token_explicit_max_ttl": "8s"}, logins=range(2, 6)
    ),
    "max TTL": Kind(role={"token_max_ttl": "8s"}, logins=range(2, 6)),
    "explicit max TTL": Kind(role={"token_explicit_max_ttl": "8s"}, logins=range(2, 6)),
    "batch": Kind(role={"token_type": "batch"}, logins=range(3, 9), renewed=False),
    "no right to renew itself": Kind(
        role={"token_no_default_policy": True}, logins=range(3, 9), renewed=False
    ),
    "few uses": Kind(role={"token_num_uses": 12}, logins=range(2, 9)),
}


@dataclass(frozen=True, kw_only=True)
class Life:
    """What was seen of one program and its application."""

    logins: int
    renewals: int
    minted: int
    good: int
    refused: list[tuple[float, str]]
    state: str
    revoked: bool


async def live(world: SharedWorld, number: int, kind: Kind, conf: Path) -> Life:
    """Run the program with tokens of *kind*, and an application that logs in all the time."""
    name = f"kind-{number}"
    lives = await short_lives(world, name, token_s=6, lease_s=5, max_lease_s=600, token=kind.role)
    dsn = f"host=127.0.0.1 port={world.parts.postgres.port} dbname=products sslmode=disable"
    template = (
        f'{{{{ with secret "{lives.secret}" }}}}{{"db_connection": "{dsn} '
        'user={{ .Data.username }} password={{ .Data.password }}"}{{ end }}'
    )
    config = (
        f"{lives.config(None)}probe: {{interval: 2s}}\nlifecycle: {{on_exit: revoke}}\n"
        f"outputs:\n  - destination: {conf}\n    template: '{template}'\n"
    )
    async with Leasekeeper(config=config) as program:
        await program.event("agent.ready")
        application = Application(conf)
        await application.use(WATCHED_S, every_s=0.2)
        state = (await program.health())["state"]
        assert (await program.stop())[0] == 0
    return Life(
        logins=len(program.events("token.login_succeeded")),
        renewals=len(program.events("token.renewed")),
        minted=len(program.events("secret.fetched") + program.events("secret.rotated")),
        good=application.logins,
        refused=application.failures,
        state=state,
        revoked=bool(program.events("token.revoked") or program.events("lease.revoked")),
    )


async def test_a_token_of_any_kind_is_kept_or_replaced_so_that_no_login_is_refused(
    world: SharedWorld, tmp_path: Path
) -> None:
    """P3. All at the same time, because all of it is waiting."""
    seen = await asyncio.gather(
        *(
            live(world, number, kind, tmp_path / f"{number}.json")
            for number, kind in enumerate(KINDS.values())
        )
    )
    lives = dict(zip(KINDS, seen, strict=True))

    assert {name: life.refused for name, life in lives.items() if life.refused} == {}
    assert {life.state for life in seen} == {"healthy"}
    for name, life in lives.items():
        kind = KINDS[name]
        assert life.logins in kind.logins, (name, life)
        # One for each token; the last one may have come with the end of the time.
        assert life.logins - life.minted in (0, 1), (name, life)
        assert bool(life.renewals) == kind.renewed, (name, life)
        assert life.good > WATCHED_S, name
        assert life.revoked, (name, "on_exit: revoke ends what the files show")
