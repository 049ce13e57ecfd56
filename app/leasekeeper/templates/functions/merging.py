"""Deep merging of maps as the Go library mergo does it."""

from __future__ import annotations

from typing import Any

from leasekeeper.templates.golang.values import kind, truth


def merge_maps(target: dict[Any, Any], source: dict[Any, Any], *, override: bool) -> None:
    """Copy into *target* what *source* has: everything, or only what is missing or empty.

    Maps are merged member by member; whatever else is taken or left whole.
    """
    for key, value in source.items():
        present = target.get(key)
        if present and kind(value) == "map" and kind(present) == "map":
            merge_maps(present, value, override=override)
        elif override or (value is not None and not truth(present)):
            target[key] = value
