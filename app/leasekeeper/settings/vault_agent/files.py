"""The files that `-config` names, one by one or by their directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leasekeeper.settings import texts
from leasekeeper.settings.draft import Origin
from leasekeeper.settings.vault_agent.hcl import read_hcl
from leasekeeper.settings.vault_agent.json_text import read_json
from leasekeeper.settings.vault_agent.tree import Block, Broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leasekeeper.settings.problems import Problems

# As for one file, and for a directory full of them.
_MOST_CHARACTERS = texts.MAX_BYTES
_MOST_FILES = 1000


def read_files(paths: Sequence[str], problems: Problems) -> list[tuple[str, Block | None]]:
    """Return name and content of each file behind *paths*, in the order in which they count.

    A file that cannot be read has no content; why is added to *problems*.
    """
    found: list[tuple[str, Block | None]] = []
    characters = 0
    for path in paths:
        for name in _files(path):
            text = texts.read_file(name, problems)
            characters += len(text or "")
            if len(found) == _MOST_FILES or characters > _MOST_CHARACTERS:
                problems.add(Origin(path), "there is more than any configuration has")
                return [*found, (path, None)]
            found.append((name, None if text is None else _parsed(text, name, problems)))
    return found


def _files(path: str) -> Iterator[str]:
    """Yield *path*, or the files in it that Vault Agent would take: by name, not below it."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):
        yield path  # no directory, or none that can be listed: reading it tells what is wrong
        return
    for name in names:
        if name.endswith((".hcl", ".json")) and not _is_temporary(name):
            yield os.path.join(path, name)


def _is_temporary(name: str) -> bool:
    """Tell whether an editor left *name* behind."""
    return name.endswith("~") or name.startswith(".#") or (name[0] == "#" and name[-1] == "#")


def _parsed(text: str, name: str, problems: Problems) -> Block | None:
    try:
        return read_json(text) if text.lstrip().startswith("{") else read_hcl(text)
    except Broken as error:
        problems.add(Origin(name, error.line), error.text, code="LK-CONF-005")
        return None
