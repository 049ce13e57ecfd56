"""``leasekeeper rotate``: have a new credential made now."""

from __future__ import annotations

import argparse

from leasekeeper.commands.controlling import ask, control_parser

_DESCRIPTION = """\
Have the running Leasekeeper ask Vault for a new value of one secret with a lease, or of a
certificate, and publish it. The old one keeps its own end, so nobody is cut off. The new
value counts against secrets.mint_budget.
"""
_EXAMPLES = """\
  leasekeeper rotate database/creds/product -c leasekeeper.yaml
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = control_parser("rotate", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("secret", help="the secret, as /status names it")
    return parser


def main(arguments: list[str]) -> int:
    """Ask for it."""
    options = parser().parse_args(arguments)
    return ask(options, "rotate", options.secret)
