"""The image and the stack, on a real Docker engine: `make image-test`, `make compose-test`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
IMAGE = os.environ.get("LEASEKEEPER_IMAGE", "leasekeeper:dev")


def sh(*command: str, check: bool = True, **environment: str) -> str:
    """Return what *command* prints, both streams; fail with it unless told otherwise."""
    done = subprocess.run(
        command, cwd=TOP, env={**os.environ, **environment}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
    return done.stdout


def docker(*words: str, check: bool = True) -> str:
    """Run the docker client."""
    return sh("docker", *words, check=check)


def inspect(name: str) -> dict[str, Any]:
    """Return what the engine knows of an image or a container."""
    found: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return found


@pytest.fixture(scope="session")
def image() -> dict[str, Any]:
    """What the engine knows of the image under test."""
    return inspect(IMAGE)
