"""``leasekeeper refresh``: look now whether Vault has something newer."""

from __future__ import annotations

import argparse

from leasekeeper.commands.controlling import ask, control_parser

_DESCRIPTION = """\
Have the running Leasekeeper read secrets again, and look leases up, without waiting for the
interval. Nothing is made for that: no new credential, no new certificate.
"""
_EXAMPLES = """\
  leasekeeper refresh -c leasekeeper.yaml
  leasekeeper refresh secret/data/app
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = control_parser("refresh", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("secret", nargs="?", default="", help="one secret, as /status names it")
    return parser


def main(arguments: list[str]) -> int:
    """Ask for it."""
    options = parser().parse_args(arguments)
    return ask(options, "refresh", options.secret)
