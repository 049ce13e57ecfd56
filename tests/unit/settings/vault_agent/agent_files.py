"""Configurations of Vault Agent for tests: written to a file, and loaded from there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_vault_agent

LOGIN = 'auto_auth { method "aws" { config = { type = "iam", role = "web" } } }\n'
TEMPLATE = 'template { contents = "x", destination = "/config/a", error_on_missing_key = true }\n'
GOOD = LOGIN + TEMPLATE


def load(
    text: str | bytes,
    *,
    name: str = "agent.hcl",
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
    lenient: bool = False,
) -> LoadedSettings:
    """Return what *text* loads as; messages call it *name*."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            loaded = load_vault_agent([str(path)], environ or {}, overrides or {}, lenient=lenient)
        except ConfigError as error:
            raise ConfigError(*(_short(line, directory) for line in error.problems)) from None
        warnings = tuple(_short(line, directory) for line in loaded.warnings)
        return LoadedSettings(
            settings=loaded.settings,
            origins=loaded.origins,
            ignored=loaded.ignored,
            warnings=warnings,
        )


def problems(
    text: str | bytes,
    *,
    name: str = "agent.hcl",
    environ: Mapping[str, str] | None = None,
    lenient: bool = False,
) -> list[str]:
    """Return everything that is wrong with *text*."""
    with pytest.raises(ConfigError) as caught:
        load(text, name=name, environ=environ, lenient=lenient)
    return list(caught.value.problems)


def _short(line: str, directory: str) -> str:
    return line.replace(f"{directory}/", "")
