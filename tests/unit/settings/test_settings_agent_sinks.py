"""The token sinks of Vault Agent's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_settings, load_vault_agent
from leasekeeper.settings.vault_agent.convert import to_yaml

# The tutorial's file, whose sink is all there is to write.
TUTORIAL = """
exit_after_auth = true
pid_file = "./pidfile"
auto_auth {
  method "aws" {
    mount_path = "auth/aws"
    config = { type = "iam", role = "dev-role-iam" }
  }
  sink "file" {
    %s
    config = { path = "/home/ubuntu/vault-token-via-agent" %s }
  }
}
vault { address = "http://127.0.0.1:8200" }
"""


def load(tmp_path: Path, text: str, name: str = "agent.hcl") -> LoadedSettings:
    path = tmp_path / name
    path.write_text(text)
    return load_vault_agent([str(path)], {}, {}, lenient=False)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [told.removeprefix(f"{tmp_path}/") for told in caught.value.problems]


@pytest.mark.parametrize("wrap", ["", 'wrap_ttl = "5m"', "wrap_ttl = 300"])
def test_the_tutorials_files_load(tmp_path: Path, wrap: str) -> None:
    settings = load(tmp_path, TUTORIAL % (wrap, "")).settings

    (sink,) = settings.sinks
    assert (sink.path, sink.mode) == ("/home/ubuntu/vault-token-via-agent", 0o640)
    assert sink.wrap_ttl == (300 if wrap else 0)
    assert settings.lifecycle.exit_after_auth
    assert settings.outputs == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("mode = 0604", (0o604, None, None)),
        ("mode = 416", (0o640, None, None)),
        ("owner = 0 group = 12", (0o640, 0, 12)),
        ("uid = 1000 gid = 0", (0o640, 1000, 0)),
        ("uid = -1", (0o640, None, None)),
    ],
)
def test_mode_and_owners_are_numbers(tmp_path: Path, config: str, expected: object) -> None:
    (sink,) = load(tmp_path, TUTORIAL % ("", config.replace(" ", "\n "))).settings.sinks

    assert (sink.mode, sink.user, sink.group) == expected


def test_several_sinks_in_every_way_to_write_them(tmp_path: Path) -> None:
    text = """
    auto_auth {
      method "token_file" { config { token_file_path = "/t" } }
      sink {
        type = "file"
        config { path = "/a" }
      }
      sinks { sink "file" { config = { path = "/c" } } }
      sink "file" {
        dh_type = "curve25519"
        dh_path = "/key"
        derive_key = true
        aad = "canary"
        aad_env_var = "AAD"
        config { path = "b" }
      }
    }
    """
    one, two, three = load(tmp_path, text).settings.sinks

    assert [one.path, two.path, three.path] == ["/a", f"{Path.cwd()}/b", "/c"]
    assert (two.dh_type, two.dh_path, two.derive_key) == ("curve25519", "/key", True)
    assert two.aad is not None
    assert (two.aad.get_secret_value(), two.aad_env_var) == ("canary", "AAD")


def test_json_has_its_mode_in_decimal(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "auto_auth": {
                "method": [{"type": "token_file", "config": {"token_file_path": "/t"}}],
                "sinks": [{"sink": {"type": "file", "config": {"path": "/a", "mode": 420}}}],
            }
        }
    )

    assert load(tmp_path, text, "agent.json").settings.sinks[0].mode == 0o644


@pytest.mark.parametrize(
    ("stanza", "config", "told"),
    [
        ("", 'mode = "0640"', "could not parse 'mode' as integer"),
        ("", "mode = 640", "is not a mode; write it in octal"),
        ('dh_path = "/k"', "", "'dh_type' and 'dh_path' must be specified together"),
        ('dh_type = "x"\ndh_path = "/k"', "", "invalid value for 'dh_type'"),
        ('aad = "canary"', "", "specifying AAD data without 'dh_type' does not make sense"),
        ("derive_key = true", "", "'derive_key' data without 'dh_type'"),
        ('wrap_tl = "5m"', "", 'did you mean "wrap_ttl"?'),
        ('wrap_ttl = "500ms"', "", "wrap_ttl needs to be 0 or at least 1s"),
    ],
)
def test_what_the_agent_refuses_is_told_once(
    tmp_path: Path, stanza: str, config: str, told: str
) -> None:
    (problem,) = problems(tmp_path, TUTORIAL % (stanza, config))

    assert told in problem
    assert problem.startswith("agent.hcl:")
    assert "canary" not in problem


@pytest.mark.parametrize("config", ["config {}", "", 'config { path = "" }'])
def test_a_sink_needs_a_path(tmp_path: Path, config: str) -> None:
    text = f"""
    auto_auth {{
      method "token_file" {{ config {{ token_file_path = "/t" }} }}
      sink "file" {{ {config} }}
    }}
    """
    (problem,) = problems(tmp_path, text)

    assert problem == "agent.hcl:4: auto_auth.sink: 'path' not specified for file sink"


def test_a_sink_and_a_template_cannot_write_one_file(tmp_path: Path) -> None:
    template = 'template {\n contents = "x"\n destination = "/home/ubuntu/vault-token-via-agent"\n}'
    (problem,) = problems(tmp_path, TUTORIAL % ("", "") + template)

    assert "outputs[0] has the same destination" in problem


def test_converting_keeps_the_sinks_and_hides_the_additional_data(tmp_path: Path) -> None:
    encrypted = 'dh_type = "curve25519"\ndh_path = "/key"\naad = "canary"\nwrap_ttl = "90s"'
    loaded = load(tmp_path, TUTORIAL % (encrypted, "\nmode = 0604"))
    text = to_yaml(loaded)
    (tmp_path / "native.yaml").write_text(text)

    environ: dict[str, Any] = {"LEASEKEEPER_SINKS__0__AAD": "canary"}
    native = load_settings(config_file=str(tmp_path / "native.yaml"), environ=environ, overrides={})
    assert native.settings.sinks == loaded.settings.sinks
    assert "canary" not in text
