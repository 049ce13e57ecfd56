"""Connections to Vault: TLS, names, proxies, redirects, connections that die while they idle.

On both event loops: the program runs on uvloop, whose TLS and errors are its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop

from leasekeeper.errors import ConfigError, VaultUnavailable
from leasekeeper.settings.model import VaultSection
from leasekeeper.vault import transport
from leasekeeper.vault.client import VaultClient
from tests.captured_logs import capture_logs
from tests.fakes.authority import Authority
from tests.fakes.wire import CLOSE, RESET, Request, http, refusal, serving, vault

Run = Callable[[Coroutine[Any, Any, Any]], Any]
OK = vault({"a": "b"})
NEAR, FAR = "127.0.0.1", "127.0.0.2"  # two machines


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run a coroutine on one of the loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        # Servers log handshakes that clients break off; that is what the tests are about.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        yield runner.run


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca")


def section(address: str, **settings: Any) -> VaultSection:
    return VaultSection.model_validate({"address": address, **settings})


@contextlib.asynccontextmanager
async def client_of(address: str, **settings: Any) -> AsyncIterator[VaultClient]:
    client = VaultClient(section(address, timeout="5s", **settings))
    client.use_token("canary-token", 1)
    try:
        yield client
    finally:
        await client.close()


async def ask(address: str, **settings: Any) -> VaultUnavailable | None:
    """Read a secret; return the error if there is one."""
    async with client_of(address, **settings) as client:
        try:
            found = await client.read("kv/x")
        except VaultUnavailable as error:
            failed = error
        else:
            assert found.data == {"a": "b"}
            return None
    assert "canary" not in f"{failed} {failed.errors} {failed.__cause__!r}"
    assert failed.unreachable
    return failed


async def ask_tls(tls: ssl.SSLContext, **settings: Any) -> VaultUnavailable | None:
    async with serving(OK, tls=tls) as wire:
        return await ask(wire.address, **settings)


def quiet_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="asyncio")


# -- TLS ----------------------------------------------------------------------------------------


def test_a_trusted_server_is_talked_to(run: Run, authority: Authority) -> None:
    assert run(ask_tls(authority.server(NEAR), ca_file=str(authority.file))) is None


def test_an_untrusted_authority_is_named_as_the_reason(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    for settings in ({}, {"ca_file": str(other.file)}):
        error = run(ask_tls(authority.server(NEAR), **settings))

        assert "cannot be verified: unable to get local issuer certificate" in error.message
        assert "set vault.ca_file (VAULT_CACERT)" in error.hint


def test_a_wrong_host_name_is_mended_by_tls_server_name(run: Run, authority: Authority) -> None:
    tls, trust = authority.server("vault.internal"), str(authority.file)

    wrong = run(ask_tls(tls, ca_file=trust))
    wrong_again = run(ask_tls(tls, ca_file=trust, tls_server_name="vault.elsewhere"))
    right = run(ask_tls(tls, ca_file=trust, tls_server_name="vault.internal"))

    assert "certificate is not valid for '127.0.0.1'" in wrong.message
    assert "set vault.tls_server_name" in wrong.hint
    assert "certificate is not valid for 'vault.elsewhere'" in wrong_again.message
    assert right is None


@pytest.mark.parametrize(
    ("lasts", "said", "hint"),
    [
        (timedelta(seconds=-9), "certificate has expired", "renew the one that has ended"),
        (timedelta(days=99), "certificate is not yet valid", "check the clock of the host"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(
    run: Run, authority: Authority, lasts: timedelta, said: str, hint: str
) -> None:
    tls = authority.server(NEAR, lasts=lasts)

    error = run(ask_tls(tls, ca_file=str(authority.file)))

    assert said in error.message
    assert hint in error.hint


def test_skipping_verification_takes_every_certificate(run: Run, authority: Authority) -> None:
    tls = authority.server("somebody.else", lasts=timedelta(seconds=-9))

    assert run(ask_tls(tls, tls_skip_verify=True)) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate_gets_one(
    run: Run, authority: Authority, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    quiet_asyncio(caplog)
    tls, trust = authority.server(NEAR, clients=True), str(authority.file)
    tls.maximum_version = version
    certificate, key = authority.issue("web")

    without = run(ask_tls(tls, ca_file=trust))
    given = run(ask_tls(tls, ca_file=trust, client_cert_file=certificate, client_key_file=key))

    assert "vault.client_cert_file" in without.hint
    assert given is None


def test_every_file_of_a_directory_is_trusted_whatever_its_name(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    """OpenSSL itself would look for files that are named by a hash."""
    directory = tmp_path / "trusted"
    directory.mkdir()
    (directory / "README").write_text("not a certificate")
    (directory / "sub").mkdir()
    (directory / "company.pem").write_bytes(authority.file.read_bytes())

    assert run(ask_tls(authority.server(NEAR), ca_path=str(directory))) is None


def test_https_to_a_port_without_tls_is_explained(run: Run) -> None:
    """A server without TLS answers the handshake with what it says to a bad request."""

    async def asked() -> VaultUnavailable | None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(refuse, NEAR, 0)
        try:
            return await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()

    error = run(asked())

    assert "does not speak TLS" in error.message
    assert error.hint == "check https:// or http:// in vault.address"


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("ca_file", None, "No such file or directory"),
        ("ca_file", "no certificate", "there is no certificate in it"),
        ("ca_path", None, "No such file or directory"),
        ("ca_path", "a file", "Not a directory"),
        ("client_cert_file", None, "No such file or directory"),
        ("client_cert_file", "no certificate", "not what is needed, in PEM"),
    ],
)
def test_tls_files_that_cannot_be_used_end_the_start(
    tmp_path: Path, authority: Authority, setting: str, content: str | None, said: str
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_text(content)
    settings = {setting: str(path)}
    if setting == "client_cert_file":
        settings["client_key_file"] = authority.issue("web")[1]

    with pytest.raises(ConfigError) as raised:
        VaultClient(section("https://vault.internal", **settings))

    (problem,) = raised.value.problems
    assert problem.startswith(f"vault.{setting}: '{path}' cannot be used: ")
    assert said in problem


def test_an_empty_directory_of_authorities_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no certificate in it"):
        VaultClient(section("https://vault.internal", ca_path=str(tmp_path)))


def test_every_unusable_file_is_told_at_once(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("ca_file", "client_cert_file")}

    with pytest.raises(ConfigError) as raised:
        VaultClient(section("https://vault.internal", client_key_file="/nowhere", **files))

    assert len(raised.value.problems) == 2


def test_a_key_of_another_certificate_is_told(authority: Authority) -> None:
    certificate, _ = authority.issue("web")
    _, key = authority.issue("other")
    settings = {"client_cert_file": certificate, "client_key_file": key}

    with pytest.raises(ConfigError, match="does not belong to the key"):
        VaultClient(section("https://vault.internal", **settings))


def test_an_encrypted_key_is_refused_without_asking_on_the_terminal(authority: Authority) -> None:
    certificate, key = authority.issue("web", password=b"canary")
    settings = {"client_cert_file": certificate, "client_key_file": key}

    with pytest.raises(ConfigError, match=r"vault.client_cert_file: .* cannot be used"):
        VaultClient(section("https://vault.internal", **settings))


# -- names and addresses ------------------------------------------------------------------------


def test_a_refused_connection_is_told_in_plain_words(run: Run) -> None:
    error = run(ask("http://127.0.0.1:1"))

    assert error.message == "Vault at http://127.0.0.1:1 cannot be reached: connection refused"


@pytest.mark.parametrize("host", ["vault.invalid", "a..b", "x" * 70])
def test_a_name_that_nobody_knows_is_told(run: Run, host: str) -> None:
    error = run(ask(f"http://{host}:8200"))

    assert "has a host name that cannot be resolved" in error.message


# -- idle connections ---------------------------------------------------------------------------


def test_a_connection_that_the_server_closed_while_idle_is_no_outage(run: Run) -> None:
    async def asked() -> None:
        async with serving(OK) as wire, client_of(wire.address) as client:
            await client.read("kv/x")
            wire.drop_connections()
            await asyncio.sleep(0.01)  # the end of the connection arrives
            await client.read("kv/x")
            assert wire.connections == 2

    run(asked())


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_request_that_meets_a_dying_connection_is_sent_once_more(run: Run, end: bytes) -> None:
    """The server gives up on an idle connection in the same moment in which we use it again."""
    seen: list[Request] = []

    def script(request: Request) -> bytes:
        seen.append(request)
        return end if len(seen) == 2 else vault({"a": "b"}, lease_id="x/y")

    async def asked() -> None:
        async with serving(script) as wire, client_of(wire.address) as client:
            await client.read("kv/x")
            await client.renew_lease("x/y", 60)
            assert client.reachability.up

    run(asked())

    assert [(x.method, x.body) for x in seen[1:]] == [(seen[1].method, seen[1].body)] * 2
    assert seen[1].body


@pytest.mark.parametrize(
    "ask_for",
    [
        lambda client: client.login("aws", {"role": "web"}),
        lambda client: client.read("database/creds/web"),
        lambda client: client.write("pki/issue/web", {"common_name": "web"}),
    ],
    ids=["login", "read", "write"],
)
@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_what_makes_something_is_never_sent_twice_by_itself(
    run: Run, end: bytes, ask_for: Callable[[VaultClient], Coroutine[Any, Any, Any]]
) -> None:
    """The answer was lost, and the credential made: whoever asked decides on another."""

    def script(request: Request) -> bytes:
        return end if "health" not in request.target and "warm" not in request.target else OK

    async def asked() -> list[str]:
        async with serving(script) as wire, client_of(wire.address) as client:
            await client.read("kv/warm")  # a connection that is used again
            with pytest.raises(VaultUnavailable):
                await ask_for(client)
            assert wire.connections == 1
            return wire.targets

    assert len(run(asked())) == 2


def test_what_makes_something_does_not_trust_an_idle_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have died without a word, and then nobody knows what was done."""
    monkeypatch.setattr(transport, "_TRUSTED_S", 0.01)

    async def asked() -> list[int]:
        async with serving(OK) as wire, client_of(wire.address) as client:
            await client.read("kv/x")
            await asyncio.sleep(0.02)
            await client.lookup_token()
            await asyncio.sleep(0.02)
            await client.read("database/creds/web")
            return [request.connection for request in wire.requests]

    assert run(asked()) == [1, 1, 2]


