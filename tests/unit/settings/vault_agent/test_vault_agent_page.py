"""The page for those who migrate says what the schema says, and nothing needs it at run time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leasekeeper.settings import keys
from leasekeeper.settings.vault_agent import schema
from leasekeeper.settings.vault_agent.documentation import main, tables
from leasekeeper.settings.vault_agent.kinds import Verdict

PAGE = Path(__file__).parents[4] / "docs" / "migrating-from-vault-agent.md"
FACTS = """
pid_file exit_after_auth log_level log_format log_file log_rotate_duration log_rotate_bytes
log_rotate_max_files disable_idle_connections disable_keep_alives cluster_name pki_external_ca
tpm_cert address namespace ca_cert ca_path client_cert client_key tls_skip_verify tls_server_name
num_retries enable_reauth_on_new_credentials mount_path wrap_ttl min_backoff max_backoff exit_on_err
role region credential_poll_interval access_key secret_key session_token header_value nonce
role_id_file_path secret_id_file_path remove_secret_id_file_after_reading
secret_id_response_wrapping_path reload path remove_jwt_after_reading remove_jwt_follows_symlinks
jwt_read_period token_path token_file_path username password_file_path
remove_password_after_reading remove_password_follows_symlinks password_read_period
dh_type dh_path derive_key aad aad_env_var mode owner group uid gid use_auto_auth_token
enforce_consistency when_inconsistent keep_after_import service_account_token_file
prepend_configured_namespace tls_disable tls_cert_file tls_key_file require_request_header role
socket_mode enable_quit source contents destination create_dest_dirs command command_timeout
timeout perms user group backup error_on_missing_key error_fatal left_delimiter right_delimiter
function_denylist function_blacklist sandbox_path wait exit_on_retry_failure
static_secret_render_interval max_connections_per_host lease_renewal_threshold
restart_on_secret_changes restart_stop_signal child_process_stdout child_process_stderr
statsite_address statsd_address dogstatsd_addr disable_hostname prometheus_retention_time
"""


def test_the_page_is_up_to_date() -> None:
    assert main(["--check", str(PAGE)]) == 0, (
        "run: python -m leasekeeper.settings.vault_agent.documentation "
        "docs/migrating-from-vault-agent.md"
    )


def test_an_old_page_is_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text().replace("| `pid_file` |", "| `pidfile` |"))

    assert main(["--check", str(page)]) == 1
    assert "run this without --check" in capsys.readouterr().err
    assert main([str(page)]) == 0
    assert page.read_text() == PAGE.read_text()


@pytest.mark.parametrize("name", FACTS.split())
def test_every_key_of_the_agent_is_in_the_tables(name: str) -> None:
    text = tables()

    assert f"`{name}`" in text or f".{name}`" in text or f"`{name} {{}}`" in text


def test_every_setting_that_a_key_means_exists() -> None:
    meant = {
        (path, key.to)
        for path, stanza in schema.walk(schema.TOP)
        for key in stanza.keys.values()
        if key.to
    }

    assert len(meant) > 40
    for path, to in meant:
        where: list[str | int] = list(to.split("."))
        for name in ("outputs", "sinks", "listeners", "env"):
            if name in where:
                where.insert(where.index(name) + 1, 0)
        assert keys.find(tuple(where)) is not None, f"{path}: {to}"


def test_every_warning_and_error_says_what_to_do() -> None:
    for path, stanza in schema.walk(schema.TOP):
        for name, key in stanza.keys.items():
            if key.verdict in (Verdict.WARNING, Verdict.ERROR):
                assert len(key.about.split()) > 3, f"{path}.{name}"
        if stanza.verdict in (Verdict.WARNING, Verdict.ERROR):
            assert stanza.about, path


def test_nobody_pays_for_it_who_does_not_use_it() -> None:
    program = (
        "import sys\n"
        "from leasekeeper.settings.loading import load_settings\n"
        "import leasekeeper.settings.describe\n"
        "print(any('vault_agent' in name for name in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "False"
