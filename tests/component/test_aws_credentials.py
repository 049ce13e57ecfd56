"""Reading AWS credentials from real endpoints, files and variables."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from leasekeeper.aws.chain import find_source
from leasekeeper.aws.container import _Fetcher
from leasekeeper.aws.credentials import AwsCredentials, CredentialSource
from leasekeeper.aws.metadata import MAX_BODY_BYTES
from leasekeeper.errors import AwsCredentialsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ROLE_ARN = "arn:aws:iam::123456789012:role/task-role"
SECRET, TOKEN = "canary-secret-key", "canary-session-token"


class Endpoint:
    """A real HTTP server that answers every path with `handler`, and remembers who asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.handler: Handler = self.credentials
        self.expires_in = timedelta(hours=6)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.path_qs for request in self.requests]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)

    async def credentials(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.document())

    def document(self) -> dict[str, str]:
        expires = datetime.now(UTC) + self.expires_in
        return {
            "RoleArn": ROLE_ARN,
            "AccessKeyId": f"ASIA{len(self.requests)}",
            "SecretAccessKey": SECRET,
            "Token": TOKEN,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


async def serve(endpoint: Endpoint) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endpoint.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.port = runner.addresses[0][1]
    return runner


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    served = Endpoint()
    runner = await serve(served)
    yield served
    await runner.cleanup()


@pytest.fixture
async def proxy() -> AsyncIterator[Endpoint]:
    """A proxy that is never to be asked; it would answer with somebody else's credentials."""
    served = Endpoint()
    runner = await serve(served)
    yield served
    await runner.cleanup()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS settings, no proxies, an empty home, and no instance metadata service."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(_Fetcher, "SLEEP_TIME", 0)


@pytest.fixture
def container(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The endpoint, announced the way ECS Managed Daemons and the local world do it."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint.url}/creds?id=7")
    return endpoint


def use_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, url)


async def read(profile: str | None = None) -> AwsCredentials:
    return await find_source(profile, "eu-west-1")()


def shared_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / ".aws").mkdir(exist_ok=True)
    (tmp_path / ".aws" / name).write_text(textwrap.dedent(text))


# -- the container endpoint ---------------------------------------------------------------------


async def test_a_full_uri_is_asked_as_it_is(container: Endpoint) -> None:
    found = await read()

    assert container.paths == ["/creds?id=7"]
    assert (found.access_key, found.secret_key, found.token) == ("ASIA1", SECRET, TOKEN)
    assert found.source == "container-role"
    assert found.role_arn == ROLE_ARN
    assert found.expires_at is not None
    assert found.expires_at > datetime.now(UTC).timestamp() + 3600


async def test_a_relative_uri_goes_to_the_ecs_address_and_comes_first(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Fetcher, "IP_ADDRESS", f"127.0.0.1:{endpoint.port}")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/abc")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/never")

    await read()

    assert endpoint.paths == ["/v2/credentials/abc"]


