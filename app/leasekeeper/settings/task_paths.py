"""Placeholders in paths that stand for the ECS task: ``/config/{task_id}/app.json``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from leasekeeper.settings.model import Settings

NAMES = (
    "task_id", "task_arn", "task_family", "task_revision", "cluster", "availability_zone",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def checked(path: str) -> str:
    """Return *path* if there is a value for each of its placeholders.

    :raises ValueError: otherwise.
    """
    if not set(_PLACEHOLDER.findall(path)) <= set(NAMES):
        known = ", ".join(f"{{{name}}}" for name in NAMES)
        msg = f"has a placeholder that does not exist; there are {known}"
        raise ValueError(msg)
    return path


def names_in(settings: Settings) -> set[str]:
    """Return the placeholders that any path has."""
    return {name for path in _paths(settings) for name in _PLACEHOLDER.findall(path)}


def fill(path: str, values: Mapping[str, str]) -> str:
    """Return *path* with *values* in the place of its placeholders, fit for names of files."""
    return _PLACEHOLDER.sub(lambda match: _UNFIT.sub("-", values[match[1]]), path)


def filled(settings: Settings, values: Mapping[str, str]) -> Settings:
    """Return *settings* with *values* in the place of the placeholders."""
    outputs = [
        each.model_copy(update={"destination": fill(each.destination, values)})
        for each in settings.outputs
    ]
    groups = [each.model_copy(update={"link": fill(each.link, values)}) for each in settings.groups]
    sinks = [each.model_copy(update={"path": fill(each.path, values)}) for each in settings.sinks]
    shared = settings.shared
    if shared.directory is not None:
        shared = shared.model_copy(update={"directory": fill(shared.directory, values)})
    sections = {"outputs": outputs, "groups": groups, "sinks": sinks, "shared": shared}
    return settings.model_copy(update=sections)


def folders(settings: Settings) -> dict[str, list[str]]:
    """Return each folder that has ``{task_id}`` in its name, with the paths below it.

    Both as they are written, with their placeholders.
    """
    found: dict[str, list[str]] = {}
    for path in _paths(settings):
        parts = path.split("/")
        for end, part in enumerate(parts[:-1], start=1):
            if "{task_id}" in part:
                found.setdefault("/".join(parts[:end]), []).append(path)
                break
    return found


def pattern(name: str, values: Mapping[str, str]) -> re.Pattern[str]:
    """Return what matches *name* for whatever task, the other placeholders being as in *values*."""
    pieces = re.split(r"(\{[a-z_]+\})", name)
    return re.compile(
        "".join(
            "[A-Za-z0-9._-]+" if piece == "{task_id}"
            else re.escape(_UNFIT.sub("-", values[piece[1:-1]])) if piece.startswith("{")
            else re.escape(piece)
            for piece in pieces
        )
    )  # fmt: skip


def _paths(settings: Settings) -> Iterator[str]:
    yield from (output.destination for output in settings.outputs)
    yield from (group.link for group in settings.groups)
    yield from (sink.path for sink in settings.sinks)
    if settings.shared.directory is not None:
        yield settings.shared.directory
