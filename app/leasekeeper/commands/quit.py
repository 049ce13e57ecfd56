"""``leasekeeper quit``: stop the running Leasekeeper, as SIGTERM does."""

from __future__ import annotations

import argparse

from leasekeeper.commands.controlling import ask, control_parser

_DESCRIPTION = """\
Stop the running Leasekeeper, as SIGTERM does.
"""
_EXAMPLES = """\
  leasekeeper quit -c leasekeeper.yaml
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    return control_parser("quit", _DESCRIPTION, _EXAMPLES)


def main(arguments: list[str]) -> int:
    """Ask for it."""
    options = parser().parse_args(arguments)
    return ask(options, "quit")
