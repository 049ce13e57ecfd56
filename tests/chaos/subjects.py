"""What is put to the test: Leasekeeper and `bao agent`, as processes, told the same to do."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from leasekeeper.devstack.openbao import find_bao
from leasekeeper.devstack.processes import Child, free_port
from tests.chaos.lane import Lane

PROBE_INTERVAL_S = 30.0
AGENT = """
vault {{ address = {address} }}
auto_auth {{
  method "approle" {{
    mount_path = "auth/approle"
    config = {{
      role_id_file_path = {role_id}
      secret_id_file_path = {secret_id}
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
template_config {{ static_secret_render_interval = {interval} }}
exit_after_auth = {once}
"""
AGENT_TEMPLATE = """
template {{
  destination = {path}
  contents = {text}
  error_on_missing_key = true
}}
"""


class Subject(StrEnum):
    """Who is put to the test."""

    LEASEKEEPER = "leasekeeper"
    BAO_AGENT = "bao-agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a program is to do. *files* maps destinations to templates; times are in seconds."""

    files: Mapping[Path, str]
    once: bool = False
    kv_interval_s: float = 300.0
    probe_interval_s: float | None = None
    """Leasekeeper's; None is its default."""
    state: bool = False
    """Whether to keep state across restarts, where the subject can."""


@dataclass(slots=True)
class Program:
    """A subject with its plan; it can be started again and again. Its log is in *directory*."""

    subject: Subject
    lane: Lane
    directory: Path
    plan: Plan
    port: int = field(default_factory=free_port)
    child: Child | None = None
    state_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    async def start(self) -> Child:
        """Start it; whether it does its work is for others to see."""
        argv, environment = (
            self._leasekeeper() if self.subject is Subject.LEASEKEEPER else await self._bao_agent()
        )
        self.child = self.lane.world.processes.start(
            self.subject, argv, env=environment, log=self.log
        )
        return self.child

    async def kill(self) -> None:
        """End it by SIGKILL."""
        assert self.child is not None
        self.child.signal(signal.SIGKILL)
        await self.child.stop()

    async def stop(self) -> None:
        """End it by SIGTERM."""
        if self.child is not None:
            await self.child.stop()

    @property
    def log(self) -> Path:
        """Everything it has written."""
        return self.directory / f"{self.subject}.log"

    def events(self, name: str) -> list[dict[str, object]]:
        """Return Leasekeeper's events of that name, of all its lives."""
        mark = f'"event": "{name}"'.encode()
        lines = self.log.read_bytes().splitlines()
        return [json.loads(line) for line in lines if mark in line]

    def _leasekeeper(self) -> tuple[list[str | Path], dict[str, str]]:
        world, plan = self.lane.world, self.plan
        probe_s = plan.probe_interval_s or PROBE_INTERVAL_S * self.lane.factor
        settings = {
            "auth": {"method": "aws_iam", "role": self.lane.name},
            "outputs": [
                {"destination": str(path), "template": text} for path, text in plan.files.items()
            ],
            "secrets": {"static_secret_render_interval": f"{plan.kv_interval_s:g}s"},
            "probe": {"interval": f"{probe_s:g}s"},
            "web": {"listen": f"127.0.0.1:{self.port}"},
            "lifecycle": {"exit_after_auth": plan.once},
        }
        environment = {
            **world.processes.environment(world.directory),
            **world.environment(),
            "VAULT_ADDR": self.lane.wire.address,
            "LEASEKEEPER_CONFIG": json.dumps(settings),
        }
        if plan.state:
            environment["LEASEKEEPER_STATE__PATH"] = str(self.directory / "state")
            environment["LEASEKEEPER_STATE__ENCRYPTION__KEY"] = self.state_key
        return [sys.executable, "-m", "leasekeeper", "run"], environment

    async def _bao_agent(self) -> tuple[list[str | Path], dict[str, str]]:
        plan = self.plan
        paths = self.directory / "role-id", self.directory / "secret-id"
        for path, value in zip(paths, await self.lane.approle(), strict=True):
            path.write_text(value)
        file = self.directory / "agent.hcl"
        file.write_text(
            AGENT.format(
                address=json.dumps(self.lane.wire.address),
                role_id=json.dumps(str(paths[0])),
                secret_id=json.dumps(str(paths[1])),
                interval=json.dumps(f"{plan.kv_interval_s:g}s"),
                once=json.dumps(plan.once),
            )
            + "".join(
                AGENT_TEMPLATE.format(path=json.dumps(str(path)), text=json.dumps(text))
                for path, text in plan.files.items()
            )
        )
        environment = self.lane.world.processes.environment(self.lane.world.directory)
        return [find_bao(), "agent", f"-config={file}"], environment


def start_application(lane: Lane, file: Path, log: Path) -> Child:
    """Start the application that logs in with what is in *file*."""
    environment = lane.world.processes.environment(lane.world.directory)
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    return lane.world.processes.start(
        "the application",
        [sys.executable, "-m", "tests.chaos.application", file, log],
        env={**environment, "PYTHONPATH": path},
        log=log.with_suffix(".err"),
    )
