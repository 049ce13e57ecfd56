"""The published description of the HTTP server, and the server against it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leasekeeper.web.control import Control, TokenFile
from leasekeeper.web.openapi import openapi
from leasekeeper.web.server import WebServer
from tests.component.test_web_server import get
from tests.fakes.fake_vault import FakeVault
from tests.unit.web.test_health_report import Scene

ROOT = Path(__file__).parents[2]
IMPORTS = """
import sys
import leasekeeper.agent, leasekeeper.web.listeners, leasekeeper.web.exposition
rare = ("page", "status", "document", "schema", "openapi")
print([name for name in rare if f"leasekeeper.web.{name}" in sys.modules])
"""


def test_the_published_document_is_that_of_the_code() -> None:
    published = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))

    assert published == openapi(), "run `make docs`"


def test_health_and_metrics_cost_nothing_of_the_page() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True
    )

    assert ran.stdout.strip() == "[]"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WebServer]:
    scene = Scene(FakeVault())
    scene.outputs.settled.release()
    token = TokenFile(str(tmp_path / "token"))
    control = Control(token, reporter=lambda: scene.report, on_quit=lambda: None)
    server = WebServer("127.0.0.1:0", scene.report, control=control)
    await server.start()
    yield server
    await server.close()


async def test_every_address_is_described_and_every_description_is_of_one(
    server: WebServer,
) -> None:
    assert server._runner is not None
    paths = {
        resource.canonical
        for resource in server._runner.app.router.resources()
        if resource.canonical != "/events"  # never ends
    }

    assert set(openapi()["paths"]) == paths


async def test_the_server_serves_both_documents(server: WebServer) -> None:
    _, _, described = await get(f"{server.url}/openapi.json")
    _, headers, schema = await get(f"{server.url}/status.schema.json")

    assert json.loads(described) == json.loads(json.dumps(openapi()))
    assert headers["Content-Type"].startswith("application/schema+json")
    assert json.loads(schema)["properties"]["version"] == {
        "const": 1,
        "description": json.loads(schema)["properties"]["version"]["description"],
        "type": "integer",
    }


async def test_no_request_brings_an_answer_that_is_not_described(
    server: WebServer, tmp_path: Path
) -> None:
    """Schemathesis asks in every way it knows; as a process, for it brings its own plugins."""
    pytest.importorskip("schemathesis", reason="needs schemathesis (the extra `test` has it)")
    code, said = await _fuzz(server, tmp_path)

    assert code == 0, said
    assert f"Tested: {len(openapi()['paths'])}" in said


async def _fuzz(server: WebServer, folder: Path) -> tuple[int, str]:
    file = folder / "openapi.json"
    file.write_text(json.dumps(openapi()), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", str(file)),
        *("--url", server.url, "--max-examples", "15", "--seed", "1", "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()