def test_requests_that_hang_hold_nobody_else_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SLOW_S", 0.05)

    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def asked() -> None:
        script = lambda request: never() if "hangs" in request.target else OK  # noqa: E731
        async with (
            serving(script) as wire,
            client_of(wire.address, max_connections=2) as client,
            asyncio.TaskGroup() as group,
        ):
            hanging = [group.create_task(client.read(f"kv/hangs{n}")) for n in range(4)]
            async with asyncio.timeout(4):  # less than their time limit
                assert (await client.read("kv/x")).data == {"a": "b"}
            for task in hanging:
                task.cancel()

    run(asked())


def test_connections_are_made_anew_once_somebody_doubts_them(run: Run) -> None:
    """After a fail-over, kept connections are silent and new ones lead to the new node."""

    async def asked() -> list[int]:
        async with serving(OK) as wire, client_of(wire.address) as client:
            await client.lookup_token()
            assert await client._ask_health()
            await client.lookup_token()
            return [request.connection for request in wire.requests]

    assert run(asked()) == [1, 2, 3]


def test_a_request_that_hung_through_an_outage_ends_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOW_S", 0.01)

    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def asked() -> VaultUnavailable:
        script = lambda request: OK if "health" in request.target else never()  # noqa: E731
        async with (
            serving(script) as wire,
            client_of(wire.address) as client,
            asyncio.TaskGroup() as group,
        ):
            hanging = group.create_task(_error_of(client.read("database/creds/web")))
            while not wire.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
            client.reachability._lost(VaultUnavailable("away"))
            assert await client._ask_health()
            return await hanging

    error = run(asked())

    assert error.interrupted
    assert not error.unreachable


