"""The state's section: a careful default is none, so one of three has to be chosen."""

from __future__ import annotations

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import load_settings
from leasekeeper.settings.model import Settings

BASE = {
    "LEASEKEEPER_CONFIG": "auth: {method: approle, role_id: r}\n"
    "outputs: [{destination: /x, template: x}]",
    "LEASEKEEPER_STATE__PATH": "/var/lib/leasekeeper/",
}


def load(**environ: str) -> Settings:
    return load_settings(config_file=None, environ={**BASE, **environ}, overrides={}).settings


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "LEASEKEEPER_STATE__ENCRYPTION__KEY"),
        ({"LEASEKEEPER_STATE__ENCRYPTION__KEY": "canary"}, "32 random characters"),
        (
            {
                "LEASEKEEPER_STATE__ENCRYPTION__KEY": "canary" * 8,
                "LEASEKEEPER_STATE__ENCRYPTION__KMS_KEY_ID": "alias/x",
            },
            "exactly one of kms_key_id, key and none",
        ),
        ({"LEASEKEEPER_STATE__PATH": "state"}, "absolute path"),
        (
            {
                "LEASEKEEPER_STATE__PATH": "",
                "LEASEKEEPER_STATE__ENCRYPTION__KEY": "canary" * 8,
            },
            "no effect without path",
        ),
    ],
)
def test_what_is_missing_is_named_without_the_key(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**environ)

    assert told in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_environment_alone_is_enough() -> None:
    state = load(LEASEKEEPER_STATE__ENCRYPTION__KEY="canary" * 8).state

    assert state.path == "/var/lib/leasekeeper"
    assert "canary" not in repr(state)
