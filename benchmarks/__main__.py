"""Measure Leasekeeper and `bao agent` on the same work: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import leasekeeper
from benchmarks import page
from benchmarks.lab import Lab
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, Bench, Record
from leasekeeper.devstack.openbao import find_bao

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "performance" / "results.json"
# Far above what a full run takes: whatever hangs, the benchmark ends.
DEADLINE_S = 30 * 60


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run Leasekeeper and `bao agent` on the same work, alternating, print the "
        "medians and their ratio, and write them as JSON. A full run writes docs/performance.md "
        "and its plots anew; about 10 minutes.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs: 2 minutes")
    parser.add_argument(
        "--only",
        metavar="NAMES",
        default=",".join(SCENARIOS),
        help=f"comma-separated, of {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"default: {RESULTS.name}")
    return parser.parse_args()


def _machine() -> dict[str, str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    bao = subprocess.run([find_bao(), "version"], capture_output=True, text=True, check=True)
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": str(os.cpu_count()),
        "processor": model,
        "python": platform.python_version(),
        "leasekeeper": leasekeeper.__version__,
        "bao": bao.stdout.split()[1],
    }


async def _measure(names: list[str], *, quick: bool) -> list[Record]:
    records = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leasekeeper-bench-out-") as folder:
        async with asyncio.timeout(DEADLINE_S), Lab() as lab:
            bench = Bench(lab=lab, folder=Path(folder), quick=quick)
            for name in names:
                async for record in SCENARIOS[name](bench):
                    records.append(record)
                    values = ", ".join(f"{key} {value:.3f}" for key, value in record.values.items())
                    print(
                        f"[{time.monotonic() - began:4.0f} s] {name} {record.work:>6} "
                        f"{record.program:<12} {values}",
                        file=sys.stderr,
                        flush=True,
                    )
    return records


def main() -> None:
    """Measure, print, and write the results."""
    options = _arguments()
    names = options.only.split(",")
    if unknown := set(names) - set(SCENARIOS):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    # As in the image: no start pays for compiling.
    compileall.compile_dir(str(ROOT / "app"), quiet=1)
    file = options.json or (None if options.quick else RESULTS)
    known: dict[str, Any] = {}
    if file is not None and file.exists():
        known = json.loads(file.read_text())
    records = [record for record in known.get("records", []) if record["scenario"] not in names]
    records += [asdict(record) for record in asyncio.run(_measure(names, quick=options.quick))]
    results = Results(machine=_machine(), records=records)
    print(page.table(results))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(results.as_json())
    if file == RESULTS:
        page.write(results, ROOT / "docs")


if __name__ == "__main__":
    main()
