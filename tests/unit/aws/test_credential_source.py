"""Holding AWS credentials: read once, read again in time, never given out expired."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from leasekeeper.aws.credentials import REFRESH_AHEAD_S, AwsCredentials, CredentialSource
from leasekeeper.errors import AwsCredentialsError
from leasekeeper.runtime.clock import now
from leasekeeper.telemetry.redaction import redactor
from tests.captured_logs import LoggedEvent, capture_logs

HOUR = 3600.0


class Provider:
    """Gives out credentials that live an hour, one second after being asked."""

    def __init__(self) -> None:
        self.reads = 0
        self.lifetime_s: float | None = HOUR
        self.error: AwsCredentialsError | None = None

    async def load(self) -> AwsCredentials:
        self.reads += 1
        await asyncio.sleep(1)
        if self.error is not None:
            raise self.error
        expires = None if self.lifetime_s is None else now() + self.lifetime_s
        return AwsCredentials(
            access_key=f"ASIA{self.reads}",
            secret_key=f"canary-secret-{self.reads}",
            token=f"canary-token-{self.reads}",
            expires_at=expires,
            source="test",
        )

    def source(self) -> CredentialSource:
        return CredentialSource(self.load, clock=now)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def events() -> Iterator[list[LoggedEvent]]:
    with capture_logs() as captured:
        yield captured


async def test_ten_callers_at_the_same_time_cause_one_read(provider: Provider) -> None:
    source = provider.source()

    found = await asyncio.gather(*(source.get() for _ in range(10)))

    assert provider.reads == 1
    assert {credentials.access_key for credentials in found} == {"ASIA1"}


async def test_credentials_are_held_until_shortly_before_they_expire(provider: Provider) -> None:
    source = provider.source()
    await source.get()
    await asyncio.sleep(HOUR - REFRESH_AHEAD_S - 1)
    assert (await source.get()).access_key == "ASIA1"

    await asyncio.sleep(1)

    assert (await source.get()).access_key == "ASIA2"
    assert provider.reads == 2


async def test_ten_callers_of_a_failing_read_get_one_error_after_one_read(
    provider: Provider,
) -> None:
    """Otherwise ten waiters would wait for ten time-outs, one after the other."""
    provider.error = AwsCredentialsError("not ready", hint="wait")
    source = provider.source()
    start = now()

    got = await asyncio.gather(*(source.get() for _ in range(10)), return_exceptions=True)

    assert provider.reads == 1
    assert now() - start == 1
    assert [str(error) for error in got] == ["not ready (wait)"] * 10


async def test_a_failed_read_is_not_remembered(provider: Provider) -> None:
    source = provider.source()
    provider.error = AwsCredentialsError("not ready")
    with pytest.raises(AwsCredentialsError):
        await source.get()
    provider.error = None

    assert (await source.get()).access_key == "ASIA2"


async def test_a_cancelled_reader_leaves_the_read_to_the_next(provider: Provider) -> None:
    source = provider.source()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(source.get())
        second = group.create_task(source.get())
        await asyncio.sleep(0.5)
        first.cancel()

    assert second.result().access_key == "ASIA2"


async def test_what_is_held_is_used_while_the_provider_is_down(
    provider: Provider, events: list[LoggedEvent]
) -> None:
    source = provider.source()
    await source.get()
    provider.error = AwsCredentialsError("down")
    await asyncio.sleep(HOUR - 60)

    assert (await source.get()).access_key == "ASIA1"
    assert [e["event"] for e in events if e["log_level"] == "warning"] == [
        "auth.credentials_refresh_failed"
    ]


async def test_what_is_held_is_not_used_after_its_end(provider: Provider) -> None:
    source = provider.source()
    await source.get()
    provider.error = AwsCredentialsError("down")
    await asyncio.sleep(HOUR)

    with pytest.raises(AwsCredentialsError, match="down"):
        await source.get()


async def test_new_credentials_that_have_expired_are_refused(provider: Provider) -> None:
    provider.lifetime_s = -90

    with pytest.raises(AwsCredentialsError, match="from 'test' expired 90 s ago") as caught:
        await provider.source().get()
    assert "clock" in str(caught.value.hint)


async def test_new_credentials_with_little_time_left_are_used(provider: Provider) -> None:
    """Some endpoints hand out what they have; a login takes a second."""
    provider.lifetime_s = 30

    assert (await provider.source().get()).access_key == "ASIA1"


async def test_credentials_without_an_end_are_read_for_every_call(provider: Provider) -> None:
    provider.lifetime_s = None
    source = provider.source()

    assert [(await source.get()).access_key for _ in range(2)] == ["ASIA1", "ASIA2"]


async def test_doubted_credentials_are_read_again_once(provider: Provider) -> None:
    source = provider.source()
    await source.get()

    source.doubt()

    assert [(await source.get()).access_key for _ in range(2)] == ["ASIA2", "ASIA2"]


async def test_doubted_credentials_are_still_used_while_the_provider_is_down(
    provider: Provider,
) -> None:
    source = provider.source()
    await source.get()
    source.doubt()
    provider.error = AwsCredentialsError("down")

    assert (await source.get()).access_key == "ASIA1"


async def test_credentials_hide_their_secrets_and_have_them_masked(provider: Provider) -> None:
    found = await provider.source().get()

    assert "canary" not in repr(found)
    assert redactor.redact("canary-secret-1 canary-token-1") == "[redacted] [redacted]"
