"""Answers that a well Vault does not give: refusals of all kinds, proxies' pages, broken bodies."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from leasekeeper.errors import (
    SecretNotFound,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.settings.model import VaultSection
from leasekeeper.telemetry.metrics import VAULT_REQUESTS
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.vault.client import VaultClient
from leasekeeper.vault.transport import LARGEST_BODY, Manner
from tests.fakes.wire import CLOSE, RESET, Request, Script, Wire, http, refusal, serving, vault

HTML = b"<html><body>canary-page: the backend is being deployed</body></html>"
CANARY = "canary-of-an-answer"


@contextlib.asynccontextmanager
async def talking(
    script: Script | bytes, **settings: Any
) -> AsyncIterator[tuple[VaultClient, Wire]]:
    """Yield a client and the server that it talks to."""
    async with serving(script) as wire:
        client = VaultClient(VaultSection(address=wire.address, **settings))
        client.use_token("canary-token-in-use", 7)
        try:
            yield client, wire
        finally:
            await client.close()


async def failure(
    answer: Script | bytes,
    ask: Callable[[VaultClient], Coroutine[Any, Any, Any]] = lambda client: client.read("kv/x"),
    **settings: Any,
) -> VaultError:
    """Return the error of one request to a server with this answer; it holds no canary."""
    async with talking(answer, **settings) as (client, _):
        with pytest.raises(VaultError) as raised:
            await ask(client)
    shown = f"{raised.value} {raised.value!r} {raised.value.errors} {raised.value.__cause__}"
    assert "canary" not in shown
    return raised.value


# -- statuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "unreachable"),
    [
        (400, VaultRejected, None),
        (403, VaultDenied, None),
        (404, SecretNotFound, None),
        (405, VaultRejected, None),
        (412, VaultUnavailable, False),
        (413, VaultRejected, None),
        (429, VaultUnavailable, False),
        (473, VaultRejected, None),
        (500, VaultUnavailable, False),
        (501, VaultUnavailable, False),
        (502, VaultUnavailable, True),
        (503, VaultUnavailable, True),
        (504, VaultUnavailable, True),
    ],
)
async def test_a_status_decides_on_how_to_go_on(
    status: int, kind: type[VaultError], unreachable: bool | None
) -> None:
    error = await failure(refusal(status, "  the reason\n\t* in  two lines "))

    assert type(error) is kind
    assert (error.status, error.operation, error.path) == (status, "read", "kv/x")
    asked = "no secret exists at kv/x" if status == 404 else "read 'kv/x'"
    assert error.message == f"{asked}: {status} the reason * in two lines"
    assert getattr(error, "unreachable", None) is unreachable


async def test_a_refusal_names_the_token_that_was_refused() -> None:
    error = await failure(refusal(403, "permission denied"))

    assert isinstance(error, VaultDenied)
    assert error.token_serial == 7


async def test_a_sealed_vault_says_who_has_to_do_something() -> None:
    error = await failure(refusal(503, "Vault is sealed"))

    assert error.hint == "Vault is sealed: an operator has to unseal it"


@pytest.mark.parametrize(
    ("value", "pause_s"), [("7", 7.0), ("86400", 300.0), ("soon", None), ("-1", None), ("", None)]
)
async def test_the_pause_that_vault_asks_for_is_kept(value: str, pause_s: float | None) -> None:
    error = await failure(refusal(429, "rate limit", headers=[("Retry-After", value)]))

    assert isinstance(error, VaultUnavailable)
    assert error.retry_after_s == pause_s


@pytest.mark.parametrize(
    ("date", "until", "pause_s"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 12:00:07 GMT", 7.0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 13:00:00 GMT", 300.0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 40 Nov 2026 12:00:00 GMT", None),
        (None, "Sun, 22 Nov 1998 12:00:00 GMT", 0.0),
        ("some day", "Sun, 22 Nov 2399 12:00:00 GMT", 300.0),
    ],
)
async def test_a_pause_until_a_date_counts_from_the_answers_own(
    date: str | None, until: str, pause_s: float | None
) -> None:
    headers = [("Retry-After", until)] + ([("Date", date)] if date else [])
    error = await failure(refusal(429, "rate limit", headers=headers))

    assert isinstance(error, VaultUnavailable)
    assert error.retry_after_s == pause_s


async def test_long_reasons_are_cut() -> None:
    error = await failure(refusal(400, "x" * 5000))

    assert len(str(error)) < 500


# -- answers of somebody in between -------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "body", [HTML, b'{"message": "canary Forbidden"}', b'"canary"', b"[1]"], ids=lambda b: b[:6]
)
async def test_what_is_not_vaults_answer_says_nothing_about_token_or_secret(
    status: int, body: bytes
) -> None:
    """A load balancer's 403 must not cost the token, its 404 must not cost a lease."""
    error = await failure(http(status, body, kind="text/html"))

    assert isinstance(error, VaultUnavailable)
    assert error.unreachable
    assert error.status == status
    assert error.hint is not None
    assert "proxy or a load balancer" in error.hint


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_refusal_without_a_word_is_not_vaults(status: int) -> None:
    assert isinstance(await failure(http(status)), VaultUnavailable)


