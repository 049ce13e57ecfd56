"""``leasekeeper diff``: what a run would change on disk."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Any

from leasekeeper.commands.configuration import (
    Configured,
    add_configuration,
    command_parser,
    configured,
)
from leasekeeper.commands.pretending import MADE_UP, MADE_UP_PEM
from leasekeeper.commands.session import Drawn, Session, draw_all, logged_in, render
from leasekeeper.errors import EXIT_DONE, EXIT_SECRET
from leasekeeper.vault.response import VaultResponse

_DESCRIPTION = """\
Log in, read what can be read without making anything, render, and compare with the files that are
there. Nothing is written, and the token is revoked in the end. Secret values are not shown: of new
lines the secrets in them are masked, old lines are hidden, because nobody knows which part of them
is secret. What has to be minted (a database password) is not asked for without --mint, and counts
as unchanged where the rest of the line is. Exit code: 0 nothing would change, 1 something would.
"""
_EXAMPLES = """\
  leasekeeper diff -c leasekeeper.yaml
  leasekeeper diff --show-secrets -c leasekeeper.yaml     on your own screen only
  leasekeeper diff --mint -c leasekeeper.yaml             mints credentials, and revokes them
"""
_EXIT_CHANGES = 1
_HIDDEN = "(hidden)"
_MASKED = "[secret]"
_BLOCK = re.compile(r"-----BEGIN (?P<name>[A-Z ]+)-----.*?-----END (?P=name)-----", re.DOTALL)
_MADE_UP_VALUE = re.compile(re.escape(MADE_UP) + r"[\w-]+")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("diff", _DESCRIPTION, _EXAMPLES)
    add_configuration(parser)
    parser.add_argument("--mint", action="store_true", help="ask for dynamic secrets as well")
    parser.add_argument("--show-secrets", action="store_true", help="print lines as they are")
    return parser


def main(arguments: list[str]) -> int:
    """Print what would change."""
    options = parser().parse_args(arguments)
    return asyncio.run(_diff(configured(options), options))


async def _diff(chosen: Configured, options: argparse.Namespace) -> int:
    async with logged_in(chosen.settings) as session:
        drawn = await draw_all(session, chosen.settings, chosen.dialect, mint=options.mint)
    code = EXIT_DONE
    for error in session.errors.values():
        sys.stderr.write(f"leasekeeper: {error.coded}\n")
        code = EXIT_SECRET
    modes = {output.destination: output.mode for output in chosen.settings.outputs}
    for one in drawn:
        if one.destination is None:
            continue
        if one.text is None:
            why = one.error.coded if one.error else "a secret is missing"
            sys.stdout.write(f"? {one.label}: cannot be rendered: {why}\n")
            code = code or (one.error.exit_code if one.error else EXIT_SECRET)
            continue
        lines = list(compared(session, one, modes[one.destination], options.show_secrets))
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        code = code or (EXIT_DONE if lines[0].startswith("=") else _EXIT_CHANGES)
    return code


def compared(session: Session, one: Drawn, mode: int | str, show_secrets: bool) -> Iterator[str]:
    """Yield what would become of one file; the first line begins with ``=``, ``~`` or ``+``."""
    assert one.text is not None
    assert one.destination is not None
    text = one.text
    try:
        found = os.stat(one.destination)
        with open(one.destination, encoding="utf-8", errors="surrogateescape", newline="") as file:
            content = file.read()
    except OSError as error:
        lines = text.count("\n") + 1
        yield f"+ {one.destination}: {lines} lines ({(error.strerror or '').lower()} at present)"
        return
    old = content.split("\n")
    new = [_kept(line, old) for line in _kept_blocks(text, content).split("\n")]
    changed_mode = isinstance(mode, int) and stat.S_IMODE(found.st_mode) != mode
    if new == old and not changed_mode:
        yield f"= {one.destination}: unchanged{_unasked(session, one)}"
        return
    yield f"~ {one.destination}{_unasked(session, one)}"
    if changed_mode:
        yield f"    mode {stat.S_IMODE(found.st_mode):04o} -> {mode:04o}"
    shown = new if show_secrets else _masked(session, one, len(new))
    yield from _lines(old, new, shown, show_secrets)


def _unasked(session: Session, one: Drawn) -> str:
    names = sorted(request.name for request in one.used & session.not_asked)
    return f" (not asked for: {', '.join(names)})" if names else ""


def _kept_blocks(text: str, content: str) -> str:
    """Return *text* with *content*'s certificates and keys where made-up ones stand in it."""
    blocks = _BLOCK.finditer(content)

    def kept(block: re.Match[str]) -> str:
        there = next(blocks, None)
        if there is None or MADE_UP_PEM not in block.group():
            return block.group()
        # A real key says of which kind it is: EC PRIVATE KEY.
        return there.group() if there["name"].endswith(block["name"]) else block.group()

    return _BLOCK.sub(kept, text)


def _kept(line: str, old: list[str]) -> str:
    """Return the old line that *line* could be, if only made-up values keep them apart."""
    if MADE_UP not in line:
        return line
    parts = (re.escape(part) for part in _MADE_UP_VALUE.split(line))
    pattern = re.compile(".+".join(parts))
    return next((each for each in old if pattern.fullmatch(each)), line)


def _masked(session: Session, one: Drawn, count: int) -> list[str]:
    """Return the lines with every value of a secret masked: made anew from answers without any."""
    answers = {request: _blank(response) for request, response in session.answers.items()}
    text, _ = render(one.source, answers, set())
    lines = [] if text is None else text.split("\n")
    return lines if len(lines) == count else [_HIDDEN] * count


def _blank(response: VaultResponse) -> VaultResponse:
    data: Any = _blanked(response.data)
    return VaultResponse(request_id=_MASKED, data=data)


def _blanked(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)((key, _blanked(member)) for key, member in value.items())
    if isinstance(value, list):
        return type(value)(map(_blanked, value))
    return value if value is None or isinstance(value, bool) else _MASKED


def _lines(old: list[str], new: list[str], shown: list[str], show_secrets: bool) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            continue
        for number in range(old_from, old_to):
            yield f"  - {number + 1:>4} {old[number] if show_secrets else _HIDDEN}"
        for number in range(new_from, new_to):
            yield f"  + {number + 1:>4} {shown[number]}"
