"""What Vault Agent's keys of the process mean: its pid, its log, its listeners."""

from __future__ import annotations

import pytest

from tests.unit.settings.vault_agent.agent_files import GOOD, load

PLAIN = 'role = "metrics_only" tls_disable = true'


def test_the_first_plain_listener_is_where_health_is_asked() -> None:
    web = load(
        f"""{GOOD}
listener "unix" {{ address = "/run/a.sock" {PLAIN} agent_api {{ enable_quit = true }} }}
listener "tcp" {{ address = "127.0.0.1:1" {PLAIN} }}
listener "tcp" {{ address = "127.0.0.1:2" {PLAIN} }}
listener "tcp" {{
  address = "127.0.0.1:3" role = "metrics_only" tls_cert_file = "/c" tls_key_file = "/k"
}}
"""
    ).settings.web

    assert (web.listen, web.enable_quit) == ("127.0.0.1:1", False)
    assert [one.address for one in web.listeners] == [
        "unix:/run/a.sock",
        "127.0.0.1:2",
        "127.0.0.1:3",
    ]
    assert [one.enable_quit for one in web.listeners] == [True, False, False]
    assert (web.listeners[2].tls_cert_file, web.listeners[2].tls_key_file) == ("/c", "/k")


def test_a_certificate_with_tls_disable_is_not_used() -> None:
    (listener,) = load(
        f'{GOOD}listener "unix" {{ address = "/s" {PLAIN} tls_cert_file = "/c" }}'
    ).settings.web.listeners

    assert listener.tls_cert_file is None


def test_quit_belongs_to_its_listener() -> None:
    text = f'{GOOD}listener "tcp" {{ {PLAIN} agent_api {{ enable_quit = true }} }}'

    assert load(text).settings.web.enable_quit


def test_the_pid_and_the_log_go_to_files() -> None:
    settings = load(
        f"""{GOOD}
pid_file = "./pidfile"
log_file = "/var/log/agent/"
log_rotate_bytes = 1000
log_rotate_duration = "48h"
log_rotate_max_files = -1
"""
    ).settings

    log = settings.log
    assert settings.lifecycle.pid_file == "./pidfile"
    assert log.file == "/var/log/agent/"
    assert (log.rotate_bytes, log.rotate_duration, log.rotate_max_files) == (1000, 172800.0, -1)


@pytest.mark.parametrize(
    "last",
    ["AGENT_ADDR", "DISABLE_REDIRECTS", "MAX_RETRIES", "SRV_LOOKUP", "WRAP_TTL"],
)
def test_a_variable_without_effect_is_told(last: str) -> None:
    loaded = load(GOOD, environ={f"VAULT_{last}": "1", f"BAO_{last}": "2"})

    assert [line for line in loaded.warnings if f"BAO_{last}: has no effect" in line] != []


def test_authorities_can_be_in_the_environment() -> None:
    vault = load(GOOD, environ={"VAULT_CACERT_BYTES": "a", "BAO_CACERT_BYTES": "b"}).settings.vault

    assert vault.ca_pem == "b"