async def test_plain_http_to_a_tls_port_is_explained() -> None:
    page = b"Client sent an HTTP request to an HTTPS server.\n"  # what Go's server answers

    error = await failure(http(400, page, kind="text/plain"))

    assert "speaks TLS only" in error.message
    assert error.hint == "let vault.address begin with https://"


# -- successes that hold nothing ----------------------------------------------------------------

EMPTY = [http(204), http(200), vault(None), http(200, {"data": {"errors": CANARY}, "auth": None})]


@pytest.mark.parametrize("answer", EMPTY[:3])
async def test_an_empty_secret_is_no_secret(answer: bytes) -> None:
    assert isinstance(await failure(answer), SecretNotFound)


@pytest.mark.parametrize("answer", EMPTY[:3])
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.renew_token(60),
        lambda client: client.lookup_token(),
        lambda client: client.renew_lease("a/b", 60),
        lambda client: client.lookup_lease("a/b"),
        lambda client: client.mount_of("kv/x"),
        lambda client: client.list("kv"),
        lambda client: client.login("aws", {}),
    ],
    ids=["renew token", "look token up", "renew lease", "look lease up", "mount", "list", "login"],
)
async def test_an_empty_success_is_never_believed(
    answer: bytes, ask: Callable[[VaultClient], Coroutine[Any, Any, Any]]
) -> None:
    """It would read as a token that never ends, or as a lease that ends now."""
    assert isinstance(await failure(answer, ask), VaultUnavailable)


@pytest.mark.parametrize("answer", EMPTY[:3])
async def test_a_write_may_answer_nothing(answer: bytes) -> None:
    async with talking(answer) as (client, _):
        assert (await client.write("kv/x", {"a": "b"})).data is None


async def test_fields_of_a_wrong_type_count_as_empty() -> None:
    """No answer, however wrong, may end the process."""
    wrong = {
        "request_id": {},
        "lease_id": ["x"],
        "lease_duration": "soon",
        "renewable": "yes",
        "data": {"a": "b"},
        "warnings": "text",
        "wrap_info": {"ttl": None},
        "auth": {"policies": 3, "metadata": "x", "lease_duration": True, "client_token": None},
    }
    async with talking(http(200, wrong)) as (client, _):
        with pytest.raises(VaultRejected, match="request_id"):  # of a secret, nothing is guessed
            await client.read("kv/x")
        response = await client.lookup_token()

    assert response.data == {"a": "b"}
    assert (response.request_id, response.lease_id, response.lease_duration_s) == ("", "", 0)
    assert (response.renewable, response.warnings) == (False, ())
    assert response.auth is not None
    assert (response.auth.policies, response.auth.metadata) == ((), {})


# -- bodies that break --------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HEAD + b'Content-Length: 900\r\n\r\n{"data": {"a": "canary' + CLOSE, "breaks off"),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"data"' + CLOSE, "breaks off"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}" + CLOSE, "not HTTP"),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\ncanary", "garbled"),
        (HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n" + CLOSE, "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.6 canary\r\n" + CLOSE, "not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46" + CLOSE, "not HTTP"),
        (CLOSE, "closed the connection before it answered"),
        (RESET, "broke the connection off: connection reset by peer"),
    ],
    ids=["cut", "cut chunk", "bad chunk", "bad gzip", "head", "ssh", "tls alert", "eof", "rst"],
)
async def test_a_broken_answer_is_no_answer(answer: bytes, said: str) -> None:
    error = await failure(answer)

    assert isinstance(error, VaultUnavailable)
    assert error.unreachable
    assert said in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"a": NaN}}',
        b'{"data": {"a": Infinity}}',
        b'{"data": {"a": 1}',
        b'{"data": {"a": "\xff"}}',
        b'{"data": {}} and more',
        b"\x00\x00\x00",
    ],
)
async def test_what_is_almost_json_is_not_taken_for_it(body: bytes) -> None:
    assert isinstance(await failure(http(200, body)), VaultUnavailable)


