"""``leasekeeper check``: is this configuration right, and with ``--online`` does Vault agree?"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from leasekeeper.checking import check
from leasekeeper.commands.configuration import (
    Configured,
    add_configuration,
    command_parser,
    configured,
)
from leasekeeper.errors import (
    EXIT_CONFIG,
    EXIT_DESTINATION,
    EXIT_DONE,
    AgentError,
    ConfigError,
    Problem,
)

_DESCRIPTION = """\
Check configuration, templates and destinations; every problem is told at once, with file, line and
key. With --online also log in as a run would, and ask Vault whether the policies allow each path
that the templates use, whether the secrets are there and have the keys that are used, and whether
the clocks agree. Nothing is made in Vault: no dynamic secret is read, and the token is revoked.
"""
_EXAMPLES = """\
  leasekeeper check --config leasekeeper.yaml
  leasekeeper check --show                        the effective settings, and where each is from
  leasekeeper check --online --config leasekeeper.yaml
  leasekeeper check --online --vault-agent agent.hcl

exit codes: 0 good, 2 configuration, 3 login, 4 secret or policy, 5 destination, 6 Vault unreachable
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, and what came out. *exit_code* 0 is good, or a warning."""

    word: str
    about: str
    text: str
    exit_code: int = EXIT_DONE
    more: str = ""

    def __str__(self) -> str:
        below = "".join(f"\n      {line}" for line in self.more.splitlines())
        return f"{self.word:<5} {self.about:<13} {self.text}{below}\n"


def good(about: str, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding(word="ok", about=about, text=text)


def warn(about: str, text: str, more: str = "") -> Finding:
    """Return what works, but not as well as it could."""
    return Finding(word="WARN", about=about, text=text, more=more)


def bad(about: str, error: AgentError, more: str = "", where: str = "") -> Finding:
    """Return what keeps a run from working."""
    text = f"{where}{Problem(error.message, error.code).coded}"
    fix = f"{error.hint}\n" if error.hint else ""
    return Finding(word="FAIL", about=about, text=text, exit_code=error.exit_code, more=fix + more)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("check", _DESCRIPTION, _EXAMPLES)
    add_configuration(parser)
    parser.add_argument(
        "--show", action="store_true", help="print the effective settings and where each is from"
    )
    parser.add_argument("--online", action="store_true", help="log in and ask Vault as well")
    return parser


def main(arguments: list[str]) -> int:
    """Check, and say what was found."""
    options = parser().parse_args(arguments)
    chosen = configured(options)
    if options.online:
        return asyncio.run(_online(chosen))
    asyncio.run(check(chosen.settings, chosen.dialect))
    if options.show:
        from leasekeeper.settings import describe

        sys.stdout.write(describe.show(chosen.loaded))
    else:
        sys.stdout.write(f"The configuration is good: {_outputs(chosen)}.\n")
    return EXIT_DONE


def _outputs(chosen: Configured) -> str:
    count = len(chosen.settings.outputs)
    return "1 output" if count == 1 else f"{count} outputs"


async def _online(chosen: Configured) -> int:
    code = EXIT_DONE
    async for finding in findings(chosen):
        code = code or finding.exit_code
        sys.stdout.write(str(finding))
        sys.stdout.flush()
    return code


async def findings(chosen: Configured) -> AsyncIterator[Finding]:
    """Yield what is found, step by step; after a login that fails there is no next step."""
    try:
        await check(chosen.settings, chosen.dialect)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(
                word="FAIL", about="configuration", text=problem.coded, exit_code=_exit_of(problem)
            )
    else:
        yield good("configuration", f"{_outputs(chosen)}, every destination can be written")
    from leasekeeper.commands.session import draw_all, logged_in

    settings = chosen.settings
    try:
        async with logged_in(settings) as session:
            from leasekeeper.commands.online import clock, drawn_findings, login, policy_findings

            yield login(settings, session)
            yield clock(session.client.clock_offset_s)
            try:
                drawn = await draw_all(session, settings, chosen.dialect)
            except ConfigError:
                return  # told above
            for finding in await policy_findings(session, settings, drawn):
                yield finding
            for finding in drawn_findings(session, drawn):
                yield finding
    except AgentError as error:
        from leasekeeper.commands.online import about_certificates

        where = "vault" if error.code.startswith(("LK-VAULT", "LK-TLS")) else "login"
        yield bad(where, error, about_certificates(settings.vault, error))


def _exit_of(problem: Problem) -> int:
    return EXIT_DESTINATION if problem.code.startswith("LK-FILE") else EXIT_CONFIG
