"""How a start is given up, how a stop ends, and which exit code comes of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from leasekeeper import checking
from leasekeeper.agent import Agent
from leasekeeper.cli import _report
from leasekeeper.errors import (
    AgentError,
    AwsCredentialsError,
    ConfigError,
    LoginDenied,
    PublishError,
    StartupDeadlineExceeded,
    VaultUnavailable,
)
from leasekeeper.parts import Parts
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.latch import Latch
from leasekeeper.settings.model import Settings
from leasekeeper.starting import first_publish


def settings(**lifecycle: object) -> Settings:
    return Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "outputs": [{"destination": "/x", "secret": "secret/data/x", "format": "json"}],
            "web": {"listen": ""},
            "lifecycle": lifecycle,
        }
    )


class FakeParts(SimpleNamespace):
    """What `first_publish` and `_shut_down` look at."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.hangs: set[str] = set()
        super().__init__(
            tokens=SimpleNamespace(
                lease=None,
                error=None,
                revoke=lambda: self._close("revoke"),
                close=lambda: self._close("tokens"),
            ),
            client=SimpleNamespace(close=lambda: self._close("client")),
            secrets=SimpleNamespace(keepers={}),
            memory=None,
            outputs=SimpleNamespace(
                settled=Latch(),
                unsettled=[],
                close=lambda deadline_s, remove_s: self._close("outputs"),
            ),
            sinks=SimpleNamespace(sinks=(), settled=Latch()),
            reporter=SimpleNamespace(reasons=list),
        )

    async def _close(self, what: str) -> None:
        if what in self.hangs:
            await asyncio.sleep(3600)
        self.closed.append(what)

    @property
    def parts(self) -> Parts:
        return cast(Parts, self)


async def ended(settings: Settings, fake: FakeParts) -> tuple[AgentError, float]:
    began = now()
    with pytest.raises(AgentError) as raised:
        await first_publish(fake.parts, settings.lifecycle, lambda: False)
    return raised.value, now() - began


async def test_a_denied_login_ends_a_start_when_it_has_lasted_for_15_seconds() -> None:
    fake = FakeParts()
    fake.tokens.error = LoginDenied("no")

    error, after_s = await ended(settings(), fake)

    assert (error.exit_code, round(after_s)) == (3, 15)


async def test_an_error_that_appears_late_gets_its_15_seconds_too() -> None:
    """Vault was away for 20 s; its first refusal ended the start at once."""
    fake = FakeParts()
    fake.tokens.error = VaultUnavailable("away")
    asyncio.get_running_loop().call_later(
        20, lambda: setattr(fake.tokens, "error", LoginDenied("no"))
    )

    error, after_s = await ended(settings(), fake)

    assert (error.exit_code, round(after_s)) == (3, 35)


async def test_at_the_deadline_the_error_at_hand_gives_the_exit_code() -> None:
    for error, code in (
        (None, 6),
        (VaultUnavailable("away"), 6),
        (AwsCredentialsError("none"), 3),
        (LoginDenied("no"), 3),
    ):
        fake = FakeParts()
        fake.tokens.error = error
        raised, after_s = await ended(settings(startup_deadline="10s"), fake)
        assert (raised.exit_code, round(after_s)) == (code, 10)


async def test_a_stop_during_the_checks_of_a_hung_volume_is_heeded_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The checks have a deadline of 20 s, twice: as long as ECS waits before it kills."""

    async def hang(_outputs: Any) -> list[AgentError]:
        await asyncio.sleep(3600)
        return []

    monkeypatch.setattr(checking, "preflight", hang)
    agent = Agent(settings(), {})
    asyncio.get_running_loop().call_later(3, agent.stop.set)
    began = now()
    await agent.run()

    assert now() - began == pytest.approx(3, abs=0.1)


async def test_a_problem_with_a_destination_is_still_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(_outputs: Any) -> list[AgentError]:
        return [PublishError("no", path="/x")]

    monkeypatch.setattr(checking, "preflight", refuse)
    with pytest.raises(PublishError):
        await Agent(settings(), {}).run()


@pytest.mark.parametrize("hangs", ["outputs", "revoke", "tokens", "client"])
async def test_a_stop_is_bounded_whatever_hangs(hangs: str) -> None:
    fake = FakeParts()
    fake.hangs = {hangs}
    began = now()
    await Agent(settings(on_exit="revoke", shutdown_deadline="10s"), {})._shut_down(fake.parts)

    assert now() - began <= 11.1
    assert hangs not in fake.closed


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("tasks", errors)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ConfigError("a", "b"), 2),
        (group(LoginDenied("no")), 3),
        (group(group(StartupDeadlineExceeded("late"))), 6),
        (group(ZeroDivisionError()), 70),
        (ZeroDivisionError(), 70),
    ],
)
def test_every_end_has_its_exit_code(raised: Exception, code: int) -> None:
    assert _report(raised) == code


async def test_what_only_the_application_had_is_final_when_it_has_ended() -> None:
    """Elsewhere than on ECS, or when only this container stops, files may still be read."""
    model = Settings.model_validate(
        {
            "auth": {"method": "approle", "role_id": "r"},
            "exec": {"command": ["app"], "env": [{"name": "A", "template": "x"}]},
            "lifecycle": {"on_exit": "revoke"},
        }
    )
    agent = Agent(model, {})
    agent._app = cast(Any, object())

    assert await agent._is_final()
