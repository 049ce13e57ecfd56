"""The effective settings as text: every value, redacted, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leasekeeper.settings.draft import Path, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leasekeeper.settings.loading import LoadedSettings

_WIDEST = 60


def show(loaded: LoadedSettings) -> str:
    """Return one line for each key, sorted: name, value and source.

    Secrets are hidden, templates are measured, and URLs lose their query.
    """
    rows = [
        (dotted(path), _shown(path, value), loaded.source(path))
        for path, value in sorted(_leaves(loaded.settings.model_dump(mode="json", by_alias=True)))
    ]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = min(_WIDEST, max(len(value) for _, value, _ in rows))
    lines = [
        f"{name:{name_width}}  {value:{value_width}}  {source}" for name, value, source in rows
    ]
    lines += [f"ignored: {name}, because a configuration was given" for name in loaded.ignored]
    return "".join(f"{line}\n" for line in lines)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, below in enumerate(value):
            yield from _leaves(below, (*path, index))
    else:
        yield path, value


def _shown(path: Path, value: Any) -> str:
    import json

    if value is None:
        return "-"
    if path[-1] in ("template", "ca_pem"):
        count = len(value.splitlines())
        return f"({count} lines)" if count > 1 else "(1 line)"
    if path[-1] in ("url", "sts_endpoint") and "?" in value:
        value = value.partition("?")[0] + "?..."
    return json.dumps(value, ensure_ascii=False)
