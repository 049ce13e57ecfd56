"""`leasekeeper agent` beside the real `bao agent`: the same files, flags and bytes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.program import Leasekeeper, inherited
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

BAO = str(Path(sys.executable).with_name("bao"))


async def app_role(world: SharedWorld, folder: Path) -> str:
    """Write the ids of an AppRole into *folder*; return the auto_auth method that reads them."""
    admin = world.parts.admin
    role = await world.run(admin.read("auth/approle/role/product/role-id"))
    secret = await world.run(admin.write("auth/approle/role/product/secret-id"))
    (folder / "role").write_text(role["role_id"], encoding="utf-8")
    (folder / "secret").write_text(secret["data"]["secret_id"], encoding="utf-8")
    return f"""
  method "approle" {{
    config = {{
      role_id_file_path = "{folder}/role"
      secret_id_file_path = "{folder}/secret"
      remove_secret_id_file_after_reading = false
    }}
  }}"""


async def run_bao(world: SharedWorld, path: Path) -> None:
    """Run the real agent to its end."""
    process = await asyncio.create_subprocess_exec(
        BAO, "agent", f"-config={path}", "-exit-after-auth",
        env={**inherited(), "BAO_ADDR": world.parts.openbao.address, "HOME": str(path.parent)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


async def run_ours(world: SharedWorld, path: Path, *flags: str) -> Leasekeeper:
    """Run Leasekeeper to its end with the same file and flags."""
    env = {"VAULT_ADDR": world.parts.address}
    arguments = ("agent", f"-config={path}", "-exit-after-auth", *flags)
    async with Leasekeeper(*arguments, env=env) as program:
        code = await program.ended()
    assert code == 0, program.text
    return program


async def test_the_same_file_gives_the_same_bytes_and_modes(
    world: SharedWorld, tmp_path: Path
) -> None:
    admin = world.parts.admin
    data = {"user": "web", "n": 7, "list": ["a", "b"], "nested": {"x": 1.50}, "html": "<&>"}
    await world.run(admin.write("secret/data/dropin/app", data=data))
    source = tmp_path / "app.ctmpl"
    source.write_text(
        '{{ with secret "secret/dropin/app" }}{{ range $k, $v := .Data.data }}'
        "{{ $k }}={{ $v }}\n{{ end }}{{ .Data.data.nope }} {{ .Data.data | toJSONPretty }}{{ end }}"
        '{{ printf "%q %5.2f %v" "ä" 3.14159 (sprig_list 1 "a") }} {{ 1000000.0 }}\n',
        encoding="utf-8",
    )
    method = await app_role(world, tmp_path)
    written = {}
    for name in ("theirs", "ours"):
        folder = tmp_path / name
        folder.mkdir()
        path = tmp_path / f"{name}.hcl"
        path.write_text(
            f"""
auto_auth {{{method}
}}
template {{
  source      = "{source}"
  destination = "{folder}/out"
  perms       = 0600
}}
template {{
  contents = <<EOT
{{{{- range secrets "secret/dropin" }}}}[{{{{ . }}}}]{{{{ end }}}}
EOT
  destination = "{folder}/sub/list"
}}
""",
            encoding="utf-8",
        )
        await (run_bao if name == "theirs" else run_ours)(world, path)
        written[name] = {
            str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mode & 0o777)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }

    assert written["ours"] == written["theirs"]
    assert set(written["ours"]) == {"out", "sub/list"}


async def test_a_wrapped_sink_can_be_unwrapped_once(world: SharedWorld, tmp_path: Path) -> None:
    """The tutorial's steps: `jq -r .token`, unwrap, unwrap again."""
    method = await app_role(world, tmp_path)
    path = tmp_path / "vault-agent-wrapped.hcl"
    path.write_text(
        f"""
exit_after_auth = true
pid_file = "{tmp_path}/pidfile"
auto_auth {{{method}
  sink "file" {{
    wrap_ttl = "5m"
    config = {{
      path = "{tmp_path}/vault-token-via-agent"
    }}
  }}
}}
vault {{
  address = "http://127.0.0.1:1"
}}
""",
        encoding="utf-8",
    )
    await run_ours(world, path)
    wrapped = json.loads((tmp_path / "vault-token-via-agent").read_text(encoding="utf-8"))
    admin, headers = world.parts.admin, {"X-Vault-Token": wrapped["token"]}
    first = await world.run(admin.send("PUT", "sys/wrapping/unwrap", {}, headers=headers))
    second = await world.run(admin.send("PUT", "sys/wrapping/unwrap", {}, headers=headers))

    assert wrapped["creation_path"] == "sys/wrapping/wrap"
    assert first[0] == 200
    assert first[1]["data"]["token"]
    assert second[0] == 400
    assert "wrapping token is not valid or does not exist" in str(second[1])


