"""The options that name a configuration, in any of the three ways, and what they load."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leasekeeper.settings.loading import LoadedSettings
    from leasekeeper.settings.model import Settings
    from leasekeeper.sources import Dialect


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A loaded configuration, and the dialect of its templates."""

    loaded: LoadedSettings
    dialect: Dialect

    @property
    def settings(self) -> Settings:
        """The settings themselves."""
        return self.loaded.settings


def command_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of the command *name*; *examples* stand below its options."""
    return argparse.ArgumentParser(
        prog=f"leasekeeper {name}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a configuration; none of them means the environment."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-c", "--config", metavar="FILE", help="configuration in YAML")
    which.add_argument(
        "--vault-agent", action="append", metavar="PATH",
        help="file or directory of Vault Agent instead; can be given many times",
    )  # fmt: skip


def configured(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Configured:
    """Load what the options of `add_configuration` name.

    :raises ConfigError: with everything that is wrong.
    """
    from leasekeeper.settings.loading import load_settings, load_vault_agent

    if options.vault_agent:
        loaded = load_vault_agent(options.vault_agent, environ, {}, lenient=True)
        return Configured(loaded=loaded, dialect="vault_agent")
    loaded = load_settings(config_file=options.config, environ=environ, overrides={})
    return Configured(loaded=loaded, dialect="native")
