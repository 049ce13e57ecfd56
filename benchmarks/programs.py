"""The two programs: their configuration for the same work, and what they cost while they run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lab import Lab
from leasekeeper.devstack.openbao import find_bao
from leasekeeper.devstack.processes import free_port

LEASEKEEPER, PEER = "leasekeeper", "bao agent"
PROGRAMS = (LEASEKEEPER, PEER)


@dataclass(frozen=True, kw_only=True)
class Work:
    """*templates* files; file N shows secret N, or all of them secret 0 when it is *one_secret*.

    *interval_s* is how often KV is read again; None leaves the program its default.
    """

    templates: int
    interval_s: float | None = None
    one_secret: bool = False

    def files(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Yield destination and template of every file."""
        for number in range(self.templates):
            secret = 0 if self.one_secret else number
            template = (
                f'{{{{ with secret "kv/data/s{secret}" }}}}user={{{{ .Data.data.user }}}}\n'
                "password={{ .Data.data.value }}\nport={{ .Data.data.port }}\n{{ end }}"
            )
            yield str(folder / f"out{number}"), template


def leasekeeper_config(lab: Lab, work: Work, folder: Path) -> str:
    """Return the native configuration; JSON is YAML."""
    interval = {"static_secret_render_interval": f"{work.interval_s}s"} if work.interval_s else {}
    settings = {
        "vault": {"address": lab.address},
        "auth": {
            "method": "approle",
            "role_id_file": str(lab.role_id),
            "secret_id_file": str(lab.secret_id),
        },
        "secrets": interval,
        "outputs": [
            {"destination": destination, "template": template}
            for destination, template in work.files(folder)
        ],
    }
    return json.dumps(settings, indent=1)


def peer_config(lab: Lab, work: Work, folder: Path) -> str:
    """Return the same in `bao agent`'s language."""
    interval = work.interval_s
    return "\n".join(
        [
            f'vault {{ address = "{lab.address}" }}',
            'auto_auth { method "approle" { config = {',
            f'  role_id_file_path = "{lab.role_id}"',
            f'  secret_id_file_path = "{lab.secret_id}"',
            "  remove_secret_id_file_after_reading = false } } }",
            f'template_config {{ static_secret_render_interval = "{interval}s" }}'
            if interval
            else "",
            *(
                f"template {{ destination = {json.dumps(destination)}\n"
                f"contents = {json.dumps(template)} }}"
                for destination, template in work.files(folder)
            ),
        ]
    )


class Running:
    """One process under measurement, and the files that it writes."""

    def __init__(self, argv: list[str], environ: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            argv,
            env={"PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def until(self, done: Callable[[], bool], *, within_s: float, every_s: float) -> float:
        """Return the seconds from the process's start until *done*.

        :raises RuntimeError: if the process ends before, or it takes too long.
        """
        while not done():
            if self._process.poll() is not None:
                raise RuntimeError(f"the program ended with code {self._process.returncode}")
            if self.age_s > within_s:
                raise RuntimeError(f"the program did not do its work within {within_s:.0f} s")
            await asyncio.sleep(every_s)
        return self.age_s

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self.began

    async def until_written(self, files: int, *, within_s: float = 120.0) -> float:
        """Return the seconds until so many files are there."""
        if files == 1:
            only = self.folder / "out0"
            return await self.until(only.exists, within_s=within_s, every_s=0.001)
        return await self.until(lambda: self._written() >= files, within_s=within_s, every_s=0.01)

    def _written(self) -> int:
        return sum(name.startswith("out") for name in os.listdir(self.folder))

    def cpu_s(self) -> float:
        """Return the CPU time that its threads have used, user and system."""
        total = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory_mib(self) -> float:
        """Return its resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running(program: str, lab: Lab, work: Work, folder: Path) -> Iterator[Running]:
    """Run *program* with *work*, its files in *folder*."""
    folder.mkdir()
    config = folder.with_suffix(".yaml" if program == LEASEKEEPER else ".hcl")
    make = leasekeeper_config if program == LEASEKEEPER else peer_config
    config.write_text(make(lab, work, folder))
    if program == LEASEKEEPER:
        argv = [sys.executable, "-m", "leasekeeper", "run", "--config", str(config)]
        environ = {"LEASEKEEPER_WEB__LISTEN": f"127.0.0.1:{free_port()}"}
    else:
        argv, environ = [str(find_bao()), "agent", f"-config={config}"], {}
    process = Running(argv, environ, folder)
    try:
        yield process
    finally:
        process.stop()
