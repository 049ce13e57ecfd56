"""`python -m leasekeeper.devstack demo`: Leasekeeper at work, in a couple of minutes.

The world has short lives on purpose (a credential 10 s, at most 30 s; a token 20 s, at most 45 s),
so what takes weeks in production happens every few seconds. Leasekeeper runs as a process of its
own with nothing but the environment that the tutorial's task definition gives it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from leasekeeper.devstack.observers import Customer, DatabaseClient, HealthChecker, Rotations
from leasekeeper.devstack.outcome import Observers, Outcome
from leasekeeper.devstack.processes import Child, free_port, is_free, leftovers
from leasekeeper.devstack.product_api import ProductApi
from leasekeeper.devstack.product_setup import DATABASE, DatabaseRules, TokenRules
from leasekeeper.devstack.waiting import until
from leasekeeper.devstack.world import World, WorldSettings
from leasekeeper.runtime.clock import now

SHORT_LIVES = WorldSettings(
    database=DatabaseRules(ttl_s=10, max_ttl_s=30),
    tokens=TokenRules(ttl_s=20, max_ttl_s=45),
)
HEALTH_PORT = 8210
FIRST_FILE_DEADLINE_S = 60.0
# The tutorial's application/templates/conf.json, with its variables filled in.
TEMPLATE = """{{
  {{{{- with secret "{creds_path}" }}}}
  "db_connection": "host={host} port={port} user={{{{ .Data.username }}}} \
password={{{{ .Data.password }}}} dbname={database} sslmode=disable",
  {{{{- end }}}}
  "bind_address": ":{bind_port}",
  "metrics_address": ":9102"
}}
"""


class Demo:
    """One run; *stop* ends it early, *show* shows a line."""

    def __init__(self, seconds: float, stop: asyncio.Event, show: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._stop = stop
        self._show = show
        self.began = now()
        self._outcome = Outcome()

    async def run(self) -> int:
        """Run the demo and return the exit code: 0 after rotations without a failure, else 1."""
        self.say("starting OpenBao, PostgreSQL, STS and the ECS endpoints ...")
        world = World(SHORT_LIVES)
        async with world:
            self._introduce(world)
            await self._with_leasekeeper(world)
        self._outcome.left_behind = left_behind(world)
        self._outcome.seconds = now() - self.began
        for line in self._outcome.summary():
            self._show(line)
        return 0 if self._outcome.good else 1

    def say(self, text: str) -> None:
        """Show a line with the seconds since the start."""
        self._show(f"[{now() - self.began:6.1f} s] {text}")

    def _introduce(self, world: World) -> None:
        rules = world.settings
        self.say("the local world is up")
        for name, address in (
            ("Vault address", f"{world.address}  (OpenBao behind the IAM login gateway)"),
            ("PostgreSQL", f"127.0.0.1:{world.postgres.port}, database {DATABASE}"),
            ("STS", f"{world.sts.url}  (verifies signatures)"),
            ("ECS endpoints", world.ecs.metadata_uri),
        ):
            self._show(f"             {name:14} {address}")
        self.say(
            f"credentials live {rules.database.ttl_s} s, at most {rules.database.max_ttl_s} s; "
            f"tokens {rules.tokens.ttl_s} s, at most {rules.tokens.max_ttl_s} s"
        )

    async def _with_leasekeeper(self, world: World) -> None:
        destination = world.directory / "config" / "conf.json"
        destination.parent.mkdir()
        health = f"127.0.0.1:{_health_port()}"
        leasekeeper = _start_leasekeeper(world, destination, health)
        self.say(f"Leasekeeper is running, process {leasekeeper.pid}, log {leasekeeper.log}")
        try:
            if await self._first_file(destination, leasekeeper):
                self._show_file(destination, health)
                async with ProductApi(destination) as application:
                    self.say(f"product-api serves {application.address}/coffees with that")
                    observers = self._observers(destination, application.address, health)
                    await self._observe(world, observers, leasekeeper)
        finally:
            await self._end(leasekeeper)

    async def _first_file(self, path: Path, leasekeeper: Child) -> bool:
        deadline = now() + FIRST_FILE_DEADLINE_S

        rendered = path.exists

        def over() -> bool:
            ended = not leasekeeper.running or now() > deadline
            return rendered() or ended or self._stop.is_set()

        await until(over, period_s=0.02)
        if not rendered() and not self._stop.is_set():
            self._give_up("Leasekeeper rendered no file", leasekeeper)
        return rendered()

    def _show_file(self, path: Path, health: str) -> None:
        self.say(f"{path.name} is rendered:")
        for line in re.sub(r"(password=)[^\s\"]+", r"\1********", path.read_text()).splitlines():
            self._show(f"             {line}")
        self.say("have a look while it runs:")
        for address in (f"http://{health}/", f"http://{health}/health", f"http://{health}/metrics"):
            self._show(f"             {address}")

    def _observers(self, path: Path, application: str, health: str) -> Observers:
        return Observers(
            DatabaseClient(path, self.began),
            Customer(application, self.began),
            HealthChecker(f"http://{health}", self.began),
            Rotations(path, self.say),
        )

    async def _observe(self, world: World, observers: Observers, leasekeeper: Child) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(observers.client.run()),
                group.create_task(observers.customer.run()),
                group.create_task(observers.health.run()),
                group.create_task(observers.rotations.run()),
                group.create_task(self._tell_logins(world)),
                group.create_task(self._tell_first_answer(observers.customer)),
            ]
            await self._wait(leasekeeper)
            for task in tasks:
                task.cancel()
        self._outcome.take(observers)
        self.say("stopping")

    async def _wait(self, leasekeeper: Child) -> None:
        end = self.began + self._seconds
        while now() < end and not self._stop.is_set():
            if not leasekeeper.running:
                self._give_up(f"Leasekeeper ended with code {leasekeeper.exit_code}", leasekeeper)
                return
            await asyncio.sleep(0.1)

    async def _tell_logins(self, world: World) -> None:
        told = 0
        while True:
            logins = [seen for seen in world.gateway.seen if seen.path.endswith("/login")]
            done = [seen for seen in logins if seen.status]
            for seen in done[told:]:
                told += 1
                fate = "granted" if seen.status == 200 else f"refused with {seen.status}"
                self.say(f"token login {told} through IAM: {fate}")
            self._outcome.token_logins = sum(seen.status == 200 for seen in logins)
            self._outcome.refused_logins = sum(seen.status not in (0, 200) for seen in logins)
            self._outcome.vault_requests = len(world.gateway.seen)
            await asyncio.sleep(0.1)

    async def _tell_first_answer(self, customer: Customer) -> None:
        await until(lambda: customer.first_answer is not None, period_s=0.02)
        text = json.dumps(customer.first_answer)
        self.say(f"GET /coffees: {text[:150]}...")

    def _give_up(self, what: str, leasekeeper: Child) -> None:
        self._outcome.trouble = what
        self.say(f"{what}; its log ends:")
        for line in leasekeeper.last_lines(15):
            self._show(f"             {line}")

    async def _end(self, leasekeeper: Child) -> None:
        began = now()
        await leasekeeper.stop()
        self._outcome.stopped_in_s = now() - began
        self._outcome.exit_code = leasekeeper.exit_code


def left_behind(world: World) -> list[str]:
    """Return what is still there of a world that has ended."""
    processes = [f"process {pid}" for pid in leftovers(world.id)]
    return processes + [f"directory {world.directory}"] * world.directory.exists()


def _start_leasekeeper(world: World, destination: Path, health: str) -> Child:
    port = world.postgres.port
    template = TEMPLATE.format(
        creds_path=world.creds_path,
        host="127.0.0.1",
        port=port,
        database=DATABASE,
        bind_port=free_port(),
    )
    environment = {
        **world.processes.environment(world.directory),
        **world.environment(),
        "VAULT_AGENT_TEMPLATE": base64.b64encode(template.encode()).decode(),
        "TARGET_FILE_NAME": destination.name,
        "VAULT_AGENT_EXIT_AFTER_AUTH": "false",
        # The only differences to the task definition: what is not /config and not port 8210.
        "LEASEKEEPER_OUTPUT_DIR": str(destination.parent),
        "LEASEKEEPER_WEB__LISTEN": health,
    }
    return world.processes.start(
        "Leasekeeper",
        [sys.executable, "-m", "leasekeeper", "run"],
        env=environment,
        log=world.directory / "leasekeeper.log",
    )


def _health_port() -> int:
    return HEALTH_PORT if is_free(HEALTH_PORT) else free_port()
