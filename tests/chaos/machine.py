"""On what, with what and when something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from leasekeeper import __version__
from leasekeeper.devstack.openbao import find_bao
from leasekeeper.devstack.postgres import find_programs


def describe() -> dict[str, object]:
    """Return the machine, the versions and the date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "leasekeeper": __version__,
        "openbao": _version(find_bao(), "version"),
        "postgresql": _version(find_programs() / "postgres", "--version"),
    }


def _version(program: Path, argument: str) -> str:
    answer = subprocess.run([program, argument], capture_output=True, check=False, text=True)
    words = answer.stdout.replace(",", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "?")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
