"""What Vault Agent refuses is refused in its words; what we have not is named."""

from __future__ import annotations

import pytest

from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, TEMPLATE, load, problems

METHOD = 'method "aws" { config = { type = "iam", role = "web" } }'
SINK = 'sink "file" { config = { path = "/token" } }'
TOKEN = "use_auto_auth_token = true"
LISTENER = 'listener "tcp" {}'
EXEC = 'exec { command = ["app"] }\n'


def told(text: str) -> list[str]:
    """Return what is wrong with *text*, without file and line."""
    return [line.partition(": ")[2] for line in problems(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no auto_auth, cache, or listener block found in config"),
        ("vault {}", "no auto_auth, cache, or listener block found in config"),
        (
            f"auto_auth {{ {METHOD} }}",
            "auto_auth requires at least one sink or at least one template or api_proxy.use_auto",
        ),
        ("cache {}", "enabling the cache requires at least 1 template or 1 listener"),
        ("auto_auth {}", "error parsing 'method': one and only one \"method\" block is required"),
        ("auto_auth { method { } }", "error parsing 'method': method type must be specified"),
        (
            f"{LOGIN}cache {{ {TOKEN} }} {LISTENER} api_proxy {{ {TOKEN} }}",
            "use_auto_auth_token defined in both api_proxy and cache config. Please remove this",
        ),
        (
            'cache { use_auto_auth_token = "force" } listener "tcp" {}',
            "cache.use_auto_auth_token is true but auto_auth not configured",
        ),
        (
            'api_proxy { use_auto_auth_token = true } listener "tcp" {}',
            "api_proxy.use_auto_auth_token is true but auto_auth not configured",
        ),
        (
            f'auto_auth {{ method "x" {{ wrap_ttl = 1 }} {SINK} }} {LISTENER} cache {{ {TOKEN} }}',
            "cache.use_auto_auth_token is true and auto_auth uses wrapping",
        ),
        (
            f"{LOGIN}api_proxy {{}}",
            "configuring the api_proxy requires at least 1 listener to be defined",
        ),
        (
            f"{LOGIN}cache {{ use_auto_auth_token = true }}",
            "configuring the api_proxy requires at least 1 listener to be defined",
        ),
        (
            f'auto_auth {{ method "aws" {{ wrap_ttl = "5m" }} {SINK} {SINK} }}',
            "error parsing auto_auth: wrapping enabled on auth method and 0 or many sinks defined",
        ),
        (
            'auto_auth { method "aws" { wrap_ttl = "5m" } sink "file" { wrap_ttl = "5m" } }',
            "error parsing auto_auth: wrapping enabled both on auth method and sink",
        ),
        (
            f"auto_auth {{ {METHOD} sink {{}} }}",
            "error parsing 'sink' stanzas: sink type must be specified",
        ),
        (f'auto_auth {{ {METHOD} sink "http" {{}} }}', "unknown sink type"),
        (
            f'auto_auth {{ {METHOD} sink "file" {{ dh_type = "x" dh_path = "/k" }} }}',
            "sink.file invalid value for 'dh_type'",
        ),
        (
            f'auto_auth {{ {METHOD} sink "file" {{ dh_path = "/k" }} }}',
            "sink.file 'dh_type' and 'dh_path' must be specified together",
        ),
        (
            f'auto_auth {{ {METHOD} sink "file" {{ aad = "x" }} }}',
            "sink.file specifying AAD data without 'dh_type' does not make sense",
        ),
        (
            f'auto_auth {{ {METHOD} sink "file" {{ derive_key = true }} }}',
            "sink.file specifying 'derive_key' data without 'dh_type' does not make sense",
        ),
        (
            f"auto_auth {{ {METHOD} sinks {{ sink {{}} }} }}",
            "error parsing 'sink' stanzas: sink type must be specified",
        ),
        ("listener {}", "error parsing 'listener': listener type must be specified"),
        (
            GOOD + "cache { persist { path = 1 } }",
            "error parsing persist: persist type must be specified",
        ),
        (GOOD + 'cache { persist "kubernetes" {} }', "must specify persistent cache path"),
        (
            GOOD + 'disable_keep_alives = ["x"]',
            "disable_keep_alives: unknown disable_keep_alives value",
        ),
        (
            f'{LOGIN}env_template "A" {{ contents = "x" }}',
            "a top-level 'exec' element must be specified with 'env_template' entries",
        ),
        (
            LOGIN + EXEC,
            "must specify at least one 'env_template' element with a top-level 'exec' element",
        ),
        (
            f'{GOOD}{EXEC}env_template "A" {{ contents = "x" }}',
            "'template' cannot be specified with 'env_template' entries",
        ),
        (
            f'{LOGIN}{EXEC}api_proxy {{}} env_template "A" {{ contents = "x" }}',
            "'api_proxy' cannot be specified with 'env_template' entries",
        ),
        (
            f'{LOGIN}exec {{}} env_template "A" {{ contents = "x" }}',
            "'exec' requires a non-empty 'command' field",
        ),
        (
            'exec { command = ["a"] restart_on_secret_changes = "x" } env_template "A" {}',
            "'exec.restart_on_secret_changes' needs to be",
        ),
        (
            f'{LOGIN}{EXEC}env_template {{ contents = "x" }}',
            "env_template: an environment variable name is required",
        ),
        (
            f'{LOGIN}{EXEC}env_template "A" {{}}',
            "env_template[A]: either 'contents' or 'source' must be specified",
        ),
        (
            f'{LOGIN}{EXEC}env_template "A" {{ contents = "x" source = "y" }}',
            "env_template[A]: 'contents' and 'source' cannot be specified together",
        ),
        (
            f'{LOGIN}{EXEC}env_template "A" {{ contents = "x" destination = "/y" }}',
            "env_template[A]: 'destination' is not allowed",
        ),
        (
            f'{LOGIN}{EXEC}env_template "A" {{ contents = "x" exec {{ command = "y" }} }}',
            "env_template[A]: 'exec' is not allowed",
        ),
        (
            LOGIN + EXEC + 'env_template "A" { contents = "x" }\n' * 2,
            'env_template: duplicate environment variable name: "A"',
        ),
    ],
)
def test_it_is_refused_in_the_agents_words(text: str, words: str) -> None:
    assert [line for line in told(text) if line.startswith(words)] != []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("auto_auth {}\n" * 2, 'at most one "auto_auth" block is allowed'),
        ("vault {}\n" * 2, 'one and only one "vault" block is required'),
        ("cache {}\n" * 2, 'one and only one "cache" block is required'),
        ("api_proxy {}\n" * 2, 'one and only one "api_proxy" block is required'),
        ("template_config {}\n" * 2, 'at most one "template_config" block is allowed'),
        ("exec {}\n" * 2, 'at most one "exec" block is allowed'),
        ("telemetry {}\n" * 2, "only one 'telemetry' block is permitted"),
        (f"auto_auth {{ {METHOD} {METHOD} }}", 'one and only one "method" block is required'),
        ("vault { retry {}\nretry {} }", 'one and only one "retry" block is required'),
    ],
)
def test_a_second_one_of_a_kind_is_refused_in_the_agents_words(text: str, words: str) -> None:
    assert [line for line in told(text) if line.startswith(words)] != []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + 'listener "tcp" { tls_disable = true }', "listener: needs `role ="),
        (
            GOOD + 'listener "unix" { role = "metrics_only" tls_disable = true }',
            "listener: needs an address",
        ),
        (GOOD + 'listener "tcp" { role = "metrics_only" }', "listener: needs tls_cert_file and"),
        (
            GOOD + 'listener "tcp" { role = "metrics_only" tls_cert_file = "/c" }',
            "listener: needs tls_cert_file and",
        ),
        (GOOD + 'api_proxy {} listener "tcp" {}', "api_proxy: is not supported"),
        (
            f'auto_auth {{ method "cert" {{ wrap_ttl = 60 }} {SINK} }}',
            "auto_auth.method.wrap_ttl: does not work with cert",
        ),
        ('cache { persist "kubernetes" { path = "/x" } }' + TEMPLATE, "an auto_auth block"),
        (
            LOGIN + 'cache { use_auto_auth_token = true persist "kubernetes" { path = "/x" } }'
            'listener "tcp" { role = "metrics_only" tls_disable = true }',
            "a template or sink block is needed",
        ),
    ],
)
def test_what_we_do_not_have_is_named(text: str, words: str) -> None:
    assert [line for line in told(text) if words in line] != []


def test_an_unsupported_block_is_one_problem_and_not_ten() -> None:
    assert len(problems(GOOD + 'cache { use_auto_auth_token = true } listener "tcp" {}')) == 1


def test_a_listener_for_metrics_is_our_web_server() -> None:
    text = 'listener "tcp" { role = "metrics_only" tls_disable = true %s }\n'

    assert load(GOOD + text % 'address = "0.0.0.0:3000"').settings.web.listen == "0.0.0.0:3000"
    assert load(GOOD + text % "").settings.web.listen == "127.0.0.1:8200"
    assert load(GOOD).settings.web.listen == "127.0.0.1:8210"
    (found,) = problems(GOOD + text % 'address = "nowhere"')
    assert found.startswith("agent.hcl:3: listener.address: needs an address and a port")


def test_problems_are_told_in_the_order_of_lines() -> None:
    text = "log_level = 1\n" + LOGIN + "template {\n\n}\n\nnonsense = 1\n"

    lines = [int(line.split(":")[1]) for line in problems(text)]

    assert lines == [1, 3, 3, 7]