@pytest.mark.parametrize("depth", [200, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
async def test_an_answer_nested_beyond_all_sense_is_refused(depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    body = f'{{"data": {{"a": {opening * depth}1{closing * depth}}}}}'

    error = await failure(http(200, body.encode()))

    assert isinstance(error, VaultRejected)
    assert "nested too deeply" in error.message


async def test_an_answer_with_many_braces_is_not_a_deep_one() -> None:
    data = {str(n): {"list": [[n], {"n": n}]} for n in range(2000)}
    async with talking(vault(data)) as (client, _):
        found = (await client.read("kv/x")).data

    assert found == json.loads(json.dumps(data), parse_int=str)


async def test_a_secret_of_20_mb_is_read_whole() -> None:
    value = "x" * (20 * 1024 * 1024)
    async with talking(vault({"value": value})) as (client, _):
        found = (await client.read("kv/x")).data

    assert found == {"value": value}


async def test_an_answer_beyond_32_mib_is_a_clear_error() -> None:
    body = b'{"data": {"a": "%s"}}' % (b"x" * LARGEST_BODY)
    error = await failure(http(200, body))

    assert isinstance(error, VaultRejected)
    assert error.message == "Vault's answer to 'kv/x' is larger than 32 MiB"


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_stopped() -> None:
    packed = gzip.compress(b'{"data": {"a": "%s"}}' % (b"x" * (LARGEST_BODY + 1)))
    error = await failure(http(200, packed, [("Content-Encoding", "gzip")]))

    assert isinstance(error, VaultRejected)


# -- time ---------------------------------------------------------------------------------------


async def test_a_slow_answer_is_given_up_on_in_time() -> None:
    never = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    error = await failure(lambda _: never, timeout="200ms")

    assert 0.15 < time.monotonic() - began < 2
    assert "did not answer within 200ms" in error.message


async def test_an_answer_that_trickles_is_given_up_on_in_time() -> None:
    """The limit is on the whole exchange, not on the pause between two bytes."""

    async def trickle(_request: Request) -> AsyncIterator[bytes]:
        yield HEAD + b"Content-Length: 90000\r\n\r\n"
        while True:
            await asyncio.sleep(0.01)
            yield b" "

    error = await failure(trickle, timeout="150ms")

    assert "did not answer within 150ms" in error.message


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Sun, 22 Nov 2026 17:21:56 +9999999999999", "Mon, 01 Jan 99999 00:00:00 GMT"],
)
async def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    async with talking(http(200, {"data": {"a": "b"}}, [("Date", date)])) as (client, _):
        assert (await client.read("kv/x")).data == {"a": "b"}
        assert client.clock_offset_s is None


async def test_the_clock_is_read_when_the_answer_begins_and_not_when_it_ends() -> None:
    """A slow answer must not look like a wrong clock."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    head = HEAD + f"Date: {date}\r\nContent-Length: 2\r\n\r\n".encode()
    measured: list[float | None] = []

    async with talking(head) as (client, _):
        task = asyncio.get_running_loop().create_task(client.read("kv/x"))
        while client.clock_offset_s is None:
            await asyncio.sleep(0.005)
        measured.append(client.clock_offset_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert measured == [pytest.approx(100, abs=2)]


# -- what errors and requests hold --------------------------------------------------------------


async def test_no_error_quotes_a_live_secret_or_what_was_written() -> None:
    redactor.protect("test", ["canary-that-is-alive"])
    said = "cannot use canary-argument for canary-that-is-alive"

    error = await failure(
        refusal(400, said), lambda client: client.write("a/b", {"key": ["canary-argument"]})
    )

    assert error.message == "write 'a/b': 400 cannot use [redacted] for [redacted]"
    assert error.errors == ("cannot use [redacted] for [redacted]",)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
async def test_the_message_of_a_login_quotes_nothing(status: int) -> None:
    """Vault may quote the secret id, and STS the signature, in forms that nobody can mask."""
    async with talking(refusal(status, "no such id: canary-sec... sealed")) as (client, _):
        with pytest.raises(VaultError) as raised:
            await client.login("approle", {"secret_id": "canary-secret-id"})

    assert "canary" not in str(raised.value)
    assert raised.value.errors == ("no such id: canary-sec... sealed",)


async def test_requests_carry_what_vault_wants_and_nothing_else() -> None:
    async with talking(vault({"a": "b"}), namespace="admin/team") as (client, wire):
        await client.read("kv/x y?z=1")
        await client.write("kv/x", {"a": 'quote " ünïcode'})
        await client.lookup_token("another-token")
        with contextlib.suppress(VaultError):
            await client.login("/auth/aws/", {"role": "web"}, namespace="other")
        await client._ask_health()

    read, write, lookup, login, health = wire.requests
    assert read.target == "/v1/kv/x%20y?z=1"
    assert read.headers["x-vault-token"] == "canary-token-in-use"
    assert read.headers["x-vault-namespace"] == "admin/team"
    assert read.headers["x-vault-request"] == "true"
    assert json.loads(write.body) == {"a": 'quote " ünïcode'}
    assert (write.method, write.headers["content-type"]) == ("PUT", "application/json")
    assert lookup.headers["x-vault-token"] == "another-token"
    assert (login.target, login.headers["x-vault-namespace"]) == ("/v1/auth/aws/login", "other")
    assert "x-vault-token" not in login.headers
    assert not {"x-vault-token", "x-vault-namespace"} & set(health.headers)
    assert wire.connections == 2  # health has one of its own


async def test_a_list_of_a_path_with_a_query_keeps_it() -> None:
    async with talking(vault({"keys": []})) as (client, wire):
        await client.list("kv/x")
        await client.list("kv/x?after=a")

    assert wire.targets == ["GET /v1/kv/x?list=true", "GET /v1/kv/x?after=a&list=true"]


async def test_no_more_connections_are_made_than_allowed() -> None:
    async def slowly(_request: object) -> bytes:
        await asyncio.sleep(0.01)
        return vault({"a": "b"})

    async with talking(slowly, max_connections=3) as (client, wire):
        await asyncio.gather(*(client.read(f"kv/{n}") for n in range(20)))

    assert wire.connections == 3
    assert len(wire.requests) == 20


async def test_every_request_is_counted_by_its_result() -> None:
    def count(result: str) -> int:
        return VAULT_REQUESTS.values.get(("read", result), 0)

    before = {result: count(result) for result in ("ok", "denied", "not_found", "unavailable")}
    script = iter([vault({"a": 1}), refusal(403, "x"), refusal(404), refusal(500, "x"), vault()])
    async with talking(lambda _: next(script)) as (client, _):
        for _ in range(5):
            with contextlib.suppress(VaultError):
                await client.read("kv/x")

    after = {result: count(result) - before[result] for result in before}
    assert after == {"ok": 1, "denied": 1, "not_found": 2, "unavailable": 1}


# -- whether Vault is there at all --------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "serves"),
    [
        (http(200, {"initialized": True, "sealed": False}), True),
        (http(503, {"initialized": True, "sealed": True}), False),
        (http(501, {"initialized": False, "sealed": True}), False),
        (http(472, {"initialized": True}), False),  # disaster recovery secondary
        (http(473, {"initialized": True}), True),  # performance standby
        (http(429, {"initialized": True}), True),  # standby
        (http(403, HTML), True),  # a proxy hides the path: Vault may be there
        (http(404, HTML), True),
        (http(502, HTML), False),
        (RESET, False),
    ],
    ids=["up", "sealed", "new", "dr", "perf", "standby", "hidden", "hidden 404", "gateway", "rst"],
)
async def test_health_tells_whether_somebody_serves(answer: bytes, serves: bool) -> None:
    async with talking(answer) as (client, _):
        assert await client._ask_health() is serves


async def test_a_hanging_server_is_asked_about_its_health_for_less_long() -> None:
    never = asyncio.get_running_loop().create_future()
    async with talking(lambda _: never) as (client, _):
        began = time.monotonic()
        client_limit = client._transport.send("GET", "/v1/x", {}, manner=Manner(limit_s=0.1))
        with pytest.raises(VaultUnavailable, match="within 100ms"):
            await client_limit

    assert time.monotonic() - began < 2
