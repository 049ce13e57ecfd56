"""SIGHUP: another configuration, while tokens, leases and applications go on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import psycopg
import pytest

from tests.program import Leasekeeper, until
from tests.short_lives import ShortLives, short_lives
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


class Reloaded:
    """A program with a configuration file that tests write anew."""

    def __init__(self, setup: ShortLives, folder: Path) -> None:
        self.setup = setup
        self.file = folder / "leasekeeper.yaml"
        self.program = Leasekeeper("run", "--config", str(self.file))
        self._reloads = 0

    def write(self, *outputs: str, more: str = "") -> None:
        self.file.write_text(self.setup.config(None, "outputs:\n" + "".join(outputs) + more))

    async def reload(self) -> None:
        self._reloads += 1
        self.program.process.send_signal(signal.SIGHUP)
        await self.program.event("agent.reloaded", count=self._reloads)


async def lease_ids(world: SharedWorld, setup: ShortLives, number: str = "") -> list[str]:
    return await world.run(world.parts.leases(f"{setup.secret}{number}"))


async def test_new_outputs_and_changed_template_files_cost_no_login_and_no_lease(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "added", token_s=600, lease_s=600, max_lease_s=600)
    template = tmp_path / "a.tpl"
    template.write_text(setup.template())
    a = f"  - {{destination: {tmp_path}/a, template_file: {template}}}\n"
    scene = Reloaded(setup, tmp_path)
    scene.write(a)
    async with scene.program as program:
        await program.event("agent.ready")
        before = (tmp_path / "a").read_text()
        leases = await lease_ids(world, setup)
        template.write_text("[" + setup.template() + "]")
        scene.write(a, setup.output(tmp_path / "b"), more="log: {level: debug}\n")
        await scene.reload()
        await until((tmp_path / "b").exists)
        await until(lambda: (tmp_path / "a").read_text() == f"[{before}]")
        reloaded = program.events("agent.reloaded")[0]
        health = await program.health()
        assert await lease_ids(world, setup) == leases
        assert await program.metric("leasekeeper_config_reloads_total") == 1

    assert (tmp_path / "b").read_text() == before
    assert reloaded["added"] == [str(tmp_path / "b")]
    assert reloaded["changed"] == [str(tmp_path / "a")]
    assert reloaded["log_level"] == "debug"
    assert health["outputs"].keys() == {str(tmp_path / "a"), str(tmp_path / "b")}
    assert len(program.events("token.login_succeeded")) == 1
    assert len(program.events("secret.fetched")) == 1
    assert program.events("secret.rotated") == []


async def test_a_lease_is_revoked_after_its_user_is_off_the_disk_and_never_before(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "left", token_s=600, lease_s=600, max_lease_s=600, roles=3)
    moved, left = tmp_path / "moved", tmp_path / "left"
    scene = Reloaded(setup, tmp_path)
    scene.write(setup.output(moved), setup.output(left, f"{setup.secret}1"))
    async with scene.program as program:
        await program.event("agent.ready")
        old, abandoned = moved.read_text(), left.read_text()
        scene.write(setup.output(moved, f"{setup.secret}2"))
        await scene.reload()
        await program.event("lease.revoked")
        await program.event("secret.released", count=2)
        names = [event["event"] for event in program.events()]
        users = await world.run(world.parts.postgres.roles())
        assert await lease_ids(world, setup) == []
        assert set((await program.health())["secrets"]) == {f"{setup.secret}2"}

    assert moved.read_text() != old
    assert names.index("agent.reloaded") < names.index("lease.revoked")
    assert [name for name in names if name in ("file.published", "lease.revoked")][-2:] == [
        "file.published",
        "lease.revoked",
    ]
    # The file of the output that has gone stays, so its user goes on to its own end.
    assert left.read_text() == abandoned
    assert abandoned.partition(":")[0] in users
    assert old.partition(":")[0] not in users


BROKEN = (
    "outputs: [",
    "outputs:\n  - {destination: /proc/nowhere/at/all, template: x}\n",
    "outputs:\n  - {destination: /tmp/x, template: '{{ with }}'}\n",
    "outputs:\n  - {destination: /tmp/x, template_file: /nowhere.tpl}\n",
)


async def test_a_bad_configuration_leaves_the_old_one_running_and_says_why(
    world: SharedWorld, tmp_path: Path
) -> None:
    setup = await short_lives(world, "kept", token_s=600, lease_s=600, max_lease_s=600)
    scene = Reloaded(setup, tmp_path)
    scene.write(setup.output(tmp_path / "a"))
    good = scene.file.read_text()
    async with scene.program as program:
        await program.event("agent.ready")
        content = (tmp_path / "a").read_text()
        for count, broken in enumerate(BROKEN, start=1):
            scene.file.write_text(setup.config(None, broken))
            program.process.send_signal(signal.SIGHUP)
            assert (await program.event("agent.reload_failed", count=count))["problems"]
            degraded = await program.health()
            assert degraded["state"] == "degraded"
            assert "the new configuration is not used" in degraded["reasons"][0]
            assert list(degraded["outputs"]) == [str(tmp_path / "a")]
        scene.file.write_text(good)
        await scene.reload()
        healthy = await program.health()

    assert healthy["state"] == "healthy"
    assert (tmp_path / "a").read_text() == content
    assert len(program.events("file.published")) == 1


async def test_a_new_template_that_cannot_be_rendered_leaves_the_old_one_working(
    world: SharedWorld, tmp_path: Path
) -> None:
    """The old credentials rotate on, although the configuration wants others."""
    setup = await short_lives(world, "denied", token_s=600, lease_s=2, max_lease_s=3)
    out = tmp_path / "a"
    scene = Reloaded(setup, tmp_path)
    scene.write(setup.output(out))
    async with scene.program as program:
        await program.event("agent.ready")
        scene.write(setup.output(out, "secret/data/not-allowed"))
        await scene.reload()
        content = out.read_text()
        await until(lambda: out.read_text() != content)
        health = await program.health()
        scene.write(setup.output(out))
        await scene.reload()
        await program.event("secret.released")
        healed = await program.health()

    assert health["state"] == "degraded"
    assert any("not-allowed" in reason for reason in health["reasons"])
    assert healed["state"] == "healthy"
    assert [event["secret"] for event in program.events("secret.released")] == [
        "secret/data/not-allowed"
    ]


async def test_an_application_notices_nothing_of_reloads_in_the_middle_of_rotations(
    world: SharedWorld, tmp_path: Path
) -> None:
    """Leases of two to three seconds, and two reloads at a time, again and again."""
    setup = await short_lives(world, "busy", token_s=600, lease_s=3, max_lease_s=4, roles=2)
    out = tmp_path / "a"
    scene = Reloaded(setup, tmp_path)
    scene.write(setup.output(out))
    failures, logins = [], 0

    async def use() -> None:
        nonlocal logins
        while True:
            user, _, password = out.read_text().partition(":")
            try:
                async with await psycopg.AsyncConnection.connect(
                    f"host=127.0.0.1 port={world.parts.postgres.port} user={user} "
                    f"password={password} dbname=products sslmode=disable"
                ):
                    logins += 1
            except psycopg.Error as error:
                failures.append(str(error))
            await asyncio.sleep(0.05)

    async with scene.program as program:
        await program.event("agent.ready")
        using = asyncio.get_running_loop().create_task(use())
        for number in range(3):
            await program.event("secret.rotated", count=number + 1)
            scene.write(setup.output(out, f"{setup.secret}{'1' if number % 2 == 0 else ''}"))
            program.process.send_signal(signal.SIGHUP)
            scene.write(
                setup.output(out, f"{setup.secret}{'1' if number % 2 == 0 else ''}"),
                setup.output(tmp_path / f"more{number}"),
            )
            program.process.send_signal(signal.SIGHUP)
        using.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await using

    assert failures == []
    assert logins > 15
    assert len(program.events("token.login_succeeded")) == 1
    assert program.events("agent.bug") == []


async def test_a_group_that_changes_is_switched_as_one(world: SharedWorld, tmp_path: Path) -> None:
    """A member joins: until it is there, and after, both files are of one generation."""
    setup = await short_lives(world, "grouped", token_s=600, lease_s=600, max_lease_s=600)
    link, scene = tmp_path / "current", Reloaded(setup, tmp_path)
    groups = f"groups: [{{link: {link}}}]\n"
    scene.write(setup.output(link / "a"), more=groups)
    async with scene.program as program:
        await program.event("agent.ready")
        before, generation = (link / "a").read_text(), link.readlink()
        scene.write(setup.output(link / "a"), setup.output(link / "b"), more=groups)
        await scene.reload()
        await until((link / "b").exists)

    assert (link / "a").read_text() == (link / "b").read_text() == before
    assert link.readlink() != generation
    assert program.events("agent.reloaded")[0]["changed"] == [str(link)]
    assert len(program.events("secret.fetched")) == 1


async def test_what_only_a_restart_can_change_is_named(world: SharedWorld, tmp_path: Path) -> None:
    setup = await short_lives(world, "waits", token_s=600, lease_s=600, max_lease_s=600)
    scene = Reloaded(setup, tmp_path)
    scene.write(setup.output(tmp_path / "a"))
    async with scene.program as program:
        await program.event("agent.ready")
        text = scene.file.read_text().replace(setup.address, "https://elsewhere.example.com")
        scene.file.write_text(text.replace("approle, ", "approle, mount: other, "))
        await scene.reload()
        needed = await program.event("agent.restart_needed")

    assert needed["keys"] == ["vault.address", "auth.mount"]


async def test_files_of_vault_agent_are_read_again_too(world: SharedWorld, tmp_path: Path) -> None:
    setup = await short_lives(world, "hcl", token_s=600, lease_s=600, max_lease_s=600)
    (tmp_path / "role-id").write_text(setup.role_id)
    (tmp_path / "secret-id").write_text(setup.secret_id)
    template, config = tmp_path / "a.ctmpl", tmp_path / "agent.hcl"
    template.write_text(
        f'{{{{ with secret "{setup.secret}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
    )
    text = f"""
        vault {{ address = "{setup.address}" }}
        auto_auth {{ method "approle" {{ config = {{
          role_id_file_path = "{tmp_path}/role-id"
          secret_id_file_path = "{tmp_path}/secret-id"
          remove_secret_id_file_after_reading = false
        }} }} }}
        template {{ source = "{template}" destination = "{tmp_path}/a" }}
    """
    config.write_text(text)
    async with Leasekeeper("agent", f"-config={config}") as program:
        await program.event("agent.ready")
        user = (tmp_path / "a").read_text()
        template.write_text(template.read_text() + "!")
        config.write_text(
            text + f'template {{ source = "{template}" destination = "{tmp_path}/b" }}\n'
        )
        program.process.send_signal(signal.SIGHUP)
        await program.event("agent.reloaded")
        await until((tmp_path / "b").exists)
        await until(lambda: (tmp_path / "a").read_text() == f"{user}!")

    assert len(program.events("token.login_succeeded")) == 1
    assert len(program.events("secret.fetched")) == 1
