"""Converted and loaded again, a configuration means the same."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.settings.loading import LoadedSettings, load_settings
from leasekeeper.settings.vault_agent.convert import to_yaml
from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, load

EVERYTHING = """
exit_after_auth = true
log_level = "warn"
log_format = "json"
vault { address = "https://vault:8200" namespace = "a/b" tls_server_name = "true" }
auto_auth {
  method "approle" {
    mount_path = "auth/team"
    min_backoff = "2m"
    config = { role_id_file_path = "/role" secret_id_file_path = "/secret" }
  }
  sink "file" { wrap_ttl = "5m" config = { path = "/token" mode = 0600 } }
}
template_config { static_secret_render_interval = "10m" exit_on_retry_failure = true }
listener "tcp" { address = "127.0.0.1:3000" tls_disable = true role = "metrics_only" }
template {
  contents = <<EOT

  {{ with secret "kv/a" }}
{{ .Data.x }} ${kept} "quoted" 'too' # no comment
	{{ end }}

EOT
  destination = "/config/a: b"
  command = "kill -HUP $(cat /run/pid)"
  perms = 0600
  user = "0"
  function_denylist = ["env", "*write*"]
}
template { source = "/in" destination = "/config/b" left_delimiter = "[[" right_delimiter = "]]" }
template { contents = "one line, \\t \\u0001 \\u2028 😀" destination = "/config/c" }
"""


def back(text: str, environ: Mapping[str, str] | None = None) -> LoadedSettings:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "leasekeeper.yaml")
        path.write_bytes(text.encode())
        return load_settings(config_file=str(path), environ=environ or {}, overrides={})


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        EVERYTHING,
        'auto_auth { method "cert" {} }\ntemplate { contents = "x" destination = "/x" }',
        """auto_auth {
          method "token_file" { config = { token_file_path = "/t" } }
          sink "file" { config = { path = "/s" } }
        }""",
    ],
)
def test_it_means_the_same(text: str) -> None:
    loaded = load(text)

    assert back(to_yaml(loaded)).settings == loaded.settings


def output(template: str) -> dict[str, Any]:
    return {"contents": template, "destination": "/config/a"}


blanks_and_words = st.text(alphabet=" \t\n\r#|-:{}\"'\\aé\x00\x85\u2028\ufeff😀%&*!>", min_size=1)


@given(blanks_and_words | st.text(min_size=1))
def test_a_template_survives_to_the_last_character(template: str) -> None:
    import json

    method = {"type": "cert", "mount_path": "x"}
    text = json.dumps({"auto_auth": {"method": method}, "template": output(template)})
    loaded = load(text, name="agent.json")

    again = back(to_yaml(loaded)).settings

    assert again.outputs[0].template == template
    assert again == loaded.settings


def test_a_template_is_easy_to_read() -> None:
    text = (
        LOGIN + 'template { contents = <<E\n{{ with x }}\n  y\n{{ end }}\nE\ndestination = "/x" }'
    )

    lines = to_yaml(load(text)).splitlines()

    assert lines[lines.index("    template: |") :][1:4] == [
        "      {{ with x }}",
        "        y",
        "      {{ end }}",
    ]


def test_what_the_environment_says_stays_there() -> None:
    environ = {
        "VAULT_ADDR": "https://vault:1",
        "LEASEKEEPER_OUTPUTS__0__MODE": "0600",
        "LEASEKEEPER_PROBE__INTERVAL": "5s",
        "VAULT_LOG_LEVEL": "debug",
        "AWS_REGION": "eu-west-1",
    }
    text = LOGIN.replace('role = "web"', 'role = "web", region = ""') + GOOD.splitlines()[1]
    loaded = load(text, environ=environ)

    converted = to_yaml(loaded)

    assert "https://vault:1" not in converted
    assert "# address: set by VAULT_ADDR in the environment" in converted
    assert "0600" not in converted
    # Nobody else would read these for the new configuration.
    assert "level: debug" in converted
    assert "sts_region: eu-west-1" in converted
    assert back(converted, environ).settings == loaded.settings


def test_no_secret_is_written() -> None:
    text = """auto_auth {
      method "aws" { config = { type = "iam" role = "x" access_key = "AK" secret_key = "s3cr3t" } }
      sink "file" {
        dh_type = "curve25519" dh_path = "/k" aad = "s3cr3t"
        config = { path = "/t" }
      }
    }"""

    converted = to_yaml(load(text))

    assert "s3cr3t" not in converted
    assert "# secret_key: set by LEASEKEEPER_AUTH__SECRET_KEY in the environment" in converted
    assert "# aad: set by LEASEKEEPER_SINKS__0__AAD in the environment" in converted
    environ = {"LEASEKEEPER_AUTH__SECRET_KEY": "s3cr3t", "LEASEKEEPER_SINKS__0__AAD": "s3cr3t"}
    assert back(converted, environ).settings == load(text).settings


def test_comments_say_what_is_better_and_what_was_left_out() -> None:
    converted = to_yaml(load(EVERYTHING + 'telemetry { statsd_address = "x" }'))

    assert "# - agent.hcl" in converted.replace("/tmp", "")
    assert "telemetry.statsd_address: has no effect" in converted
    assert "costs the others" in converted
    assert "restored when somebody changes it" in converted
    assert all(len(line) <= 100 for line in converted.splitlines() if line.startswith("#"))


def test_each_comment_is_made_once() -> None:
    converted = to_yaml(load(EVERYTHING))

    assert converted.count("restored when somebody changes it") == 1


def test_a_name_of_a_file_cannot_break_out_of_its_comment() -> None:
    loaded = load(GOOD, name="a\nvault: {}.hcl")

    assert yaml.safe_load(to_yaml(loaded)).keys() == {"auth", "outputs", "lifecycle"}
