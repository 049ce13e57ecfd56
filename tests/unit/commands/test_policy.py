"""`leasekeeper policy`: exactly what a configuration needs, read off it without Vault."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.cli import main
from leasekeeper.commands.policy import Rule, merged, policy
from leasekeeper.commands.pretending import pretend_all
from leasekeeper.settings.model import Settings
from leasekeeper.vault.client import Mount

CONFIG = Path(__file__).parents[3] / "config"


def settings(*templates: str, **more: Any) -> Settings:
    outputs = [{"destination": f"/x/{i}", "template": text} for i, text in enumerate(templates)]
    auth = {"method": "approle", "role_id": "r"}
    return Settings.model_validate({"auth": auth, "outputs": outputs, **more})


def rules(*templates: str, mounts: tuple[Mount, ...] = (), **more: Any) -> dict[str, str]:
    """Return the capabilities on each path of the policy."""
    built = settings(*templates, **more)
    text = policy(built, pretend_all(built, "native"), mounts)
    found = re.findall(r'^path "([^\n]*)" \{\n  capabilities = \[(.*)\]\n\}$', text, re.MULTILINE)
    return dict(found)


def secrets(*templates: str, mounts: tuple[Mount, ...] = ()) -> dict[str, str]:
    own = rules("no secret")
    return {k: v for k, v in rules(*templates, mounts=mounts).items() if k not in own}


def read(path: str, inside: str = "") -> str:
    return f'{{{{ with secret "{path}" }}}}{inside}{{{{ end }}}}'


def test_every_kind_of_request_gets_what_it_needs_and_no_more() -> None:
    assert secrets(
        read("database/creds/web"),
        '{{ with pkiCert "pki/issue/web" "common_name=x" }}{{ .Cert }}{{ end }}',
        '{{ range secrets "kv/metadata/apps" }}{{ . }}{{ end }}',
        read("secret/data/app?version=3", "{{ .Data.data.key }}"),
    ) == {
        "database/creds/web": '"read"',
        "pki/issue/web": '"create", "update"',
        "kv/metadata/apps": '"list"',
        "secret/data/app": '"read"',
    }


def test_one_path_that_is_used_in_two_ways_is_one_rule() -> None:
    found = secrets(read("kv/data/a"), '{{ with secret "kv/data/a" "k=v" }}{{ .Data }}{{ end }}')

    assert found == {"kv/data/a": '"create", "read", "update"'}


def test_a_path_that_could_be_of_either_kv_is_printed_for_both_until_the_mount_is_named() -> None:
    assert secrets(read("secret/app")) == {"secret/app": '"read"', "secret/data/app": '"read"'}
    kv2, kv1 = Mount("secret/", "kv", 2), Mount("secret/", "kv", 1)
    assert secrets(read("secret/app"), mounts=(kv2,)) == {"secret/data/app": '"read"'}
    assert secrets(read("secret/app"), mounts=(kv1,)) == {"secret/app": '"read"'}


def test_what_a_template_builds_from_a_secret_becomes_a_wildcard() -> None:
    template = read("kv/data/a", '{{ secret (printf "kv/data/%s/x" .Data.data.name) }}')

    assert secrets(template) == {"kv/data/+/x": '"read"', "kv/data/a": '"read"'}


def test_what_a_template_builds_from_a_list_becomes_a_wildcard() -> None:
    template = (
        '{{ range secrets "kv/metadata/apps" }}'
        '{{ with secret (printf "kv/data/apps/%s" .) }}{{ .Data.data.x }}{{ end }}{{ end }}'
    )

    assert secrets(template) == {"kv/data/apps/+": '"read"', "kv/metadata/apps": '"list"'}


def test_a_path_cannot_break_out_of_its_quotes() -> None:
    hcl = Rule('a"b\\c${d}', ("read",)).hcl

    assert hcl.startswith('path "a\\"b\\\\c$${d}" {')


def test_state_and_wrapped_sinks_need_more() -> None:
    plain = rules("x")
    assert "sys/leases/revoke" not in plain
    more = rules(
        "x",
        state={"path": "/s", "encryption": {"key": "k" * 32}},
        sinks=[{"path": "/t", "wrap_ttl": "5m"}],
    )
    assert more.keys() - plain.keys() == {"sys/leases/revoke", "sys/wrapping/wrap"}


def test_rules_for_one_path_are_merged_with_both_reasons() -> None:
    one = merged([Rule("a", ("read",), "for x"), Rule("a", ("list",), "for y")])

    assert one == [Rule("a", ("list", "read"), "for x\nfor y")]


@pytest.mark.parametrize("file", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_configuration_has_a_policy(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert 'path "auth/token/lookup-self"' in said.out
    assert said.err == ""


def test_the_files_of_vault_agent_have_a_policy_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.hcl"
    file.write_text(
        'vault { address = "http://127.0.0.1:1" }\n'
        'auto_auth { method "approle" { config = { role_id_file_path = "/r" } } }\n'
        'template { destination = "/x"  contents = "{{ with secret \\"database/creds/a\\" }}'
        '{{ .Data.username }}{{ end }}" }\n',
        encoding="utf-8",
    )

    assert main(["policy", "--vault-agent", str(file)]) == 0
    assert 'path "database/creds/a"' in capsys.readouterr().out


def test_a_template_that_cannot_be_rendered_is_told_and_its_constant_paths_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "auth: {method: approle, role_id: r}\n"
        "outputs: [{destination: /x, template: '"
        '{{ with secret "kv/data/a" }}{{ parseInt .Data.data.x }}{{ end }}'
        "'}]\n",
        encoding="utf-8",
    )

    assert main(["policy", "--config", str(file)]) == 0
    said = capsys.readouterr()
    assert 'path "kv/data/a"' in said.out
    assert "/x: rendering it with made-up values failed" in said.err
