"""Our events and the audit log of a real OpenBao tell the same story, and can be matched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.program import Leasekeeper
from tests.short_lives import short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


def audit_log(world: SharedWorld) -> dict[str, dict[str, Any]]:
    """Return the audit log's responses by request id."""
    lines = world.parts.openbao.audit_log.read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return {each["request"]["id"]: each for each in entries if each["type"] == "response"}


async def test_every_login_mint_renewal_rotation_and_publish_is_in_vaults_audit_log(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "audited", token_s=6, lease_s=3, max_lease_s=5)
    config = setup.config(tmp_path / "out")
    async with Leasekeeper(config=config) as program:
        await program.event("token.renewed")
        await program.event("lease.renewed")
        await program.event("secret.rotated")
        await program.event("file.published", count=2)
        await program.stop()
    audited = audit_log(world)

    def entry(event: dict[str, Any]) -> dict[str, Any]:
        return audited[event["request_id"]]

    (login,) = program.events("token.login_succeeded")
    (mint,) = program.events("secret.fetched")
    renewal = program.events("lease.renewed")[0]
    rotation = program.events("secret.rotated")[0]
    first, second = program.events("file.published")[:2]
    assert entry(login)["request"]["path"] == "auth/approle/login"
    assert entry(program.events("token.renewed")[0])["request"]["path"] == "auth/token/renew-self"
    assert entry(mint)["request"]["path"] == entry(rotation)["request"]["path"] == setup.secret
    assert entry(renewal)["request"]["path"] == "sys/leases/renew"
    for event in (mint, rotation):
        lease_id = entry(event)["response"]["secret"]["lease_id"]
        assert event["lease"] == hashlib.sha256(lease_id.encode()).hexdigest()[:16]
    assert renewal["lease"] == mint["lease"] != rotation["lease"]
    assert first["request_ids"] == [mint["request_id"]]
    assert second["request_ids"] == [rotation["request_id"]]


async def test_the_accessor_of_a_login_and_of_its_revocation_is_the_audit_logs_hmac(
    world: SharedWorld,
) -> None:
    """Vault answers a revocation without a body, so there is no request id to match."""
    setup = await short_lives(world, "hashed", token_s=600, lease_s=600, max_lease_s=600)
    more = (
        "lifecycle: {on_exit: revoke}\nexec:\n  command: [sleep, '600']\n"
        f"  env:\n    - name: DATABASE\n      template: '{setup.template()}'\n"
    )
    async with Leasekeeper(config=setup.config(None, more)) as program:
        await program.event("app.started")
        await program.stop()
    (login,) = program.events("token.login_succeeded")
    (revoked,) = program.events("token.revoked")
    answer = await world.run(
        world.parts.openbao.admin.write("sys/audit-hash/world", input=revoked["accessor"])
    )
    revocations = [
        each
        for each in audit_log(world).values()
        if each["request"]["path"] == "auth/token/revoke-self"
    ]

    assert login["accessor"] == revoked["accessor"]
    assert (
        audit_log(world)[login["request_id"]]["response"]["auth"]["accessor"]
        == (answer["data"]["hash"])
    )
    assert answer["data"]["hash"] in [each["auth"]["accessor"] for each in revocations]
