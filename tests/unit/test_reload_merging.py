"""What of another configuration has effect at once, and what is left for a restart."""

from __future__ import annotations

from typing import Any

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.reload import merge
from leasekeeper.settings.model import Settings
from leasekeeper.sources import compile_sources, reused

BASE: dict[str, Any] = {
    "auth": {"method": "approle", "role_id": "r", "secret_id": "canary-secret-id"},
    "outputs": [{"destination": "/config/a", "template": "a"}],
}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({**BASE, **sections})


def test_outputs_intervals_and_the_log_level_have_effect_at_once() -> None:
    wanted = settings(
        outputs=[{"destination": "/config/b", "template": "b"}],
        secrets={"static_secret_render_interval": "7s", "overrides": {"kv/a": {}}},
        log={"level": "debug"},
        lifecycle={"repair_interval": "3s", "remove_files": True},
    )

    merged = merge(settings(), wanted)

    assert merged.waiting == ()
    assert merged.settings == wanted


def test_everything_else_is_named_by_its_key_and_stays_as_it_is() -> None:
    wanted = settings(
        vault={"address": "https://elsewhere.example.com", "timeout": "3s"},
        auth={**BASE["auth"], "secret_id": "canary-other"},
        secrets={"overlap": "3s", "static_secret_render_interval": "7s"},
        exec={"command": ["true"]},
        log={"level": "debug", "format": "json"},
    )

    merged = merge(settings(), wanted)

    assert set(merged.waiting) == {
        *("vault.address", "vault.timeout", "auth.secret_id", "secrets.overlap", "exec"),
        "log.format",
    }
    assert merged.settings == settings(
        secrets={"static_secret_render_interval": "7s"}, log={"level": "debug"}
    )
    assert "canary" not in repr(merged.waiting)


@pytest.mark.parametrize(
    ("running", "wanted", "says"),
    [
        (
            {},
            {
                "exec": {"command": ["true"]},
                "outputs": [{**BASE["outputs"][0], "notify": {"exec": "SIGHUP"}}],
            },
            "notify.exec needs a section exec",
        ),
        (
            {"shared": {"directory": "/config/.shared"}},
            {"lifecycle": {"on_exit": "revoke"}},
            "shared.directory does not work with",
        ),
        (
            {"sinks": [{"path": "/config/b"}]},
            {"outputs": [{"destination": "/config/b", "template": "b"}]},
            "same",
        ),
    ],
)
def test_what_does_not_go_together_until_a_restart_is_refused(
    running: dict[str, Any], wanted: dict[str, Any], says: str
) -> None:
    """An output that tells the application was made in a process that runs none: a crash."""
    with pytest.raises(ConfigError, match="until a restart") as caught:
        merge(settings(**running), settings(**wanted))

    assert says in str(caught.value)


def test_another_auth_method_is_one_difference() -> None:
    wanted = settings(auth={"method": "token_file", "token_file": "/t"})

    assert merge(settings(), wanted).waiting == ("auth",)


def test_a_source_that_stays_the_same_is_the_same_object(tmp_path: Any) -> None:
    file = tmp_path / "t"
    file.write_text("one")
    sections = settings(
        outputs=[
            {"destination": "/config/a", "template": "a"},
            {"destination": "/config/b", "template_file": str(file)},
            {"destination": "/config/c", "secret": "kv/c", "format": "json"},
        ]
    )
    old = compile_sources(sections)
    file.write_text("two")

    new = reused(old, compile_sources(sections))

    assert [one[1] is other[1] for one, other in zip(old, new, strict=True)] == [True, False, True]
