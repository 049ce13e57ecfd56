"""The works that are measured. Each scenario yields records: what was measured in one run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.programs import LEASEKEEPER, PROGRAMS, Running, Work, running
from benchmarks.template_speed import microseconds
from benchmarks.where import shares
from leasekeeper.devstack.processes import free_port
from leasekeeper.devstack.world import World


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one run of one program came to. *work* is the number of templates, or a name."""

    scenario: str
    work: str
    program: str
    values: dict[str, float]


@dataclass(kw_only=True)
class Bench:
    """What a scenario needs: the lab, a folder for every run, and how thorough to be."""

    lab: Lab
    folder: Path
    quick: bool
    _runs: int = field(default=0)

    def runs(self, full: int, quick: int = 1) -> int:
        """Return how often to repeat."""
        return quick if self.quick else full

    def interleaved(self, runs: int) -> Iterator[str]:
        """Yield the programs, alternating, and who goes first alternating as well."""
        for run in range(runs):
            yield from PROGRAMS if run % 2 == 0 else reversed(PROGRAMS)

    def start(self, program: str, work: Work) -> contextlib.AbstractContextManager[Running]:
        """Run *program* in a folder of its own."""
        self._runs += 1
        return running(program, self.lab, work, self.folder / f"run{self._runs}")


Scenario = Callable[[Bench], AsyncIterator[Record]]
# Memory is read when start-up has certainly come to rest.
_SETTLE_S = 1.5


async def sizes(bench: Bench) -> AsyncIterator[Record]:
    """Start with 1 to 5,000 templates, each with a secret of its own."""
    plan = {1: 7, 10: 3, 100: 3, 500: 3, 1000: 5, 2000: 3, 5000: 1}
    for count, runs in {1: 3, 100: 1, 1000: 1}.items() if bench.quick else plan.items():
        await bench.lab.have(count)
        work = Work(templates=count)
        for program in bench.interleaved(runs):
            with bench.start(program, work) as process:
                written_s = await process.until_written(count)
                cpu_s = process.cpu_s()
                await asyncio.sleep(_SETTLE_S)
                values = {
                    "written_s": written_s,
                    "cpu_s": cpu_s,
                    "memory_mib": process.memory_mib(),
                }
            yield Record(scenario="sizes", work=str(count), program=program, values=values)


async def iam(bench: Bench) -> AsyncIterator[Record]:
    """Start with an IAM login, which OpenBao answers through the local world."""
    async with World() as world:
        await _product_secret(world)
        for _ in range(bench.runs(5)):
            with _iam_process(world, bench) as process:
                written_s = await process.until_written(1)
                await asyncio.sleep(_SETTLE_S)
                values = {"written_s": written_s, "memory_mib": process.memory_mib()}
            yield Record(scenario="iam", work="1", program=LEASEKEEPER, values=values)


async def _product_secret(world: World) -> None:
    assert await world.admin.read(world.creds_path)


@contextlib.contextmanager
def _iam_process(world: World, bench: Bench) -> Iterator[Running]:
    folder = Path(os.path.join(bench.folder, f"iam{time.monotonic_ns()}"))
    folder.mkdir()
    secret = f'{{{{ with secret "{world.creds_path}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
    environ = {
        **world.environment(),
        "LEASEKEEPER_WEB__LISTEN": f"127.0.0.1:{free_port()}",
        "LEASEKEEPER_CONFIG": (
            f"auth: {{method: aws_iam, role: {world.settings.role}}}\n"
            f"outputs: [{{destination: {folder / 'out0'}, template: '{secret}'}}]\n"
        ),
    }
    environ.pop("VAULT_ROLE")
    process = Running([sys.executable, "-m", "leasekeeper", "run"], environ, folder)
    try:
        yield process
    finally:
        process.stop()


async def refresh(bench: Bench) -> AsyncIterator[Record]:
    """Read 1,000 secrets again every 5 s, for 12 s, without any change."""
    await bench.lab.have(1000)
    for program in bench.interleaved(bench.runs(3)):
        with bench.start(program, Work(templates=1000, interval_s=5)) as process:
            await process.until_written(1000)
            await asyncio.sleep(_SETTLE_S)
            before = process.cpu_s()
            await asyncio.sleep(12)
            values = {"cpu_s": process.cpu_s() - before, "memory_mib": process.memory_mib()}
        yield Record(scenario="refresh", work="1000", program=program, values=values)


async def idle(bench: Bench) -> AsyncIterator[Record]:
    """Keep 20 secrets for 60 s with nothing to do, all processes at the same time."""
    await bench.lab.have(20)
    seconds = 15 if bench.quick else 60
    with contextlib.ExitStack() as stack:
        processes = [
            (program, stack.enter_context(bench.start(program, Work(templates=20))))
            for program in bench.interleaved(bench.runs(3))
        ]
        for _, process in processes:
            await process.until_written(20)
        await asyncio.sleep(3)
        before = [process.cpu_s() for _, process in processes]
        await asyncio.sleep(seconds)
        for (program, process), start in zip(processes, before, strict=True):
            values = {"cpu_s": (process.cpu_s() - start) * 60 / seconds}
            yield Record(scenario="idle", work="20", program=program, values=values)


