"""The example for `make world` does in such a world what README.md says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.program import Leasekeeper
from tests.world import SharedWorld

pytestmark = pytest.mark.e2e

CONFIG = Path(__file__).parents[2] / "config" / "local-world.yaml"


async def test_the_example_for_the_local_world_publishes_its_files(
    world: SharedWorld, tmp_path: Path
) -> None:
    text = CONFIG.read_text(encoding="utf-8").replace("/tmp/leasekeeper", str(tmp_path))
    env = world.parts.environment()
    async with Leasekeeper("run", "--once", env=env, config=text) as program:
        assert await program.process.wait() == 0

    assert json.loads((tmp_path / "db.json").read_text())["user"].startswith("v-")
    assert "=" in (tmp_path / "app.env").read_text()
