"""Every kind of secret on a real OpenBao: what is written, and when it changes."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from leasekeeper.devstack.product_setup import DatabaseRules
from leasekeeper.devstack.world import World, WorldSettings
from tests.program import Leasekeeper, until
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e


def config(role: str, *outputs: str, more: str = "") -> str:
    """Return a configuration of the IAM login with *outputs*, each a YAML flow mapping."""
    lines = "".join(f"  - {output}\n" for output in outputs)
    return f"auth: {{method: aws_iam, role: {role}}}\noutputs:\n{lines}{more}"


def template(destination: Path, text: str) -> str:
    """Return one output as a YAML flow mapping; JSON is YAML."""
    return json.dumps({"destination": str(destination), "template": text})


async def once(world: SharedWorld, text: str) -> Leasekeeper:
    """Publish once."""
    async with Leasekeeper("run", "--once", env=world.parts.environment(), config=text) as program:
        code = await program.ended(within_s=40)
    assert code == 0, program.text
    return program


async def test_kv_1_and_2_lists_and_a_version_are_read_as_vault_agent_does(
    world: SharedWorld, tmp_path: Path
) -> None:
    admin = world.parts.admin
    await world.run(admin.write("secret/data/kinds/a", data={"n": 1.10, "big": 2**50, "s": "é"}))
    await world.run(admin.write("secret/data/kinds/a", data={"n": 2, "s": "second"}))
    await world.run(admin.write("kv/kinds/one", s="v1", n=7))
    await world.run(admin.write("kv/kinds/two", s="v2"))
    text = (
        '{{ with secret "secret/kinds/a?version=1" }}{{ .Data.data.n }} {{ .Data.data.big }} '
        "{{ .Data.data.s }}{{ end }}\n"
        '{{ with secret "secret/data/kinds/a" }}{{ .Data.data.s }} {{ .Data.metadata.version }}'
        "{{ end }}\n"
        '{{ with secret "kv/kinds/one" }}{{ .Data.s }} {{ .Data.n }}{{ end }}\n'
        '{{ range secrets "kv/kinds" }}{{ . }},{{ end }}{{ range secrets "secret/kinds" }}{{ . }}'
        '{{ end }}{{ range secrets "kv/nothing" }}x{{ else }}-{{ end }}\n'
    )
    await once(world, config(world.parts.settings.role, template(tmp_path / "out", text)))

    assert (tmp_path / "out").read_text(encoding="utf-8") == (
        "1.1 1125899906842624 é\nsecond 2\nv1 7\none,two,a-\n"
    )


async def test_a_template_writes_further_files_once_it_is_complete(
    world: SharedWorld, tmp_path: Path
) -> None:
    await world.run(
        world.parts.admin.write("secret/data/kinds/side", data={"key": "k", "crt": "c"})
    )
    side = tmp_path / "side"
    text = (
        '{{ with secret "secret/kinds/side" }}'
        f'{{{{ .Data.data.key | writeToFile "{side}" "" "" "0600" }}}}'
        "{{ .Data.data.crt }}{{ end }}"
    )
    await once(world, config(world.parts.settings.role, template(tmp_path / "out", text)))

    assert (tmp_path / "out").read_text(encoding="utf-8") == "c"
    assert side.read_text(encoding="utf-8") == "k"
    assert side.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "side"]


async def test_a_write_with_parameters_is_done_once_and_its_answer_used(
    world: SharedWorld, tmp_path: Path
) -> None:
    text = (
        '{{ $plain := base64Encode "hello" }}'
        '{{ with secret "transit/encrypt/product" (printf "plaintext=%s" $plain) }}'
        "{{ .Data.ciphertext }}{{ end }}"
    )
    before = world.parts.gateway.count("/v1/transit/encrypt/")
    settings = config(
        world.parts.settings.role,
        template(tmp_path / "out", text),
        template(tmp_path / "kv", '{{ with secret "secret/product" }}{{ .Data.data }}{{ end }}'),
        more="secrets: {static_secret_render_interval: 1s}\n",
    )
    gateway = world.parts.gateway
    start = len(gateway.seen)
    async with Leasekeeper(env=world.parts.environment(), config=settings) as program:
        await program.event("agent.ready")
        # While a secret at the same interval is read again and again.
        await until(lambda: gateway.count("/v1/secret/data/product", after=start) >= 4)
        await program.stop()

    assert (tmp_path / "out").read_text(encoding="utf-8").startswith("vault:v1:")
    assert world.parts.gateway.count("/v1/transit/encrypt/") - before == 1


async def test_certificate_key_and_chain_come_from_one_issue_and_are_rotated(
    world: SharedWorld, tmp_path: Path
) -> None:
    request = 'secret "pki/issue/product" "common_name=app.product.internal" "ttl=20s"'
    outputs = [
        template(tmp_path / name, f"{{{{ with {request} }}}}{{{{ .Data.{field} }}}}{{{{ end }}}}")
        for name, field in (("cert", "certificate"), ("key", "private_key"))
    ]
    settings = config(world.parts.settings.role, *outputs)
    async with Leasekeeper(env=world.parts.environment(), config=settings) as program:
        await program.event("agent.ready")
        first = _modulus(tmp_path)
        await program.event("secret.rotated", within_s=40)
        await program.event("file.published", count=4)
        second = _modulus(tmp_path)
        await program.stop()

    assert first != second


async def test_a_restart_makes_no_certificate_anew_that_an_output_still_holds(
    world: SharedWorld, tmp_path: Path
) -> None:
    """As with Vault Agent's pkiCert; other names are another certificate, and that at once."""
    text = '{{ with pkiCert "pki/issue/product" "common_name=%s.product.internal" }}%s{{ end }}'
    fields = "{{ .Cert }}{{ .Key }}{{ range .CAChain }}{{ . }}{{ end }}"
    gateway, role = world.parts.gateway, world.parts.settings.role
    before = gateway.count("/v1/pki/issue/")
    written = []
    for name in ("kept", "kept", "other"):
        settings = config(role, template(tmp_path / "pem", text % (name, fields)))
        await once(world, settings)
        written.append((tmp_path / "pem").read_text(encoding="utf-8"))

    assert written[0] == written[1] != written[2]
    assert gateway.count("/v1/pki/issue/") - before == 2


