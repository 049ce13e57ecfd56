"""From the paths behind `-config` to a draft of our settings."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from leasekeeper.settings.draft import Origin
from leasekeeper.settings.vault_agent import rules, schema
from leasekeeper.settings.vault_agent.files import read_files
from leasekeeper.settings.vault_agent.mapping import draft_of
from leasekeeper.settings.vault_agent.merging import merge
from leasekeeper.settings.vault_agent.stanzas import Written, read_stanzas
from leasekeeper.settings.vault_agent.verdicts import pronounce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leasekeeper.settings.draft import Draft
    from leasekeeper.settings.environment import Variables
    from leasekeeper.settings.vault_agent.stanzas import Notes


def read_vault_agent(paths: Sequence[str], variables: Variables, notes: Notes) -> Draft | None:
    """Return what the files behind *paths* mean, or None if there is nothing to go on with.

    What is wrong is added to *notes*.
    """
    if not paths:
        text = "a file or a directory is needed behind -config"
        notes.problems.add(Origin("command line"), text)
        return None
    files = read_files(paths, notes.problems)
    written = [read_stanzas(tree, name, notes) for name, tree in files if tree is not None]
    if len(written) < len(files):
        return None  # what is missing could be in the file that cannot be read
    whole = reduce(merge, written, Written("", schema.TOP, Origin(paths[0])))
    rules.check(whole, notes.problems)
    pronounce(whole, notes)
    return draft_of(whole, variables, notes)
