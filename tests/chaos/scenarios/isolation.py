"""One output fails; what it costs the others, and Vault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.registry import Finding, scenario
from tests.chaos.stage import Stage
from tests.chaos.subjects import Plan

SECRETS = 4
INTERVAL_S = 1.0
WATCHED_S = 40.0
GOAL = "no new credential; no request more than without the failure (about 240 a minute)"
# Four secrets, read after 0.9 to 1 s, the probes, and a minute's share of a renewal.
MOST_PER_MINUTE = SECRETS * 60 / (0.9 * INTERVAL_S) + 20


async def _failing_output(stage: Stage, spoil: Callable[[Path], Awaitable[None]]) -> Finding:
    folder = stage.directory / "others"
    files = {stage.conf: stage.lane.application_template()}
    for number in range(SECRETS):
        await stage.lane.write_kv(f"n{number}", key="first")
        text = f'{{{{ with secret "secret/data/{stage.lane.name}/n{number}" }}}}'
        files[folder / f"n{number}"] = text + "{{ .Data.data.key }}{{ end }}\n"
    folder.mkdir()
    await stage.start(Plan(files=files, kv_interval_s=INTERVAL_S))
    await stage.settled(3)
    mark, seen = stage.lane.audit.now(), len(stage.lane.gateway.seen)
    await spoil(folder)
    await stage.sleep(WATCHED_S)
    mints = stage.lane.mints(mark)
    requests = stage.lane.gateway.count(after=seen) * 60 / stage.s(WATCHED_S)
    refused = stage.application.count("refused")
    return Finding(
        said=f"{mints} new credential{'s' * (mints != 1)} in 40 s, "
        f"{requests:,.0f} requests a minute",
        good=mints == 0 and requests <= MOST_PER_MINUTE and refused == 0,
        figures={"mints": mints, "requests_a_minute": round(requests), "refused": refused},
    )


@scenario(
    "unwritable",
    event="a destination becomes unwritable, beside database credentials",
    goal=GOAL,
    lasts_s=55,
)
async def unwritable(stage: Stage) -> Finding:
    """A file stands where the directory of the destination was."""

    async def spoil(folder: Path) -> None:
        folder.rename(folder.with_name("moved"))
        folder.write_text("not a directory\n")
        await stage.lane.write_kv("n0", key="second")

    return await _failing_output(stage, spoil)


@scenario(
    "missing-key",
    event="a secret loses a key that a template needs, beside database credentials",
    goal=GOAL,
    lasts_s=55,
)
async def missing_key(stage: Stage) -> Finding:
    """Somebody writes a secret anew and forgets a key."""

    async def spoil(_folder: Path) -> None:
        await stage.lane.write_kv("n0", other="second")

    return await _failing_output(stage, spoil)