async def _error_of(request: Coroutine[Any, Any, Any]) -> VaultUnavailable:
    with pytest.raises(VaultUnavailable) as raised:
        await request
    return raised.value


def test_a_replica_that_has_not_caught_up_is_asked_again_at_once(run: Run) -> None:
    answers = [refusal(412, "required index state not present")] * 3

    async def asked() -> int:
        script = lambda _request: answers.pop() if answers else OK  # noqa: E731
        async with serving(script) as wire, client_of(wire.address) as client:
            await client.read("database/creds/web")
            return len(wire.requests)

    assert run(asked()) == 4


# -- TLS files that change ----------------------------------------------------------------------


def test_a_rotated_authority_is_read_without_a_restart(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    """The server's certificate changes first: an outage with a clear reason until the file does."""
    trust = tmp_path / "trust.pem"
    trust.write_bytes(authority.file.read_bytes())
    (tmp_path / "new").mkdir()
    successor = Authority(tmp_path / "new", "successor")

    async def asked() -> None:
        async with (
            serving(OK, tls=successor.server(NEAR)) as wire,
            client_of(wire.address, ca_file=str(trust)) as client,
        ):
            with pytest.raises(VaultUnavailable, match="cannot be verified"):
                await client.read("kv/x")
            trust.write_text("half written")
            with pytest.raises(VaultUnavailable, match="cannot be verified"):
                await client.read("kv/x")
            trust.write_bytes(successor.file.read_bytes())
            assert (await client.read("kv/x")).data == {"a": "b"}

    with capture_logs() as logs:
        run(asked())

    events = [line["event"] for line in logs if line["event"].startswith("vault.tls")]
    assert events == ["vault.tls_files_unusable", "vault.tls_files_read"]


def test_a_rotated_client_certificate_is_used_for_new_connections(
    run: Run, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("web")
    seen: list[object] = []
    tls = authority.server(NEAR, clients=True)

    async def asked() -> None:
        async with serving(OK, tls=tls) as wire:
            settings = {"client_cert_file": certificate, "client_key_file": key}
            async with client_of(wire.address, ca_file=str(authority.file), **settings) as client:
                await client.read("kv/x")
                seen.append(client._transport._tls.context)
                newer, newer_key = authority.issue("web")
                Path(newer).replace(certificate)
                Path(newer_key).replace(key)
                client.renew_connections()
                await client.read("kv/x")
                seen.append(client._transport._tls.context)
                assert wire.connections == 2

    run(asked())

    assert seen[0] is not seen[1]


def test_closing_leaves_no_socket_behind(run: Run, authority: Authority) -> None:
    async def asked() -> None:
        async with serving(OK, tls=authority.server(NEAR)) as wire:
            client = VaultClient(VaultSection(address=wire.address, ca_file=str(authority.file)))
            await asyncio.gather(*(client.read("kv/x") for _ in range(4)))
            await client.close()
            await client.close()
            left = [task for task in asyncio.all_tasks() if "connector" in repr(task)]
            assert left == []

    run(asked())


# -- redirects ----------------------------------------------------------------------------------


def to(location: str, status: int = 307) -> bytes:
    return http(status, b"<a>Temporary Redirect</a>", [("Location", location)], kind="text/html")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_standby_sends_us_to_the_active_node_with_everything(run: Run, status: int) -> None:
    async def asked() -> tuple[list[Request], list[Request]]:
        async with serving(OK, host=FAR) as active:

            def standby(request: Request) -> bytes:
                return to(f"http://{FAR}:{active.port}{request.target}", status)

            async with (
                serving(standby) as wire,
                client_of(wire.address, namespace="admin") as client,
            ):
                await client.read("kv/x%?version=1")
                await client.write("kv/y", {"a": "b"})
                return wire.requests, active.requests

    first, second = run(asked())

    for asked_first, asked_then in zip(first, second, strict=True):
        assert asked_then.target == asked_first.target
        assert (asked_then.method, asked_then.body) == (asked_first.method, asked_first.body)
        assert asked_then.headers["x-vault-token"] == "canary-token"
        assert asked_then.headers["x-vault-namespace"] == "admin"


def test_a_redirect_on_the_same_host_may_be_relative(run: Run) -> None:
    """Vault cleans paths so: `kv//x` is answered with `/v1/kv/x`."""

    def script(request: Request) -> bytes:
        return OK if request.target == "/v1/kv/x" else to("/v1/kv/x")

    async def asked() -> list[str]:
        async with serving(script) as wire, client_of(wire.address) as client:
            await client.read("kv//x")
            return wire.targets

    assert run(asked()) == ["GET /v1/kv//x", "GET /v1/kv/x"]


def test_the_token_never_leaves_tls(run: Run, authority: Authority) -> None:
    async def asked() -> tuple[VaultUnavailable | None, int]:
        async with serving(OK) as plain:
            script = to(f"http://127.0.0.1:{plain.port}/v1/kv/x")
            async with serving(script, tls=authority.server(NEAR)) as wire:
                error = await ask(wire.address, ca_file=str(authority.file))
                return error, plain.connections

    error, connections = run(asked())

    assert error is not None
    assert "where the token would travel unencrypted" in error.message
    assert connections == 0


def test_a_redirect_into_tls_is_verified(run: Run, authority: Authority) -> None:
    async def asked(**settings: Any) -> VaultUnavailable | None:
        async with (
            serving(OK, tls=authority.server(NEAR)) as secure,
            serving(to(f"{secure.address}/v1/kv/x")) as wire,
        ):
            return await ask(wire.address, **settings)

    untrusted = run(asked())
    assert untrusted is not None
    assert "cannot be verified" in untrusted.message
    assert run(asked(ca_file=str(authority.file))) is None


def test_a_redirect_into_tls_that_is_not_set_up_is_no_answer(run: Run) -> None:
    async def asked() -> VaultUnavailable | None:
        async with serving(to("https://127.0.0.1:1/v1/kv/x")) as wire:
            return await ask(wire.address, ca_file="/nowhere/ca.pem")

    error = run(asked())

    assert error is not None
    assert "vault.ca_file: '/nowhere/ca.pem' cannot be used" in error.message


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/v1/again", "redirects from one address to the next"),
        ("ftp://127.0.0.1/x", "redirects to something that is not an address"),
        ("http://[::1", "redirects to something that is not an address"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_no_answer(run: Run, location: str, said: str) -> None:
    async def asked() -> VaultUnavailable | None:
        async with serving(to(location)) as wire:
            return await ask(wire.address)

    error = run(asked())

    assert error is not None
    assert said in error.message


# -- proxies ------------------------------------------------------------------------------------


@pytest.fixture
def proxy_variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def test_plain_http_goes_through_the_proxy(run: Run, proxy_variables: Callable[..., None]) -> None:
    async def asked() -> list[Request]:
        async with serving(OK) as proxy:
            proxy_variables(HTTP_PROXY=f"http://user:canary@127.0.0.1:{proxy.port}")
            assert await ask("http://vault.internal:8200") is None
            return proxy.requests

    (request,) = run(asked())

    assert request.target == "http://vault.internal:8200/v1/kv/x"
    assert request.headers["x-vault-token"] == "canary-token"
    assert request.headers["proxy-authorization"].startswith("Basic ")


def test_no_proxy_is_honoured_and_loopback_never_proxied(
    run: Run, proxy_variables: Callable[..., None]
) -> None:
    async def asked() -> int:
        async with serving(OK) as proxy, serving(OK) as wire:
            proxy_variables(HTTP_PROXY=f"http://127.0.0.1:{proxy.port}", NO_PROXY="vault.invalid")
            assert await ask(wire.address) is None
            assert await ask("http://vault.invalid:8200") is not None
            return proxy.connections

    assert run(asked()) == 0


@contextlib.asynccontextmanager
async def tunnel(
    status: int, address: tuple[str, int] | None
) -> AsyncIterator[tuple[int, list[str]]]:
    """An HTTP proxy that answers CONNECT with *status* and then joins it to *address*."""
    seen: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {status} canary\r\n\r\n".encode())
        if address is None or status != 200:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*address)
        writers.append(far_writer)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(serve, NEAR, 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.02)


def test_tls_is_tunnelled_through_the_proxy_and_verified_end_to_end(
    run: Run, authority: Authority, proxy_variables: Callable[..., None]
) -> None:
    async def asked() -> list[str]:
        async with (
            serving(OK, tls=authority.server("vault.internal")) as wire,
            tunnel(200, (NEAR, wire.port)) as (port, seen),
        ):
            proxy_variables(HTTPS_PROXY=f"127.0.0.1:{port}")  # as Vault's tools, without a scheme
            assert await ask("https://vault.internal", ca_file=str(authority.file)) is None
            untrusted = await ask("https://vault.internal")
            assert untrusted is not None
            assert "cannot be verified" in untrusted.message
            return seen

    seen = run(asked())

    assert seen[0].startswith("CONNECT vault.internal:443 HTTP/1.1\r\n")
    assert "canary-token" not in "".join(seen)


def test_a_proxy_that_refuses_is_told_from_vault(
    run: Run, proxy_variables: Callable[..., None]
) -> None:
    async def asked() -> VaultUnavailable | None:
        async with tunnel(407, None) as (port, _):
            proxy_variables(HTTPS_PROXY=f"http://user:canary@127.0.0.1:{port}")
            return await ask("https://vault.internal")

    error = run(asked())

    assert error is not None
    assert "through the proxy" in error.message
    assert "a proxy that answered 407" in error.message
    assert "NO_PROXY" in str(error.hint)


def test_a_proxy_that_is_away_is_told_from_vault(
    run: Run, proxy_variables: Callable[..., None]
) -> None:
    proxy_variables(HTTP_PROXY="http://user:canary@127.0.0.1:1")

    error = run(ask("http://vault.internal:8200"))

    assert error is not None
    assert "a proxy that cannot be reached: connection refused" in error.message