def _modulus(folder: Path) -> int:
    """Return the public number that certificate and key share."""
    certificate = x509.load_pem_x509_certificate((folder / "cert").read_bytes())
    key = load_pem_private_key((folder / "key").read_bytes(), password=None)
    assert certificate.public_key() == key.public_key()
    return certificate.serial_number


async def test_a_static_role_is_never_on_disk_with_a_wrong_password_for_long(
    tmp_path: Path,
) -> None:
    """Rotated every 10 s; an application logs in every 20 ms with what is on disk."""
    out = tmp_path / "static"
    async with World(WorldSettings(database=DatabaseRules(static_rotation_period_s=10))) as world:
        text = (
            f'{{{{ with secret "{world.static_creds_path}" }}}}{{{{ .Data.username }}}}'
            " {{ .Data.password }}{{ end }}"
        )
        settings = config(world.settings.role, template(out, text))
        async with Leasekeeper(env=world.environment(), config=settings) as program:
            await program.event("agent.ready")
            wrong: list[float] = []
            began = time.monotonic()
            while time.monotonic() - began < 45:
                user, password = out.read_text(encoding="utf-8").split()
                started = time.monotonic()
                try:
                    async with await psycopg.AsyncConnection.connect(
                        host="127.0.0.1", port=world.postgres.port, dbname="products",
                        user=user, password=password,
                    ):  # fmt: skip
                        pass
                except psycopg.OperationalError:
                    wrong.append(started - began)
                await asyncio.sleep(0.02)
            rotations = len(program.events("secret.rotated"))
            await program.stop()

    spans = _spans(wrong)
    assert rotations >= 3
    assert len(spans) <= rotations
    assert all(end - start <= 1.0 for start, end in spans), spans


def _spans(times: list[float]) -> list[tuple[float, float]]:
    """Group moments that are less than a second apart."""
    spans: list[tuple[float, float]] = []
    for at in times:
        if spans and at - spans[-1][1] < 1:
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return spans


async def test_the_tutorials_image_is_replaced_by_changing_nothing_but_the_image(
    world: SharedWorld, tmp_path: Path
) -> None:
    """The environment of the tutorial's task definition, exit after the first publish."""
    conf = """{
{{- with secret "learn/database/creds/product" }}
"db_connection": "host=db port=5432 user={{ .Data.username }} password={{ .Data.password }}",
{{- end }}
"bind_address": ":9090",
"metrics_address": ":9102"
}"""
    async with Leasekeeper(
        env={
            **world.parts.environment(),
            "VAULT_AGENT_TEMPLATE": base64.b64encode(conf.encode()).decode(),
            "TARGET_FILE_NAME": "conf.json",
            "VAULT_AGENT_EXIT_AFTER_AUTH": "true",
            "LEASEKEEPER_OUTPUT_DIR": str(tmp_path),
        }
    ) as program:
        code = await program.ended()
    written = json.loads((tmp_path / "conf.json").read_text(encoding="utf-8"))

    assert code == 0
    assert written["bind_address"] == ":9090"
    assert "user=v-aws-product" in written["db_connection"]
