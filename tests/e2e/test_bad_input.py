"""Bad input gets a clear error with the fix in it, and nothing is lost."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.program import Leasekeeper
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

QUICK = "lifecycle: {startup_deadline: 3s}\n"


def config(
    world: SharedWorld, template: str, destination: Path | str, *, role: str = "", more: str = QUICK
) -> str:
    """Return a configuration with one output."""
    quoted = template.replace("'", "''")
    return (
        f"auth: {{method: aws_iam, role: {role or world.parts.settings.role}}}\n"
        f"outputs:\n  - destination: {destination}\n    template: '{quoted}'\n{more}"
    )


async def run(world: SharedWorld, text: str, **env: str) -> tuple[int, Leasekeeper]:
    """Run until it ends by itself."""
    async with Leasekeeper(env={**world.parts.environment(), **env}, config=text) as program:
        code = await program.ended(within_s=40)
    return code, program


CREDS = '{{ with secret "learn/database/creds/product" }}{{ .Data.username }}{{ end }}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outptus: []\n", 'unknown key; did you mean "outputs"?'),
        ("probe: {interval: 30}\n", "a duration needs a unit"),
        ("web: [1]\n", "web"),
        ("outputs: [{destination: /x/y, template: '{{ if }}'}]", "missing value for if"),
        ("outputs: [{destination: /x/y, template: '{{ nope 1 }}'}]", 'function "nope" not defined'),
        ("outputs: [{destination: /x/y, template_file: /no/such}]", "no/such"),
        ("outputs: [{destination: x, template: y}]", "absolute path"),
        (
            "outputs: [{destination: /x/y, template: a}, {destination: /x//y, template: b}]",
            "same destination",
        ),
    ],
)
async def test_a_wrong_configuration_ends_at_once_with_2(
    world: SharedWorld, text: str, said: str
) -> None:
    before = world.parts.gateway.count("/v1/auth/aws/login")
    code, program = await run(world, f"auth: {{method: aws_iam, role: r}}\n{text}")

    assert code == 2
    assert said in program.said
    assert "Traceback" not in program.text
    assert world.parts.gateway.count("/v1/auth/aws/login") == before


async def test_a_template_error_names_line_and_column(world: SharedWorld, tmp_path: Path) -> None:
    template = tmp_path / "app.ctmpl"
    template.write_text("one\ntwo {{ .Data | nope }}\n", encoding="utf-8")
    text = (
        "auth: {method: aws_iam, role: r}\n"
        f"outputs: [{{destination: {tmp_path}/out, template_file: {template}}}]\n"
    )
    code, program = await run(world, text)

    assert code == 2
    assert f"{template}:2" in program.text


async def test_a_destination_that_cannot_be_written_ends_with_5_before_any_login(
    world: SharedWorld, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    before = world.parts.gateway.count("/v1/auth/aws/login")
    for destination in (tmp_path / "file" / "out", tmp_path / "directory"):
        code, program = await run(world, config(world, CREDS, destination))

        assert code == 5
        assert str(destination.parent if "file" in str(destination) else destination) in (
            program.text
        )
    assert world.parts.gateway.count("/v1/auth/aws/login") == before


async def test_a_vault_that_is_not_there_ends_with_6_at_the_deadline(
    world: SharedWorld, tmp_path: Path
) -> None:
    text = config(world, CREDS, tmp_path / "out")
    code, program = await run(world, text, VAULT_ADDR="http://127.0.0.1:1")

    assert code == 6
    assert "cannot be reached" in program.events("agent.failed")[-1]["error"]


async def test_a_wrong_role_ends_with_3_and_says_what_to_do(
    world: SharedWorld, tmp_path: Path
) -> None:
    code, program = await run(world, config(world, CREDS, tmp_path / "out", role="nobody"))

    failed = program.events("agent.failed")[-1]
    assert code == 3
    assert "nobody" in failed["error"]
    assert failed["hint"]


async def test_a_denied_path_ends_with_4_and_names_the_capability(
    world: SharedWorld, tmp_path: Path
) -> None:
    template = '{{ with secret "sys/policies/acl/root" }}{{ .Data }}{{ end }}'
    code, program = await run(world, config(world, template, tmp_path / "out"))

    assert code == 4
    assert "allow read on 'sys/policies/acl/root'" in program.said


async def test_a_missing_secret_and_a_missing_key_end_with_4(
    world: SharedWorld, tmp_path: Path
) -> None:
    missing = '{{ with secret "secret/no/such" }}{{ .Data.data.a }}{{ end }}'
    code, program = await run(world, config(world, missing, tmp_path / "out"))
    assert code == 4
    assert "no secret exists at secret/data/no/such" in program.said

    await world.run(world.parts.admin.write("secret/data/bad-input", data={"a": "b"}))
    key = '{{ with secret "secret/bad-input" }}{{ .Data.data.nope }}{{ end }}'
    code, program = await run(world, config(world, key, tmp_path / "out"))
    assert code == 4
    assert 'map has no entry for key "nope"' in program.said
    assert not (tmp_path / "out").exists()


async def test_a_deleted_secret_leaves_the_last_good_file(
    world: SharedWorld, tmp_path: Path
) -> None:
    admin = world.parts.admin
    await world.run(admin.write("secret/data/deleted", data={"a": "good"}))
    template = '{{ with secret "secret/deleted" }}{{ .Data.data.a }}{{ end }}'
    text = config(world, template, tmp_path / "out", more=(
        "secrets: {static_secret_render_interval: 1s}\n"
    ))  # fmt: skip
    async with Leasekeeper(env=world.parts.environment(), config=text) as program:
        await program.event("agent.ready")
        await world.run(admin.delete("secret/data/deleted"))
        failed = await program.event("secret.fetch_failed")
        status, body = await program.get("/health")
        content = (tmp_path / "out").read_text(encoding="utf-8")
        await world.run(admin.write("secret/data/deleted", data={"a": "back"}))
        await program.event("file.published", count=2)

    assert "was deleted" in failed["error"]
    assert (status, content) == (200, "good")
    assert '"state": "degraded"' in body
    assert (tmp_path / "out").read_text(encoding="utf-8") == "back"


async def test_variables_that_are_not_utf_8_are_named_and_not_shown(
    world: SharedWorld, tmp_path: Path
) -> None:
    broken = b"\xff\xfecanary".decode("utf-8", "surrogateescape")
    text = config(world, CREDS, tmp_path / "out")
    code, program = await run(world, text, LEASEKEEPER_AUTH__SERVER_ID=broken)

    assert code == 2
    assert "LEASEKEEPER_AUTH__SERVER_ID" in program.text
    assert "canary" not in program.text


async def test_a_configuration_of_the_tutorials_image_with_a_bad_template(
    world: SharedWorld, tmp_path: Path
) -> None:
    async with Leasekeeper(
        env={
            **world.parts.environment(),
            "VAULT_AGENT_TEMPLATE": base64.b64encode(b"{{ with }}").decode(),
            "TARGET_FILE_NAME": "conf.json",
            "LEASEKEEPER_OUTPUT_DIR": str(tmp_path),
        }
    ) as program:
        code = await program.ended()

    assert code == 2
    assert "missing value for with" in program.text


async def test_a_port_that_is_taken_is_named_with_its_setting(
    world: SharedWorld, tmp_path: Path
) -> None:
    taken = world.parts.address.removeprefix("http://")
    text = config(world, CREDS, tmp_path / "out")
    code, program = await run(world, text, LEASEKEEPER_WEB__LISTEN=taken)

    assert code == 2
    assert "LEASEKEEPER_WEB__LISTEN" in program.text
