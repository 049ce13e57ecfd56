"""What has no effect is said, what is unknown is refused, and what does no harm is silent."""

from __future__ import annotations

import pytest

from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, TEMPLATE, load, problems

LISTENER = 'listener "tcp" { role = "metrics_only" tls_disable = true %s }\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('cache { persist "kubernetes" { path = "/x" } }', "cache.persist: has no effect"),
        ('telemetry { statsd_address = "x" }', "telemetry.statsd_address: has no effect"),
        ("template_config { lease_renewal_threshold = 0.5 }", "lease_renewal_threshold: has no"),
    ],
)
def test_what_has_no_effect_is_a_warning(text: str, words: str) -> None:
    loaded = load(GOOD + text)

    assert [line for line in loaded.warnings if words in line] != []


@pytest.mark.parametrize(
    "text",
    [
        'pid_file = ""',
        "pid_file = 0",
        "disable_keep_alives = []",
        'disable_idle_connections = ["templating"]',
        "vault { retry { num_retries = -1 } }",
        'telemetry { prometheus_retention_time = "24h" disable_hostname = true }',
        'cluster_name = "x"\ndisable_mlock = true',
        """auto_auth {
          enable_reauth_on_new_credentials = true
          method "aws" { config = { type = "iam" role = "x" credential_poll_interval = 5 } }
        }""",
        """template {
          contents = "x" destination = "/x" error_on_missing_key = true
          backup = false wait = "" error_fatal = true
        }""",
    ],
)
def test_what_asks_for_nothing_is_silent(text: str) -> None:
    base = TEMPLATE if text.startswith("auto_auth") else GOOD

    assert load(base + text).warnings == ()


@pytest.mark.parametrize(
    ("wait", "longest_s"),
    [('wait = "2s:10s"', 10), ('wait { min = "2s" }', 8), ('wait { min = "2s" max = "3s" }', 3)],
)
def test_waiting_can_be_written_in_either_way(wait: str, longest_s: float) -> None:
    text = f'{LOGIN}template {{ contents = "x" destination = "/x" backup = true {wait} }}'
    (output,) = load(text).settings.outputs

    assert output.backup
    assert output.wait is not None
    assert (output.wait.min, output.wait.longest_s) == (2, longest_s)


def test_an_empty_cache_is_no_reason_to_speak() -> None:
    assert "cache" not in " ".join(load(GOOD + "cache {}").warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exit_after_aut = true", 'unknown key "exit_after_aut"; did you mean "exit_after_auth"?'),
        ("vaul {}", 'unknown key "vaul"; did you mean "vault"?'),
        ("vault { adress = 1 }", 'vault: unknown key "adress"; did you mean "address"?'),
        (
            "vault { static_secret_render_interval = 1 }",
            'vault: unknown key "static_secret_render_interval"; it belongs to template_config',
        ),
        ("vault { pid_file = 1 }", "it belongs outside of all blocks"),
        ("nonsense = 1", "Vault Agent ignores it; remove it, or be -lenient"),
        ("vault { retry { nonsense {} } }", 'vault.retry: unknown key "nonsense"'),
        ('"s3cr3t !" = 1', 'unknown key "?"'),
    ],
)
def test_unknown_keys_are_errors_with_advice_and_warnings_if_lenient(text: str, words: str) -> None:
    (problem,) = problems(GOOD + text)
    loaded = load(GOOD + text, lenient=True)

    assert problem.startswith("agent.hcl:3: ")
    assert words in problem
    assert loaded.warnings == (problem,)
    assert loaded.settings == load(GOOD).settings


def test_a_key_that_is_misspelt_is_not_missing_as_well() -> None:
    text = 'auto_auth { method "aws" { config = { type = "iam", rol = "web" } } }\n' + TEMPLATE

    assert len(problems(text)) == 1
    assert problems(text, lenient=True) == ["agent.hcl:1: auto_auth.method.config.role: is needed"]


def test_where_vault_agent_is_strict_so_are_we() -> None:
    text = LOGIN + 'template { contents = "x" destination = "/x" nonsense = 1 }'

    (problem,) = problems(text, lenient=True)

    assert problem == 'agent.hcl:2: template: unknown key "nonsense"; remove it'


def test_the_config_of_a_method_that_we_do_not_have_is_not_looked_at() -> None:
    text = 'auto_auth { method "gcp" { config = { nonsense = 1 } } }\n' + TEMPLATE

    assert len(problems(text)) == 1


def test_a_key_that_is_given_twice_is_an_error_and_the_last_one_counts_if_lenient() -> None:
    text = GOOD + 'log_level = "warn"\nLog_Level = "debug"\n'
    words = "agent.hcl:4: log_level: was already set in line 3; each key can only be given once"

    loaded = load(text, lenient=True)

    assert problems(text) == [words]
    assert loaded.warnings == (words,)
    assert loaded.settings.log.level == "debug"


def test_a_hundred_thousand_unknown_keys_are_a_hundred_lines() -> None:
    text = GOOD + "".join(f"k{number} = 1\n" for number in range(50_000))

    assert len(problems(text)) <= 101
    assert len(load(text, lenient=True).warnings) == 100


def test_more_templates_than_anybody_has_are_refused() -> None:
    text = LOGIN + 'template { contents = "x" destination = "/x" }\n' * 6000

    assert any("more than 5000" in line for line in problems(text))


def test_every_value_knows_where_it_is_from() -> None:
    loaded = load(GOOD + 'vault { address = "https://a:1" }', environ={"VAULT_NAMESPACE": "x"})

    assert loaded.source(("vault", "address")).endswith("agent.hcl:3")
    assert loaded.source(("auth", "role")).endswith("agent.hcl:1")
    assert loaded.source(("outputs", 0, "mode")) == "Vault Agent's default"
    assert loaded.source(("vault", "namespace")) == "environment VAULT_NAMESPACE"
    assert loaded.source(("probe", "interval")) == "default"


def test_what_else_is_in_the_environment_is_told_to_be_ignored() -> None:
    assert load(GOOD, environ={"VAULT_ROLE": "x"}).ignored == ("VAULT_ROLE",)
    assert "is not a setting" in problems(GOOD, environ={"LEASEKEEPER_NONSENSE": "1"})[0]


def test_the_persistent_cache_is_our_state_once_there_is_a_key_for_it() -> None:
    text = GOOD + 'cache { persist "kubernetes" { path = "/vault/agent-cache/" } }'
    key = {"LEASEKEEPER_STATE__ENCRYPTION__KEY": "k" * 32}

    assert load(text).settings.state.path is None
    loaded = load(text, environ=key)
    assert loaded.settings.state.path == "/vault/agent-cache"
    assert any("keeps our state" in line for line in loaded.warnings)
