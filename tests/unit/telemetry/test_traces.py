"""Spans of requests and publishes, as OpenTelemetry gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from leasekeeper.errors import ConfigError, SecretNotFound
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.telemetry.spans import span
from leasekeeper.telemetry.traces import Traces
from tests.fakes.fake_vault import FakeVault
from tests.fakes.secret_world import World


@pytest.fixture
async def exported() -> AsyncIterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    traces = Traces(SimpleSpanProcessor(exporter))
    yield exporter
    await traces.close()


def attributes(one: ReadableSpan) -> dict[str, object]:
    return dict(one.attributes or {})


async def test_a_request_to_vault_is_a_span_with_its_path_and_no_value(
    exported: InMemorySpanExporter,
) -> None:
    vault = FakeVault()
    vault.kv2["app"] = {"password": "canary-in-kv"}
    client = World(vault).client
    auth = await client.login("approle", {"role_id": "r", "secret_id": "canary-secret-id"})
    assert auth.auth is not None
    client.use_token(auth.auth.client_token, 1)
    await client.read("secret/data/app")
    with pytest.raises(SecretNotFound):
        await client.read("secret/data/nothing")
    login, read, missing = exported.get_finished_spans()

    names = [one.name for one in (login, read, missing)]
    assert names == ["vault login", "vault read", "vault read"]
    assert {one.kind for one in (login, read, missing)} == {SpanKind.CLIENT}
    assert attributes(read)["vault.path"] == "secret/data/app"
    assert (read.status.status_code, missing.status.status_code) == (
        StatusCode.UNSET,
        StatusCode.ERROR,
    )
    assert attributes(missing)["error.type"] == "SecretNotFound"
    assert missing.events == ()
    text = "".join(one.to_json() for one in (login, read, missing))
    assert "canary" not in text
    assert auth.auth.client_token not in text


async def test_spans_nest_and_hold_no_live_secret(exported: InMemorySpanExporter) -> None:
    redactor.protect("test traces", ["canary-live-value"])

    def fail() -> None:
        with span("publish", {"a": "x canary-live-value"}):
            with span("vault read", {}) as note:
                note("vault.path", "canary-live-value")
            raise ValueError("inside, canary-live-value")

    with pytest.raises(ValueError, match="inside"):
        fail()
    inner, outer = exported.get_finished_spans()

    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.status.status_code is StatusCode.ERROR
    assert "canary" not in inner.to_json() + outer.to_json()


async def test_after_the_end_nothing_is_traced() -> None:
    exporter = InMemorySpanExporter()
    traces = Traces(SimpleSpanProcessor(exporter))
    await traces.close()
    with span("publish", {}) as note:
        note("a", "b")

    assert exporter.get_finished_spans() == ()


def test_a_collector_has_to_be_named() -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        Traces.to_collector({})
