"""What a start would refuse, found without asking Vault."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from leasekeeper.errors import AgentError, ConfigError, Problem
from leasekeeper.files.preflight import (
    Look,
    Section,
    check_plain_file,
    examine,
    preflight,
    sweep_leftovers,
)
from leasekeeper.files.target import Target
from leasekeeper.settings.model import Settings
from leasekeeper.sources import Dialect, compile_environment, compile_sources
from leasekeeper.vault.client import VaultClient


async def check(settings: Settings, dialect: Dialect = "native") -> None:
    """Find everything that is wrong without asking Vault: templates, destinations, directories.

    :raises ConfigError: with every problem.
    """
    problems: list[str] = []
    parts: tuple[Callable[[], object], ...] = (
        lambda: compile_sources(settings, dialect),
        lambda: compile_environment(settings, dialect),
        lambda: check_program(settings, os.environ),
        lambda: VaultClient(settings.vault),
    )
    for look in parts:
        try:
            look()
        except ConfigError as error:
            problems += error.problems
    files, own = places(settings), directories(settings)
    paths = [
        *(Target.of(file).path for file in files),
        *(os.path.join(look.path, "x") for look in own),
    ]
    missing = await asyncio.to_thread(_missing_directories, paths)
    found = [*await preflight(files), *await examine([*own, *_plain_files(settings)])]
    await asyncio.to_thread(_remove_empty, missing)
    problems += [Problem(str(problem), problem.code) for problem in found]
    if problems:
        raise ConfigError(*problems)


async def check_destinations(settings: Settings) -> None:
    """Look at the destinations, which takes long when a volume hangs, and remove what an earlier
    run has left half-made there.

    :raises AgentError: with every problem; its class, and so the exit code, is the first's.
    """
    files = places(settings)
    problems = await preflight(files)
    if settings.shared.directory is not None:
        # Not first when it leads: a task that cannot take over must not be taken for one.
        problems += await examine(directories(settings))
    _raise(problems)
    await sweep_leftovers(files)


async def check_new_places(running: Settings, wanted: Settings) -> None:
    """Look at what *wanted* writes to and *running* does not, or not in the same way.

    :raises AgentError: as `check_destinations` does.
    """
    known = {Target.of(place).path: place for place in places(running)}
    _raise(
        await preflight(
            [place for place in places(wanted) if known.get(Target.of(place).path) != place]
        )
    )


def _raise(problems: list[AgentError]) -> None:
    """Raise one error that says everything; nothing if there is no problem."""
    if not problems:
        return
    first = problems[0]
    if len(problems) > 1:
        first.message = "\n".join(str(problem) for problem in problems)
        first.hint = None
    raise first


def places(settings: Settings) -> list[Section]:
    """Return everything that is written to: a group's link stands for its outputs."""
    groups = settings.groups
    plain = [
        output
        for output in settings.outputs
        if not any(group.holds(output.destination) for group in groups)
    ]
    return [*plain, *groups, *settings.sinks]


def directories(settings: Settings) -> list[Look]:
    """Return how to look at the directories of the state and of the shared leader."""
    looks = []
    if (path := settings.state.path) is not None:
        from leasekeeper.state.directory import StateDirectory

        looks.append(Look(path, StateDirectory(path).check))
    if (shared := settings.shared.directory) is not None:
        from leasekeeper.files.election import check_directory

        looks.append(Look(shared, partial(check_directory, shared)))
    return looks


def _plain_files(settings: Settings) -> list[Look]:
    looks = []
    if (path := settings.lifecycle.pid_file) is not None:
        looks.append(Look(path, partial(check_plain_file, path, "writing the process id to")))
    if settings.log.file is not None:
        from leasekeeper.telemetry.log_file import path_of

        path = str(path_of(settings.log.file))
        looks.append(Look(path, partial(check_plain_file, path, "writing the log to")))
    return looks


def check_program(settings: Settings, environ: Mapping[str, str]) -> None:
    """Look for the program of `exec`, if there is one.

    :raises ConfigError: if it is not there or cannot be executed.
    """
    if settings.exec is not None:
        from leasekeeper.supervise.supervisor import check_program as look_for

        look_for(settings.exec, environ)


def _missing_directories(paths: Iterable[str]) -> list[Path]:
    """Return the directories that the files would need to have made, the deepest first."""
    above = {parent for path in paths for parent in Path(path).parents}
    return sorted((path for path in above if not path.exists()), reverse=True)


def _remove_empty(directories: Iterable[Path]) -> None:
    """Leave no trace: a check that creates what it looks for changes what it finds next time."""
    for path in directories:
        with suppress(OSError):
            path.rmdir()