async def change(bench: Bench) -> AsyncIterator[Record]:
    """Change ten secrets at random moments, read every second by both programs side by side."""
    await bench.lab.have(10)
    rng = random.Random(1)
    with contextlib.ExitStack() as stack:
        work = Work(templates=10, interval_s=1)
        processes = {name: stack.enter_context(bench.start(name, work)) for name in PROGRAMS}
        for process in processes.values():
            await process.until_written(10)
        delays: dict[str, list[float]] = {program: [] for program in PROGRAMS}
        for turn in range(bench.runs(12, 3)):
            await asyncio.sleep(rng.uniform(0.2, 1.2))
            for program, found in (await _one_round(bench.lab, processes, turn, rng)).items():
                delays[program] += found
    for program, found in delays.items():
        values = {
            "p95_s": statistics.quantiles(found, n=20)[-1],
            "median_s": statistics.median(found),
            "changes": float(len(found)),
        }
        yield Record(scenario="change", work="10", program=program, values=values)


async def _one_round(
    lab: Lab, processes: dict[str, Running], turn: int, rng: random.Random
) -> dict[str, list[float]]:
    """Change every secret once and return the seconds until each program's file has it."""
    written: dict[int, float] = {}
    value = f"value of round {turn}".encode()

    async def write(number: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await lab.set(number, value.decode())
        written[number] = time.perf_counter()

    waiting = {(program, number) for program in processes for number in range(10)}
    delays: dict[str, list[float]] = {program: [] for program in processes}
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(write(number, rng.uniform(0, 1)))
        while waiting:
            await asyncio.sleep(0.002)
            for program, number in [each for each in waiting if each[1] in written]:
                if value in (processes[program].folder / f"out{number}").read_bytes():
                    delays[program].append(time.perf_counter() - written[number])
                    waiting.remove((program, number))
    return delays


async def fan_out(bench: Bench) -> AsyncIterator[Record]:
    """Change one secret 20 times; 200 files show it. It is read every second."""
    await bench.lab.have(1)
    for program in bench.interleaved(bench.runs(2)):
        with bench.start(program, Work(templates=200, interval_s=1, one_secret=True)) as process:
            await process.until_written(200)
            await asyncio.sleep(_SETTLE_S)
            before = process.cpu_s()
            took = [await _one_change(bench.lab, process, turn) for turn in range(20)]
            values = {
                "total_s": sum(last for _, last in took),
                "first_to_last_s": sum(last - first for first, last in took),
                "cpu_s": process.cpu_s() - before,
            }
        yield Record(scenario="fan_out", work="200", program=program, values=values)


async def _one_change(lab: Lab, process: Running, turn: int) -> tuple[float, float]:
    """Change the secret; return the seconds until the first and until the last file has it."""
    value = f"value of change {turn}, {time.monotonic_ns()}"
    await lab.set(0, value)
    began = time.perf_counter()
    files = [process.folder / f"out{number}" for number in range(200)]
    first = 0.0
    async with asyncio.timeout(60):
        while files:
            left = [file for file in files if value.encode() not in file.read_bytes()]
            if not first and len(left) < len(files):
                first = time.perf_counter() - began
            files = left
            await asyncio.sleep(0.002)
    return first, time.perf_counter() - began


_LIBRARIES = (
    "asyncio", "uvloop", "pydantic.main", "aiohttp", "aiohttp.web", "hvac",
    "prometheus_client", "leasekeeper.settings.loading", "leasekeeper.agent",
)  # fmt: skip
_PROBE = """
import gc, sys, time
gc.disable()
from leasekeeper.runtime.http import import_aiohttp
def memory():
    status = open("/proc/self/status").read()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
if sys.argv[1].startswith("aiohttp"):
    import asyncio
before, began = memory(), time.process_time()
import_aiohttp() if sys.argv[1] == "aiohttp" else __import__(sys.argv[1])
print(time.process_time() - began, memory() - before)
"""


async def imports(bench: Bench) -> AsyncIterator[Record]:
    """Import each library in a process of its own: where the start goes."""
    for _ in range(bench.runs(5)):
        for library in _LIBRARIES:
            command = [sys.executable, "-c", _PROBE, library]
            ran = await asyncio.to_thread(
                subprocess.run, command, check=True, capture_output=True, text=True
            )
            took, grown = map(float, ran.stdout.split())
            values = {"cpu_s": took, "memory_mib": grown}
            yield Record(scenario="imports", work=library, program=LEASEKEEPER, values=values)


async def template(bench: Bench) -> AsyncIterator[Record]:
    """Compile and render a template of ten lines, in this process."""
    for _ in range(bench.runs(3)):
        render_us, compile_us = await asyncio.to_thread(microseconds)
        values = {"render_us": render_us, "compile_us": compile_us}
        yield Record(scenario="template", work="1", program=LEASEKEEPER, values=values)


async def profile(bench: Bench) -> AsyncIterator[Record]:
    """Run a start with 1,000 templates under a profiler."""
    await bench.lab.have(1000)
    values = await asyncio.to_thread(shares, bench.lab, 1000, bench.folder / "profile")
    yield Record(scenario="profile", work="1000", program=LEASEKEEPER, values=values)


SCENARIOS: dict[str, Scenario] = {
    "sizes": sizes,
    "iam": iam,
    "refresh": refresh,
    "idle": idle,
    "change": change,
    "fan_out": fan_out,
    "imports": imports,
    "template": template,
    "profile": profile,
}
