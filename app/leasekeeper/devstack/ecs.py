"""What ECS gives to a task: credentials of the task role, and task metadata version 4."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from leasekeeper.devstack.sts import ACCOUNT, AwsCredentials, Sts

FAMILY = "product-api"
CLUSTER = "learn"
CONTAINER = "leasekeeper"
# Where ECS serves them in a task's network. Who can reach it needs no authorization token.
LINK_LOCAL = "169.254.170.2"


class EcsEndpoint:
    """Serves one task.

    ``GET /v2/credentials/<id>`` answers with credentials of the task role and asks for the
    authorization token; ``GET /v4/<id>``, ``/v4/<id>/task`` and the two ``stats`` are the
    metadata. Credentials live *ttl_s* seconds and are replaced when half of that has passed,
    so what a task is given is always good for a while.

    For tests: `fail_next` answers that many credential requests with 500, `desired_status`
    becomes ``STOPPED`` when ECS stops the task, `requests` counts requests by path, and
    `rotate` replaces the credentials now.
    """

    def __init__(
        self, sts: Sts, *, role: str, ttl_s: float, directory: Path, task_id: str = ""
    ) -> None:
        self.role = role
        self.ttl_s = ttl_s
        self.task_id = task_id or secrets.token_hex(16)
        self.token = secrets.token_urlsafe(24)
        self.token_file = directory / "ecs-authorization-token"
        self.desired_status = "RUNNING"
        self.fail_next = 0
        self.requests: dict[str, int] = {}
        self._sts = sts
        self._credentials: AwsCredentials | None = None
        self._runner: web.AppRunner | None = None
        self._address = ""
        self._host = ""
        self._since = datetime.now(UTC)

    @property
    def credentials_uri(self) -> str:
        """The value of AWS_CONTAINER_CREDENTIALS_FULL_URI."""
        return f"{self._address}/v2/credentials/{self.task_id}"

    @property
    def metadata_uri(self) -> str:
        """The value of ECS_CONTAINER_METADATA_URI_V4."""
        return f"{self._address}/v4/{self.task_id}"

    @property
    def task_arn(self) -> str:
        """The task's ARN."""
        return f"arn:aws:ecs:{self._sts.region}:{ACCOUNT}:task/{CLUSTER}/{self.task_id}"

    def environment(self, *, token_file: bool = False) -> dict[str, str]:
        """Return the variables by which a task finds its credentials and its metadata."""
        if self._host == LINK_LOCAL:
            credentials = {
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"/v2/credentials/{self.task_id}"
            }
        elif token_file:
            credentials = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.credentials_uri,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token_file),
            }
        else:
            credentials = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.credentials_uri,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.token,
            }
        return {**credentials, "ECS_CONTAINER_METADATA_URI_V4": self.metadata_uri}

    async def start(self, port: int, *, host: str = "127.0.0.1") -> None:
        """Serve on *port* of *host*; 0 is any. At `LINK_LOCAL` no authorization token is asked."""
        self._host = host
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(self.token)
        app = web.Application(middlewares=[self._count])
        task = self.task_id
        app.router.add_get(f"/v2/credentials/{task}", self._serve_credentials)
        app.router.add_get(f"/v4/{task}", self._serve_container)
        app.router.add_get(f"/v4/{task}/task", self._serve_task)
        app.router.add_get(f"/v4/{task}/stats", self._serve_stats)
        app.router.add_get(f"/v4/{task}/task/stats", self._serve_task_stats)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self._address = f"http://{host}:{self._runner.addresses[0][1]}"

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests[request.path] = self.requests.get(request.path, 0) + 1
        return await handler(request)

    async def rotate(self) -> AwsCredentials:
        """Replace the task's credentials and return the new ones."""
        self._credentials = await self._sts.assume_role(
            self.role, session=self.task_id, ttl_s=self.ttl_s
        )
        return self._credentials

    async def credentials(self) -> AwsCredentials:
        """Return credentials of the task role that are good for at least half of their life."""
        current = self._credentials
        half = datetime.now(UTC) + timedelta(seconds=self.ttl_s / 2)
        if current is None or current.expires_at is None or current.expires_at < half:
            return await self.rotate()
        return current

    async def _serve_credentials(self, request: web.Request) -> web.Response:
        if self.fail_next > 0:
            self.fail_next -= 1
            return _error(500, "InternalServerError", "unable to assign credentials to the task")
        if self._host != LINK_LOCAL and request.headers.get("Authorization") != self.token:
            return _error(401, "InvalidAuthorizationToken", "the authorization token is wrong")
        given = await self.credentials()
        assert given.expires_at is not None
        return web.json_response(
            {
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{self.role}",
                "AccessKeyId": given.access_key_id,
                "SecretAccessKey": given.secret_access_key,
                "Token": given.session_token,
                "Expiration": given.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    async def _serve_container(self, _request: web.Request) -> web.Response:
        return web.json_response(self._container())

    async def _serve_task(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "Cluster": f"arn:aws:ecs:{self._sts.region}:{ACCOUNT}:cluster/{CLUSTER}",
                "TaskARN": self.task_arn,
                "Family": FAMILY,
                "Revision": "1",
                "ServiceName": FAMILY,
                "DesiredStatus": self.desired_status,
                "KnownStatus": "RUNNING",
                "LaunchType": "FARGATE",
                "AvailabilityZone": f"{self._sts.region}a",
                "Limits": {"CPU": 0.25, "Memory": 512},
                "PullStartedAt": _iso(self._since),
                "PullStoppedAt": _iso(self._since),
                "Containers": [self._container()],
            }
        )

    async def _serve_stats(self, _request: web.Request) -> web.Response:
        return web.json_response({"name": CONTAINER, "read": _iso(datetime.now(UTC))})

    async def _serve_task_stats(self, _request: web.Request) -> web.Response:
        return web.json_response({self.task_id: {"name": CONTAINER}})

    def _container(self) -> dict[str, object]:
        arn = f"arn:aws:ecs:{self._sts.region}:{ACCOUNT}:container/{CLUSTER}/{self.task_id}"
        return {
            "DockerId": f"{self.task_id}-1",
            "Name": CONTAINER,
            "DockerName": CONTAINER,
            "Image": "leasekeeper:latest",
            "Labels": {
                "com.amazonaws.ecs.cluster": CLUSTER,
                "com.amazonaws.ecs.container-name": CONTAINER,
                "com.amazonaws.ecs.task-arn": self.task_arn,
                "com.amazonaws.ecs.task-definition-family": FAMILY,
                "com.amazonaws.ecs.task-definition-version": "1",
            },
            "DesiredStatus": self.desired_status,
            "KnownStatus": "RUNNING",
            "Limits": {"CPU": 2},
            "CreatedAt": _iso(self._since),
            "StartedAt": _iso(self._since),
            "Type": "NORMAL",
            "ContainerARN": f"{arn}/1",
        }

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
