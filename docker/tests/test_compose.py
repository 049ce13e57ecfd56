"""The whole stack: the task of docker/task.yaml, seen from outside through two rotations."""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import TOP, docker, inspect, sh

pytestmark = pytest.mark.usefixtures("stack")
APPLICATION, HEALTH = "19090", "18210"
ROTATE_DEADLINE_S = 120


def compose(*words: str, check: bool = True) -> str:
    """Run Compose on the test's file."""
    text = (TOP / "docker" / "conf.json.tpl").read_text().replace("DATABASE_HOST", "127.0.0.1")
    return sh(
        "docker-compose", "-f", "docker/compose.test.yaml", *words, check=check,
        TEMPLATE=base64.b64encode(text.encode()).decode(),
        APPLICATION_PORT=APPLICATION, HEALTH_PORT=HEALTH,
    )  # fmt: skip


def get(port: str, path: str) -> tuple[int, str]:
    """Ask through a published port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    """Bring it up, wait for health, and take it down whatever happens."""
    compose("down", "--volumes", check=False)
    try:
        compose("up", "--detach", "--wait", "--wait-timeout", "120")
        yield
    finally:
        if os.environ.get("KEEP") is None:
            print(compose("logs", "--no-color", check=False)[-8000:])
            compose("down", "--volumes")


def container(service: str) -> dict[str, Any]:
    """Return what the engine knows of a service's container."""
    return inspect(compose("ps", "--all", "--quiet", service).strip())


def generation() -> int:
    """Return how many contents the output has had."""
    _, text = get(HEALTH, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith("leasekeeper_output_generation")]
    return int(float(lines[0].rpartition(" ")[2]))


def test_the_application_answers_through_two_rotations() -> None:
    first, deadline, asked = generation(), time.monotonic() + ROTATE_DEADLINE_S, 0
    while generation() < first + 2:
        status, body = get(APPLICATION, "/coffees")
        assert status == 200, body
        assert len(json.loads(body)) == 6
        asked += 1
        assert time.monotonic() < deadline, "no two rotations in time"
        time.sleep(0.2)
    assert asked > 20


def test_the_sidecar_is_healthy_read_only_without_root_and_inside_128_mib() -> None:
    found = container("leasekeeper")
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert found["Config"]["User"] == "10001:10001"
    assert found["HostConfig"]["Memory"] == 128 * 2**20
    assert not found["State"]["OOMKilled"]
    used = docker("stats", "--no-stream", "--format={{.MemUsage}}", found["Id"])
    assert used.partition("MiB")[0].replace(".", "").isdigit(), used
    assert float(used.partition("MiB")[0]) < 100, used
    status, body = get(HEALTH, "/health")
    assert (status, json.loads(body)["state"]) == (200, "healthy")


def test_it_stops_as_on_ecs_the_application_first_and_both_cleanly() -> None:
    # ECS stops containers in the reverse order of dependsOn, each by SIGTERM.
    compose("stop", "product-api")
    assert container("leasekeeper")["State"]["Status"] == "running"
    compose("stop", "leasekeeper")
    for service in ("product-api", "leasekeeper"):
        assert container(service)["State"]["ExitCode"] == 0, compose("logs", service)
    log = compose("logs", "--no-log-prefix", "leasekeeper")
    assert '"event": "agent.stopping", "signal": "SIGTERM"' in log
    assert '"event": "agent.stopped"' in log
