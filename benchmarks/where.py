"""Where a start with many templates spends its time: the program under a profiler, by room."""

from __future__ import annotations

import os
import pstats
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.lab import Lab
from benchmarks.programs import Work, leasekeeper_config

Function = tuple[str, int, str]
_ROOMS = {
    "files": "outputs and files", "outputs": "outputs and files", "telemetry": "logging",
    "templates": "templates", "secrets": "secrets and tokens", "tokens": "secrets and tokens",
    "vault": "requests", "settings": "settings", "runtime": "scheduling",
}  # fmt: skip
_LIBRARIES = {
    "aiohttp": "requests", "yarl": "requests", "multidict": "requests", "json": "requests",
    "asyncio": "scheduling", "uvloop": "scheduling", "logging": "logging",
    "yaml": "settings", "pydantic": "settings", "importlib": "imports",
}  # fmt: skip
# Waiting is nobody's work, so it is the main thread's own CPU time that is counted.
_PROFILED = """
import cProfile, sys, time
from leasekeeper.__main__ import main
profile, found = cProfile.Profile(time.thread_time), sys.argv.pop(1)
profile.runcall(main)
profile.dump_stats(found)
"""


def shares(lab: Lab, templates: int, folder: Path) -> dict[str, float]:
    """Return which part of the main thread's CPU time each kind of work takes, in percent.

    The lab has to have as many secrets. What a built-in function takes is its callers'. The
    profiler makes calls dearer, so these are shares and no times.
    """
    folder.mkdir()
    config, found = folder / "config.yaml", folder / "profile"
    config.write_text(leasekeeper_config(lab, Work(templates=templates), folder))
    subprocess.run(
        [sys.executable, "-c", _PROFILED, found, "run", "--once", "--config", config],
        env={"PATH": os.environ["PATH"], "LEASEKEEPER_WEB__LISTEN": ""},
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stats: dict[Function, Any] = pstats.Stats(str(found)).stats  # type: ignore[attr-defined]
    taken: Counter[str] = Counter()
    for function, (_calls, _direct, own_s, _all_s, callers) in stats.items():
        if function[0] != "~" or not callers:
            taken[_kind(function)] += own_s
            continue
        for caller, (_, _, its_s, _) in callers.items():
            taken[_kind(caller)] += its_s
    total = sum(taken.values())
    return {kind: 100 * own_s / total for kind, own_s in taken.most_common()}


def _kind(function: Function) -> str:
    parts = Path(function[0]).parts
    if "importlib" in function[0] or function[2] == "<module>":
        return "imports"
    if "leasekeeper" in parts:
        behind = parts[len(parts) - parts[::-1].index("leasekeeper") :]
        return _ROOMS.get(behind[0], "the rest")
    return next((kind for name, kind in _LIBRARIES.items() if name in parts), "the rest")
