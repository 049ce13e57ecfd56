"""Measure a start: process start to first published file, memory, and what the imports cost.

    python benchmarks/startup.py [--runs 5]

Runs `leasekeeper run` against the local world (`leasekeeper.devstack`), with an AppRole login and
with an IAM login, one output with database credentials each. Prints medians. Memory is VmRSS two
seconds after the first output. What a library costs is measured in processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leasekeeper.devstack.processes import free_port
from leasekeeper.devstack.world import World

LIBRARIES = ("asyncio", "aiohttp.web", "pydantic", "structlog", "prometheus_client", "hvac")
_PROBE = """
import sys, time
began = time.perf_counter()
__import__(sys.argv[1])
took = time.perf_counter() - began
rss = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(took * 1000, int(rss.split()[1]) / 1024)
"""


async def measure(world: World, login: dict[str, str], folder: Path) -> tuple[float, float]:
    """Return the seconds to the first output and the resident memory in MiB."""
    output = folder / "conf.json"
    secret = f'{{{{ with secret "{world.creds_path}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
    environment = {
        **world.environment(),
        "PATH": os.environ["PATH"],
        "LEASEKEEPER_WEB__LISTEN": f"127.0.0.1:{free_port()}",
        "LEASEKEEPER_CONFIG": f"""
            auth: {{{", ".join(f"{key}: {value}" for key, value in login.items())}}}
            outputs:
              - destination: {output}
                template: '{secret}'
        """,
    }
    environment.pop("VAULT_ROLE")
    if login["method"] != "aws_iam":
        environment.pop("LEASEKEEPER_AUTH__STS_ENDPOINT")
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leasekeeper", "run", env=environment, stdout=subprocess.DEVNULL
    )
    while not output.exists():
        if process.returncode is not None or time.perf_counter() - began > 30:
            sys.exit("leasekeeper did not publish its output")
        await asyncio.sleep(0.002)
    took = time.perf_counter() - began
    await asyncio.sleep(2)
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    process.send_signal(signal.SIGTERM)
    await process.wait()
    output.unlink()
    return took, int(rss.split()[1]) / 1024


async def app_role(world: World) -> dict[str, str]:
    """Return the ids of the world's AppRole."""
    role = await world.admin.read("auth/approle/role/product/role-id")
    secret = await world.admin.write("auth/approle/role/product/secret-id")
    return {"role_id": role["role_id"], "secret_id": secret["data"]["secret_id"]}


async def main(runs: int) -> None:
    """Print the table."""
    async with World() as world:
        logins = {
            "approle": {"method": "approle", **await app_role(world)},
            "aws_iam": {"method": "aws_iam", "role": world.settings.role},
        }
        print(f"{'login':<10} {'first output':>14} {'memory':>12}   median of {runs}")
        for name, login in logins.items():
            with tempfile.TemporaryDirectory() as folder:
                found = [await measure(world, login, Path(folder)) for _ in range(runs)]
            seconds = statistics.median(took for took, _ in found)
            memory = statistics.median(rss for _, rss in found)
            print(f"{name:<10} {seconds:>12.2f} s {memory:>8.1f} MiB")
    print(f"\n{'import':<20} {'time':>9} {'memory of a process with nothing else':>40}")
    for library in LIBRARIES:
        probe = [sys.executable, "-c", _PROBE, library]
        subprocess.run(probe, check=True, capture_output=True)
        out = subprocess.run(probe, check=True, capture_output=True, text=True).stdout.split()
        print(f"{library:<20} {float(out[0]):>6.0f} ms {float(out[1]):>35.1f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    asyncio.run(main(parser.parse_args().runs))
