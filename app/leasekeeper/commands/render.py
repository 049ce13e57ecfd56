"""``leasekeeper render --fake``: what the outputs look like, with made-up values."""

from __future__ import annotations

import argparse
import os
import sys

from leasekeeper.commands.configuration import add_configuration, command_parser, configured
from leasekeeper.commands.pretending import Pretence, pretend_all
from leasekeeper.errors import EXIT_DONE, EXIT_SECRET, ConfigError, ValidationFailed
from leasekeeper.outputs.validate import check_format
from leasekeeper.settings.model import Settings

_DESCRIPTION = """\
Render every output with made-up values (made-up-password and the like), without Vault: to see what
a template makes, in a test of your pipeline for example. `validate` is checked. Local files and the
environment are the real ones. Nothing is written except below --output-dir.
"""
_EXAMPLES = """\
  leasekeeper render --fake -c leasekeeper.yaml
  leasekeeper render --fake --output-dir build/rendered -c leasekeeper.yaml
  leasekeeper render --fake --vault-agent agent.hcl
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("render", _DESCRIPTION, _EXAMPLES)
    add_configuration(parser)
    parser.add_argument(
        "--fake", action="store_true", required=True,
        help="with made-up values; for real ones there is `leasekeeper run --once`",
    )  # fmt: skip
    parser.add_argument(
        "--output-dir", metavar="DIRECTORY", help="write files below it, instead of printing them"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Render, and print or write."""
    options = parser().parse_args(arguments)
    chosen = configured(options)
    code = EXIT_DONE
    for one in pretend_all(chosen.settings, chosen.dialect):
        error = one.error or _invalid(one, chosen.settings)
        if error is not None:
            sys.stderr.write(f"leasekeeper: {one.label}: {error.coded}\n")
            code = code or EXIT_SECRET
        if one.text is not None:
            _deliver(one, options.output_dir)
    return code


def _invalid(one: Pretence, settings: Settings) -> ValidationFailed | None:
    output = next((o for o in settings.outputs if o.destination == one.destination), None)
    if output is None or output.validate_as is None or one.text is None:
        return None
    content = one.text.encode("utf-8", "surrogateescape")
    try:
        check_format(output.validate_as, content, destination=one.label)
    except ValidationFailed as error:
        return error
    return None


def _deliver(one: Pretence, directory: str | None) -> None:
    assert one.text is not None
    content = one.text.encode("utf-8", "surrogateescape")
    if directory is None:
        sys.stdout.flush()
        end = b"" if content.endswith(b"\n") else b"\n"
        head = f"--- {one.label}\n".encode("utf-8", "surrogateescape")
        sys.stdout.buffer.write(head + content + end)
        sys.stdout.buffer.flush()
        return
    path = os.path.join(directory, (one.destination or "environment.json").lstrip("/"))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    except OSError as error:
        msg = f"--output-dir: cannot write {path!r}: {error.strerror}"
        raise ConfigError(msg) from error
    sys.stdout.write(f"{path}\n")
