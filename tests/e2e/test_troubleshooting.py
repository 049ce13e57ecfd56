"""A misconfigured deployment: the tool alone names the cause and the fix, and makes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import Leasekeeper
from tests.walks.cases import CASES, SECRET_PATH, TEMPLATE, Case, Deployment
from tests.walks.troubleshooting import play, run
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_cause_and_the_fix_of_a_mistake_are_named(
    world: SharedWorld, tmp_path: Path, case: Case
) -> None:
    leases = await world.run(world.parts.leases())
    code, said, _ = await world.run(play(world.parts, case, tmp_path))

    assert f"[{case.code}]" in said
    assert code == case.exit_code, said
    for words in case.says:
        assert words in said
    assert "Traceback" not in said
    assert await world.run(world.parts.leases()) == leases


def test_the_page_tells_every_case() -> None:
    page = PAGE.read_text(encoding="utf-8")

    for case in CASES:
        assert f"## {case.title}\n" in page, "run `make troubleshooting`"
        assert f"$ leasekeeper explain {case.code}\n" in page


def deployed(world: SharedWorld, folder: Path, **more: str) -> Deployment:
    deployment = Deployment(world=world.parts, folder=folder, env={}, **more)  # type: ignore[arg-type]
    (folder / "leasekeeper.yaml").write_text(deployment.text, encoding="utf-8")
    return deployment


async def test_a_good_deployment_is_good_and_its_token_is_revoked(
    world: SharedWorld, tmp_path: Path
) -> None:
    tokens = await world.run(world.parts.task_token_accessors())
    code, said = await run(deployed(world, tmp_path), "check", "--online", "-c", "leasekeeper.yaml")

    assert code == 0, said
    assert f"policy        {SECRET_PATH}: read" in said
    assert "made-up values" in said
    assert set(await world.run(world.parts.task_token_accessors())) <= set(tokens)
    assert not (tmp_path / "config").exists()


async def test_the_printed_policy_is_enough_without_any_other(
    world: SharedWorld, tmp_path: Path
) -> None:
    template = TEMPLATE + '{{ with secret "secret/product" }}{{ .Data.data.api_key }}{{ end }}'
    deployment = deployed(world, tmp_path, template=template, role="learn-least")
    _, hcl = await run(deployment, "policy", "--kv2", "secret", "-c", "leasekeeper.yaml")
    parts = world.parts
    own = "arn:aws:iam::123456789012:role/learn-product-api"
    await world.run(parts.set_policy(hcl, name="least"))
    await world.run(parts.bind_role("learn-least", arns=[own], policies=["least"]))
    await world.run(parts.admin.write("auth/aws/role/learn-least", token_no_default_policy=True))

    code, checked = await run(deployment, "check", "--online", "-c", "leasekeeper.yaml")
    assert "policies least\n" in checked
    assert (code, "WARN" in checked) == (0, False), checked
    code, said = await run(deployment, "run", "--once", "-c", "leasekeeper.yaml")

    assert code == 0, said
    assert "refused" not in said
    assert "failed" not in said
    assert (tmp_path / "config" / "app.conf").read_text(encoding="utf-8").endswith("v2-api-key")


async def test_a_diff_shows_what_would_change_and_no_secret(
    world: SharedWorld, tmp_path: Path
) -> None:
    template = '{{ with secret "secret/product" }}key={{ .Data.data.api_key }}{{ end }};' + TEMPLATE
    deployment = deployed(world, tmp_path, template=template)
    file = tmp_path / "config" / "app.conf"
    arguments = ("diff", "-c", "leasekeeper.yaml")

    code, said = await run(deployment, *arguments)
    assert (code, said[:2]) == (1, "+ ")
    assert (await run(deployment, "run", "--once", "-c", "leasekeeper.yaml"))[0] == 0
    leases = await world.run(world.parts.leases())
    code, said = await run(deployment, *arguments)
    assert code == 0, said
    assert said.startswith(f"= {file}: unchanged")

    file.write_text("key=old-api-key;somebody:something", encoding="utf-8")
    code, said = await run(deployment, *arguments)
    assert code == 1
    assert "[secret]" in said
    assert "api-key" not in said
    assert "something" not in said
    _, said = await run(deployment, *arguments, "--show-secrets")
    assert "v2-api-key" in said
    assert await world.run(world.parts.leases()) == leases


async def test_the_running_process_is_shown_and_explained(
    world: SharedWorld, tmp_path: Path
) -> None:
    deployment = deployed(world, tmp_path)
    async with Leasekeeper(env=world.parts.environment(), config=deployment.text) as program:
        await program.event("agent.ready")
        deployment.env["LEASEKEEPER_WEB__LISTEN"] = f"127.0.0.1:{program.port}"
        code, table = await run(deployment, "status")
        _, secret = await run(deployment, "explain", SECRET_PATH)
        _, output = await run(deployment, "explain", f"{tmp_path}/config/app.conf")
        await program.stop()

    assert code == 0
    assert table.startswith("healthy ")
    assert "\x1b" not in table
    assert f"{SECRET_PATH}  leased" in table
    assert "It will be renewed in" in secret
    assert f"It is made from {SECRET_PATH}" in output
