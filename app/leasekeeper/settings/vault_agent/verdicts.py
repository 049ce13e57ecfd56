"""What a configuration asks for that has no effect here, or is not supported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings.vault_agent.kinds import Verdict

if TYPE_CHECKING:
    from leasekeeper.settings.vault_agent.stanzas import Notes, Written


def pronounce(written: Written, notes: Notes) -> None:
    """Note every block and key of *written* whose verdict is a warning or an error.

    A value that asks for nothing, such as ``backup = false``, is no reason to speak.
    """
    if _speak(written.schema.verdict, written.path, written.schema.about, written, "", notes):
        return
    for name, given in written.values.items():
        if given.value:
            key = written.schema.keys[name]
            path = f"{written.path}.{name}" if written.path else name
            _speak(key.verdict, path, key.about, written, name, notes)
    for found in written.blocks.values():
        for inner in found:
            pronounce(inner, notes)


def _speak(
    verdict: Verdict, path: str, about: str, written: Written, key: str, notes: Notes
) -> bool:
    origin = written.origin_of(key)
    if verdict is Verdict.ERROR:
        notes.problems.add(origin, f"{path}: {about}")
    elif verdict is Verdict.WARNING:
        notes.warn(origin, f"{path}: {about}")
    return verdict in (Verdict.ERROR, Verdict.WARNING)