async def test_the_container_endpoint_is_never_asked_through_a_proxy(
    container: Endpoint, proxy: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_proxy(monkeypatch, proxy.url)

    await read()

    assert len(container.requests) == 1
    assert proxy.requests == []


async def test_the_authorization_token_is_sent(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")

    await read()

    assert container.requests[0].headers["Authorization"] == "Basic abc"


async def test_the_authorization_token_file_is_read_at_every_refresh(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the file goes first")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    load = find_source(None, "eu-west-1")
    for token in ("one", "two\n"):
        file.write_text(token)
        await load()

    sent = [request.headers["Authorization"] for request in container.requests]
    assert sent == ["one", "two"]


async def test_a_missing_authorization_token_file_is_named(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere/token")

    with pytest.raises(AwsCredentialsError, match=r"'/nowhere/token' .*No such file"):
        await read()
    assert container.requests == []


async def test_a_token_of_two_lines_is_refused_without_showing_it(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary\r\nHost: evil")

    with pytest.raises(AwsCredentialsError, match="not one line") as caught:
        await read()
    assert "canary" not in str(caught.value)


async def test_an_endpoint_that_fails_at_first_is_asked_again(container: Endpoint) -> None:
    async def flaky(request: web.Request) -> web.StreamResponse:
        if len(container.requests) < 3:
            return web.Response(status=500)
        return await container.credentials(request)

    container.handler = flaky

    assert (await read()).access_key == "ASIA3"


@pytest.mark.parametrize(
    ("status", "hint"),
    [(500, "asked for again"), (404, "taskRoleArn"), (400, "taskRoleArn"), (401, "TOKEN_FILE")],
)
async def test_a_refusal_is_retryable_and_says_what_to_check(
    container: Endpoint, status: int, hint: str
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="canary body")

    container.handler = refuse

    with pytest.raises(AwsCredentialsError, match=f"it answered {status}") as caught:
        await read()
    assert caught.value.retryable
    assert hint in str(caught.value.hint)
    assert "canary" not in str(caught.value)


async def test_a_slow_endpoint_costs_a_bounded_time(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Fetcher, "TIMEOUT_SECONDS", 0.05)
    answered = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await answered.wait()
        return web.Response()

    container.handler = hang

    with pytest.raises(AwsCredentialsError, match=r"did not answer within 0\.05 s"):
        await read()
    answered.set()
    assert len(container.requests) == 3


async def test_a_closed_port_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/creds")

    with pytest.raises(AwsCredentialsError, match="no connection") as caught:
        await read()
    assert "asked for again" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>canary</body></html>", "not JSON"),
        (b"\xff\xfe\x00canary", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["canary"]', "not a JSON object"),
        (b'{"code": "canary"}', "something that is not credentials"),
        (b'{"AccessKeyId": "a", "SecretAccessKey": ["canary"]}', "not credentials"),
        (b'{"AccessKeyId":"a","SecretAccessKey":"b","Expiration":"canary"}', "not a date"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_not_quoted(
    container: Endpoint, body: bytes, said: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    container.handler = answer

    with pytest.raises(AwsCredentialsError, match=said) as caught:
        await read()
    assert "canary" not in repr(caught.value)


async def test_an_endless_answer_is_cut_off(container: Endpoint) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)
            sent += 65536

    container.handler = flood

    with pytest.raises(AwsCredentialsError, match="longer than 512 KiB"):
        await read()
    # Three tries, each of them with what fits into the sockets' buffers.
    assert sent < 3 * (MAX_BODY_BYTES + 16 * 1024 * 1024)


async def test_a_redirect_is_not_followed(container: Endpoint) -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"{container.url}/elsewhere")

    container.handler = redirect

    with pytest.raises(AwsCredentialsError, match="it answered 302"):
        await read()
    assert set(container.paths) == {"/creds?id=7"}


@pytest.mark.parametrize(
    "url", ["http://10.0.0.5/creds", "http://169.254.169.254/creds", "creds", "http://[bad/creds"]
)
async def test_a_full_uri_outside_the_task_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)

    with pytest.raises(AwsCredentialsError, match="names a host that may not be asked") as caught:
        await read()
    assert "169.254.170.23" in str(caught.value.hint)


async def test_a_relative_uri_cannot_change_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".evil.example/creds")

    with pytest.raises(AwsCredentialsError, match="RELATIVE_URI names a host"):
        await read()


async def test_expired_credentials_from_the_endpoint_are_refused(container: Endpoint) -> None:
    container.expires_in = timedelta(minutes=-10)
    source = CredentialSource(find_source(None, "eu-west-1"))

    with pytest.raises(AwsCredentialsError, match=r"expired 60\d s ago"):
        await source.get()


async def test_ten_callers_cause_one_request(container: Endpoint) -> None:
    source = CredentialSource(find_source(None, "eu-west-1"))

    found = await asyncio.gather(*(source.get() for _ in range(10)))

    assert len(container.requests) == 1
    assert len(set(map(id, found))) == 1


async def test_the_real_ecs_address_works_with_a_proxy_set() -> None:
    """169.254.170.2 itself, in a network namespace of its own, with a proxy that is not there."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None or shutil.which("ip") is None:
        pytest.skip("needs root, unshare and ip")
    script = """
        import asyncio
        from aiohttp import web
        from leasekeeper.aws.chain import find_source

        async def answer(request):
            return web.json_response({"AccessKeyId": request.path, "SecretAccessKey": "s"})

        async def main():
            app = web.Application()
            app.router.add_get("/v2/credentials/abc", answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "169.254.170.2", 80).start()
            print((await find_source(None, "eu-west-1")()).access_key)
            await runner.cleanup()

        asyncio.run(main())
    """
    set_up = "ip link set lo up && ip addr add 169.254.170.2/32 dev lo"
    command = [unshare, "-n", "sh", "-c", f'{set_up} && exec "$0" -c "$1"', sys.executable]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/abc",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr or "RTNETLINK" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    assert (done.stdout.strip(), done.stderr) == ("/v2/credentials/abc", "")


# -- everything else, through botocore's own chain ----------------------------------------------


async def test_the_environment_comes_before_the_container(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")

    found = await read()

    assert (found.access_key, found.secret_key, found.token) == ("AKIAENV", "s", "t")
    assert (found.source, found.expires_at) == ("env", None)
    assert container.requests == []


async def test_half_of_a_key_pair_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")

    with pytest.raises(AwsCredentialsError, match="AWS_SECRET_ACCESS_KEY") as caught:
        await read()
    assert "or neither" in str(caught.value.hint)


async def test_a_profile_goes_before_everything(
    container: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    shared_file(
        tmp_path,
        "credentials",
        """
        [web]
        aws_access_key_id = AKIAWEB
        aws_secret_access_key = s
        """,
    )

    found = await read("web")

    assert (found.access_key, found.source) == ("AKIAWEB", "shared-credentials-file")
    assert container.requests == []


async def test_a_rewritten_profile_counts_at_the_next_login(tmp_path: Path) -> None:
    source = CredentialSource(find_source("web", "eu-west-1"))
    keys = []
    for key in ("AKIA1", "AKIA2"):
        text = f"[web]\naws_access_key_id = {key}\naws_secret_access_key = s\n"
        shared_file(tmp_path, "credentials", text)
        keys.append((await source.get()).access_key)

    assert keys == ["AKIA1", "AKIA2"]


async def test_a_profile_that_does_not_exist_is_named(tmp_path: Path) -> None:
    shared_file(tmp_path, "config", "[profile other]\nregion = eu-west-1\n")

    with pytest.raises(AwsCredentialsError, match="web") as caught:
        await read("web")
    assert "auth.profile" in str(caught.value.hint)


async def test_the_container_does_not_stand_in_for_a_missing_profile(
    container: Endpoint,
) -> None:
    with pytest.raises(AwsCredentialsError, match="web"):
        await read("web")
    assert container.requests == []


async def test_a_home_with_an_aws_configuration_still_reaches_the_container(
    container: Endpoint, tmp_path: Path
) -> None:
    """botocore's order in full, because a profile might name another source."""
    shared_file(tmp_path, "config", "[default]\nregion = eu-west-1\n")

    found = await read()

    assert (found.access_key, found.source) == ("ASIA1", "container-role")
    assert found.expires_at is not None


async def test_nothing_at_all_tells_the_task_role_from_the_execution_role() -> None:
    with pytest.raises(AwsCredentialsError, match="no AWS credentials were found") as caught:
        await read()
    assert caught.value.retryable
    assert "taskRoleArn" in str(caught.value.hint)
    assert "execution role" in str(caught.value.hint)


async def test_instance_metadata_is_asked_directly_even_with_a_proxy_set(
    endpoint: Endpoint, proxy: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def imds(request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "PUT", "/latest/api/token":
                return web.Response(text="imds-token")
            case "GET", "/latest/meta-data/iam/security-credentials/":
                return web.Response(text="instance-role")
            case "GET", "/latest/meta-data/iam/security-credentials/instance-role":
                assert request.headers["x-aws-ec2-metadata-token"] == "imds-token"
                return web.json_response({**endpoint.document(), "Code": "Success"})
        return web.Response(status=404)

    endpoint.handler = imds
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.url)
    use_proxy(monkeypatch, proxy.url)

    found = await read()

    assert (found.source, found.token) == ("iam-role", TOKEN)
    assert proxy.requests == []
    # The variable that hides proxies meanwhile is gone again.
    assert "no_proxy" not in os.environ


async def test_web_identity_asks_sts_with_the_token_now_in_the_file(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forms = []

    async def sts(request: web.Request) -> web.StreamResponse:
        forms.append(dict(await request.post()))
        found = endpoint.document()
        xml = f"""<AssumeRoleWithWebIdentityResponse
            xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
            <Credentials><AccessKeyId>{found["AccessKeyId"]}</AccessKeyId>
            <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
            <Expiration>{found["Expiration"]}</Expiration></Credentials>
            </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
        return web.Response(text=xml, content_type="text/xml")

    endpoint.handler = sts
    file = tmp_path / "jwt"
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE_ARN)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint.url)
    load = find_source(None, "eu-west-1")
    for token in ("jwt-one", "jwt-two"):
        file.write_text(token)
        found = await load()

    assert [form["WebIdentityToken"] for form in forms] == ["jwt-one", "jwt-two"]
    assert (found.access_key, found.token, found.role_arn) == ("ASIA2", "t", ROLE_ARN)
    assert found.expires_at is not None


async def test_a_refused_web_identity_names_the_code(
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        xml = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
            <Type>Sender</Type><Code>AccessDenied</Code><Message>canary</Message></Error>
            </ErrorResponse>"""
        return web.Response(status=403, text=xml, content_type="text/xml")

    endpoint.handler = refuse
    (tmp_path / "jwt").write_text("jwt-one")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE_ARN)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint.url)

    with pytest.raises(AwsCredentialsError, match=r"\(AccessDenied\)") as caught:
        await read()
    assert "canary" not in str(caught.value)
    assert "trust policy" in str(caught.value.hint)
    assert caplog.records == []


async def test_an_sts_that_hangs_is_given_up(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    endpoint.handler = hang
    (tmp_path / "jwt").write_text("jwt-one")
    monkeypatch.setattr("leasekeeper.aws.chain.TIMEOUT_S", 0.5)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE_ARN)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint.url)

    with pytest.raises(AwsCredentialsError, match="TimeoutError") as caught:
        await read()
    released.set()
    assert "did not answer in time" in str(caught.value.hint)


def test_a_container_login_loads_neither_a_session_nor_service_data() -> None:
    """What the memory of a task is paid for: 3 MiB instead of 8."""
    script = textwrap.dedent(
        """
        import sys
        import leasekeeper.aws.container, leasekeeper.aws.sts
        heavy = {"aiobotocore.session", "botocore.client", "botocore.loaders", "httpx"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout.replace("'", '"')) == []
