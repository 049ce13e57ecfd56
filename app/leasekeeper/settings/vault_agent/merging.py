"""Several files as one configuration, by Vault Agent's rules."""

from __future__ import annotations

from leasekeeper.settings.vault_agent.stanzas import Written


def merge(first: Written, second: Written) -> Written:
    """Return *first* with what a later file, *second*, says.

    Blocks of which there is one are replaced as a whole, the others are added. A single value
    replaces the earlier one only if it says something: ``exit_after_auth = false`` does not.
    """
    values = {key: given for key, given in second.values.items() if given.value}
    blocks = {name: list(found) for name, found in first.blocks.items()}
    for name, found in second.blocks.items():
        several = not found[0].schema.once
        blocks[name] = blocks.get(name, []) + found if several else found
    return Written(
        first.path,
        first.schema,
        first.origin,
        values={**first.values, **values},
        blocks=blocks,
    )
