"""``leasekeeper schema``: the JSON Schema of the configuration."""

from __future__ import annotations

import argparse
import json
import sys

from leasekeeper.commands.configuration import command_parser
from leasekeeper.errors import EXIT_DONE

_DESCRIPTION = """\
Print the JSON Schema of a configuration file, with a description of every key. Editors complete and
check with it.
"""
_EXAMPLES = """\
  leasekeeper schema > leasekeeper.schema.json
  # the first line of leasekeeper.yaml, for editors with the YAML language server:
  # yaml-language-server: $schema=leasekeeper.schema.json
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    return command_parser("schema", _DESCRIPTION, _EXAMPLES)


def main(arguments: list[str]) -> int:
    """Print the schema."""
    parser().parse_args(arguments)
    from leasekeeper.settings.documentation import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n")
    return EXIT_DONE
