"""What is found in tutorials and documentation loads, or fails as it does with Vault Agent."""

from __future__ import annotations

import pytest

from leasekeeper.settings.fields import KEEP
from leasekeeper.settings.model import AwsIamAuth, SinkSection
from tests.unit.settings.vault_agent.agent_examples import (
    EXAMPLES,
    TUTORIAL_AWS,
    TUTORIAL_AWS_WRAPPED,
    TUTORIAL_ECS,
    Example,
)
from tests.unit.settings.vault_agent.agent_files import load, problems


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_it_loads_or_says_what_is_wrong(example: Example) -> None:
    if not example.ours:
        loaded = load(example.text)
        settings = loaded.settings
        assert settings.outputs or settings.sinks or settings.exec
        return
    found = problems(example.text)

    assert len(found) == len(example.ours), found
    for words in example.ours:
        assert [line for line in found if words in line] != [], (words, found)


def test_what_the_agent_refuses_is_refused() -> None:
    assert [name for name, one in EXAMPLES.items() if not one.loads and not one.ours] == []


def test_the_tutorial_on_aws_writes_a_token() -> None:
    settings = load(TUTORIAL_AWS).settings

    assert settings.lifecycle.exit_after_auth
    assert settings.vault.address == "http://10.0.101.10:8200"
    assert settings.auth == AwsIamAuth(role="dev-role-iam", sts_region="us-east-1")
    assert settings.outputs == []
    assert settings.sinks == [SinkSection(path="/home/ubuntu/vault-token-via-agent")]
    assert load(TUTORIAL_AWS_WRAPPED).settings.sinks[0].wrap_ttl == 300


def test_the_tutorial_on_ecs_writes_a_file() -> None:
    settings = load(TUTORIAL_ECS, environ={"VAULT_ADDR": "https://hcp:8200"}).settings

    assert settings.vault.address == "https://hcp:8200"
    assert settings.auth == AwsIamAuth(role="learn-product-api", sts_region="us-east-1")
    (output,) = settings.outputs
    assert (output.template_file, output.destination, output.mode) == (
        "/vault-agent/template.ctmpl",
        "/config/conf.json",
        KEEP,
    )
    assert not output.error_on_missing_key
