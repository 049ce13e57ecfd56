"""Reading the task metadata endpoint (version 4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from leasekeeper.aws.ecs import TaskMetadata, read_task_metadata

TASK_ARN = "arn:aws:ecs:eu-west-1:123456789012:task/learn/158d1c8083dd49d6b527399fd6414f5c"
# As ECS on Fargate answers, shortened.
TASK: dict[str, Any] = {
    "Cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/learn",
    "TaskARN": TASK_ARN,
    "Family": "product-api",
    "Revision": "26",
    "DesiredStatus": "RUNNING",
    "KnownStatus": "NONE",
    "Limits": {"CPU": 0.25, "Memory": 512},
    "PullStartedAt": "2026-01-31T12:00:00.000000000Z",
    "AvailabilityZone": "eu-west-1a",
    "LaunchType": "FARGATE",
    "Containers": [{"DockerId": "731a0d6a3b4210e2448339bc7015aaa7", "Name": "leasekeeper"}],
}


class Metadata:
    """The endpoint: answers `GET /v4/<container>/task` with `answer`."""

    def __init__(self) -> None:
        self.answer: Any = TASK
        self.asked = 0
        self.released = asyncio.Event()
        self.url = ""

    async def task(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.answer is None:
            await self.released.wait()
        if isinstance(self.answer, int):
            return web.Response(status=self.answer)
        return web.json_response(self.answer)


@pytest.fixture
async def metadata(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Metadata]:
    served = Metadata()
    app = web.Application()
    app.router.add_get("/v4/{container}/task", served.task)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v4/731a0d6a3b42"
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", served.url)
    yield served
    served.released.set()
    await runner.cleanup()


async def test_the_task_is_read(metadata: Metadata) -> None:
    task = await read_task_metadata()

    assert task == TaskMetadata(
        task_arn=TASK_ARN,
        cluster="arn:aws:ecs:eu-west-1:123456789012:cluster/learn",
        family="product-api",
        revision="26",
        desired_status="RUNNING",
        known_status="NONE",
        availability_zone="eu-west-1a",
        launch_type="FARGATE",
    )
    assert task.task_id == "158d1c8083dd49d6b527399fd6414f5c"
    assert not task.stopping


async def test_a_task_that_is_to_stop_says_so(metadata: Metadata) -> None:
    metadata.answer = {**TASK, "DesiredStatus": "STOPPED"}

    task = await read_task_metadata()

    assert task is not None
    assert task.stopping


async def test_a_proxy_is_never_asked(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert await read_task_metadata() is not None


async def test_outside_ecs_nothing_is_asked(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4")

    assert await read_task_metadata() is None
    assert metadata.asked == 0


@pytest.mark.parametrize("answer", [500, 404, {}, {"TaskARN": 7}, ["no task"], "text"])
async def test_an_answer_without_a_task_is_none(metadata: Metadata, answer: Any) -> None:
    metadata.answer = answer

    assert await read_task_metadata() is None
    assert metadata.asked == 1


async def test_an_endpoint_that_hangs_is_given_up(metadata: Metadata) -> None:
    metadata.answer = None

    assert await read_task_metadata(timeout_s=0.05) is None


async def test_a_closed_port_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", "http://127.0.0.1:1/v4/x")

    assert await read_task_metadata() is None
