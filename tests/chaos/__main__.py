"""The command line: `python -m tests.chaos`."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leasekeeper.devstack.errors import DevstackError
from leasekeeper.devstack.world import World
from tests.chaos.machine import describe
from tests.chaos.registry import Scenario, load
from tests.chaos.report import table
from tests.chaos.runner import Options, Result, Runner
from tests.chaos.subjects import Subject


def main() -> int:
    """Play what was asked for; 0 says that Leasekeeper reached every goal."""
    known = load()
    asked = _parser().parse_args()
    if asked.list:
        print(_listing(known))
        return 0
    if unknown := sorted(set(asked.only) - set(known)):
        print(f"no such scenario: {', '.join(unknown)}; --list shows all", file=sys.stderr)
        return 2
    scenarios = [known[name] for name in known if not asked.only or name in asked.only]
    subjects = [Subject(name) for name in asked.subject] or list(Subject)
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    options = Options(
        seed=seed,
        factor=asked.quick,
        minutes=asked.minutes,
        at_once=asked.at_once,
        keep=asked.logs,
    )
    print(f"seed {seed}", flush=True)
    if options.factor != 1:
        print(f"all times are multiplied by {options.factor:g}, whatever the words say", flush=True)
    try:
        results = asyncio.run(_play(scenarios, subjects, options))
    except DevstackError as error:
        print(f"the local world failed: {error}\n{error.hint or ''}", file=sys.stderr)
        return 70
    except KeyboardInterrupt:
        return 130
    if asked.json:
        _write(asked.json, results, options)
    print(table([result.as_json() for result in results], subjects))
    ours = [result for result in results if result.subject == Subject.LEASEKEEPER]
    return int(not all(result.finding.good for result in ours))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="list the scenarios")
    add("--only", action="append", default=[], metavar="NAME", help="this one (repeatable)")
    add("--subject", action="append", default=[], choices=[*Subject], help="only this program")
    add("--seed", type=int, help="of everything random; it is printed")
    add("--minutes", type=_positive, default=3.0, help="how long the random faults last")
    add("--quick", type=_positive, default=1.0, metavar="FACTOR", help="multiply all times")
    add("--at-once", type=int, default=8, help="scenarios beside each other")
    add("--json", type=Path, metavar="FILE", help="write the results")
    add("--logs", type=Path, metavar="DIRECTORY", help="keep the programs' logs")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("has to be above 0")
    return value


def _listing(known: dict[str, Scenario]) -> str:
    return "\n".join(f"{scenario.name:22} {scenario.event}" for scenario in known.values())


async def _play(
    scenarios: list[Scenario], subjects: list[Subject], options: Options
) -> list[Result]:
    say = _clock()
    async with World() as world:
        say("the local world is up")
        return await Runner(world, options, say).run(scenarios, subjects)


def _clock() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)


def _write(path: Path, results: list[Result], options: Options) -> None:
    told: dict[str, Any] = {
        "machine": describe(),
        "seed": options.seed,
        "factor": options.factor,
        "at_once": options.at_once,
        "results": [result.as_json() for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