async def test_a_login_can_be_wrapped_for_the_reader_as_by_the_agent(
    world: SharedWorld, tmp_path: Path
) -> None:
    method = await app_role(world, tmp_path)
    method = method.replace("{", '{\n    wrap_ttl = "90s"', 1)
    wrapped = {}
    for name in ("theirs", "ours"):
        sink = f'sink "file" {{ config = {{ path = "{tmp_path}/{name}" }} }}'
        path = tmp_path / f"{name}.hcl"
        path.write_text(f"auto_auth {{{method}\n  {sink}\n}}\n", encoding="utf-8")
        await (run_bao if name == "theirs" else run_ours)(world, path)
        wrapped[name] = (tmp_path / name).read_text(encoding="utf-8")
    theirs, ours = json.loads(wrapped["theirs"]), json.loads(wrapped["ours"])
    admin, headers = world.parts.admin, {"X-Vault-Token": ours["token"]}
    status, answer = await world.run(admin.send("PUT", "sys/wrapping/unwrap", {}, headers=headers))

    expected = wrapped["theirs"]
    for key in ("token", "accessor", "creation_time", "wrapped_accessor"):
        expected = expected.replace(theirs[key], ours[key])
    assert wrapped["ours"] == expected
    assert (ours["ttl"], ours["creation_path"]) == (90, "auth/approle/login")
    assert status == 200
    assert answer["auth"]["accessor"] == ours["wrapped_accessor"]
    assert answer["auth"]["client_token"]


async def test_the_tutorials_agent_file_writes_the_token(
    world: SharedWorld, tmp_path: Path
) -> None:
    path = tmp_path / "vault-agent.hcl"
    path.write_text(
        f"""
exit_after_auth = true
auto_auth {{
   method "aws" {{
       mount_path = "auth/aws"
       config = {{
           type = "iam"
           role = "{world.parts.settings.role}"
       }}
   }}
   sink "file" {{
       config = {{
           path = "{tmp_path}/token"
       }}
   }}
}}
vault {{
   address = "http://127.0.0.1:1"
}}
""",
        encoding="utf-8",
    )
    env = {**world.parts.environment(), "VAULT_ADDR": world.parts.address}
    async with Leasekeeper("agent", f"-config={path}", env=env) as program:
        code = await program.ended()
    token = (tmp_path / "token").read_text(encoding="utf-8")
    status, _ = await world.run(
        world.parts.admin.send("GET", "auth/token/lookup-self", headers={"X-Vault-Token": token})
    )

    assert code == 0, program.text
    assert status == 200


async def test_hup_and_usr1_do_not_end_it(world: SharedWorld, tmp_path: Path) -> None:
    method = await app_role(world, tmp_path)
    path = tmp_path / "agent.hcl"
    path.write_text(
        f'auto_auth {{{method}\n}}\ntemplate {{\n contents = "x"\n'
        f' destination = "{tmp_path}/out"\n}}\n',
        encoding="utf-8",
    )
    env = {"VAULT_ADDR": world.parts.address}
    async with Leasekeeper("agent", f"-config={path}", env=env) as program:
        await program.event("agent.ready")
        program.process.send_signal(signal.SIGHUP)
        await program.event("agent.reloaded")
        program.process.send_signal(signal.SIGUSR1)
        state = await program.event("agent.state")
        code, _ = await program.stop()

    assert state["state"] == "healthy"
    assert code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("auto_auth {\n", "agent.hcl"),
        ('templat { destination = "/x" }\n', "did you mean"),
        ("", "no auto_auth, cache, or listener block found in config"),
    ],
)
async def test_a_file_that_cannot_be_used_says_where_and_why(
    world: SharedWorld, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "agent.hcl"
    path.write_text(text, encoding="utf-8")
    async with Leasekeeper("agent", f"-config={path}") as program:
        code = await program.ended()

    assert code == 2
    assert said in program.text


async def test_a_converted_file_writes_the_same(world: SharedWorld, tmp_path: Path) -> None:
    method = await app_role(world, tmp_path)
    path, out = tmp_path / "agent.hcl", tmp_path / "out"
    path.write_text(
        f'auto_auth {{{method}\n}}\ntemplate {{\n contents = "{{{{ with secret \\"secret/product\\"'
        f' }}}}{{{{ .Data.data.api_key }}}}{{{{ end }}}}"\n destination = "{out}"\n}}\n',
        encoding="utf-8",
    )
    await run_ours(world, path)
    first = out.read_bytes()
    out.unlink()
    async with Leasekeeper("convert", str(path)) as program:
        assert await program.ended() == 0
    native = tmp_path / "native.yaml"
    native.write_text(program.text, encoding="utf-8")
    env = {"VAULT_ADDR": world.parts.address}
    async with Leasekeeper("run", "--once", "--config", str(native), env=env) as program:
        code = await program.ended()

    assert code == 0, program.text
    assert out.read_bytes() == first


async def test_exit_on_retry_failure_ends_a_start_that_fails(
    world: SharedWorld, tmp_path: Path
) -> None:
    method = await app_role(world, tmp_path)
    path = tmp_path / "agent.hcl"
    path.write_text(
        f"auto_auth {{{method}\n}}\ntemplate_config {{\n exit_on_retry_failure = true\n}}\n"
        'template {\n contents = "{{ with secret \\"secret/product\\" }}{{ .Data.data.nope.x }}'
        f'{{{{ end }}}}"\n destination = "{tmp_path}/out"\n error_on_missing_key = true\n}}\n',
        encoding="utf-8",
    )
    env = {"VAULT_ADDR": world.parts.address}
    async with Leasekeeper("agent", f"-config={path}", env=env) as program:
        code = await program.ended(within_s=10)

    assert code == 4
    assert 'map has no entry for key "nope"' in program.said
    assert not (tmp_path / "out").exists()
