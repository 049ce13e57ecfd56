"""``leasekeeper status``: what the running process holds, until when, and what comes next."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from leasekeeper.commands.configuration import command_parser
from leasekeeper.commands.running import (
    NotRunning,
    add_listen,
    seconds_until,
    span,
    status,
    times,
)
from leasekeeper.errors import EXIT_DONE

_DESCRIPTION = """\
Show what the Leasekeeper in this container holds, until when it is valid, what comes next, and what
is wrong. No secret is shown. Exit code: 0 healthy or degraded, 1 starting or unhealthy, 4 without
an answer.
"""
_EXAMPLES = """\
  leasekeeper status                     a table
  leasekeeper status --watch             again every 2 s, until Ctrl-C
  leasekeeper status --json | jq .secrets
  aws ecs execute-command ... --command "leasekeeper status"
"""
# However impatient somebody is, the process has other things to do.
_SHORTEST_S = 0.2
_COLOURS = {"healthy": 32, "degraded": 33, "starting": 33, "unhealthy": 31}
_WORDS = {"fetch": "new value", "renewal": "renewal", "probe": "probe", "login": "login"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("status", _DESCRIPTION, _EXAMPLES)
    add_listen(parser)
    parser.add_argument("--json", action="store_true", help="print the answer of /status as it is")
    parser.add_argument(
        "--watch", nargs="?", type=float, const=2.0, metavar="SECONDS",
        help="again and again, every 2 s unless told otherwise",
    )  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """Print the table."""
    options = parser().parse_args(arguments)
    if options.watch is None:
        told = status(options.listen)
        _say(_text(told, options))
        return EXIT_DONE if told.get("state") in ("healthy", "degraded") else 1
    try:
        while True:
            _say(("\x1b[H\x1b[2J" if sys.stdout.isatty() else "") + _watched(options))
            time.sleep(max(options.watch, _SHORTEST_S))
    except KeyboardInterrupt:
        return EXIT_DONE


def _watched(options: argparse.Namespace) -> str:
    try:
        return _text(status(options.listen), options)
    except NotRunning as error:  # it may come back
        return f"{error.coded}\n"


def _text(told: dict[str, Any], options: argparse.Namespace) -> str:
    return json.dumps(told, indent=1) + "\n" if options.json else table(told, _is_colourful())


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _is_colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def table(told: dict[str, Any], colourful: bool = False) -> str:
    """Return the answer of /status for people."""
    state = str(told["state"])
    shown = f"\x1b[{_COLOURS.get(state, 0)}m{state}\x1b[0m" if colourful else state
    budget = _endless(told["outage_budget_seconds"])
    lines = [f"{shown}   without Vault everything stays valid for {budget}"]
    lines += [f"  ! {reason}" for reason in told["reasons"]]
    lines += ["", *_sources(told)] if told["token"] else []  # a task that stands by has none
    heads = {
        "secrets": ("SECRET", "KIND", "GEN", "VALID FOR", "NEXT", "IN"),
        "outputs": ("OUTPUT", "STATE", "GEN", "VALID FOR", "NOTIFIED"),
        "sinks": ("SINK", "STATE"),
    }
    rows: dict[str, list[tuple[str, ...]]] = {
        "secrets": [_secret(secret, told) for secret in told["secrets"]],
        "outputs": [_output(output) for output in told["outputs"]],
        "sinks": [(s["path"], "written" if s["settled"] else "waiting") for s in told["sinks"]],
    }
    for name, head in heads.items():
        lines += ["", *columns(head, rows[name])] if rows[name] else []
    lines += _surroundings(told)
    return "\n".join(lines) + "\n"


def _sources(told: dict[str, Any]) -> list[str]:
    vault = told["vault"]
    reached = "reachable" if vault["reachable"] else "NOT reachable"
    return [
        f"vault   {vault['address']}  {reached}{_latency(vault)}",
        f"token   {_token(told['token'], told)}",
    ]


def _surroundings(told: dict[str, Any]) -> list[str]:
    lines = []
    if shared := told.get("shared"):
        leads = "this task leads" if shared["leading"] else f"{shared['leader']} leads"
        lines += ["", f"shared volume   {leads} (term {shared['term']})"]
    if app := told.get("application"):
        lines += ["", f"application   {app['state']}, started {times(app['starts'])}"]
    return lines


def columns(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table whose columns are as wide as they need to be."""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _endless(seconds: float | None) -> str:
    return "ever" if seconds is None else span(seconds)


def _latency(vault: dict[str, Any]) -> str:
    latency = vault.get("latency_seconds")
    return "" if latency is None else f", {latency * 1000:.0f} ms"


def _token(token: dict[str, Any], told: dict[str, Any]) -> str:
    if not token["live"]:
        return "none"
    action, at = token["next"]["action"], token["next"]["at"]
    comes = f", {_WORDS.get(action, action)} in {span(seconds_until(at, told))}" if at else ""
    return f"valid for {_endless(token['ttl_seconds'])}{comes}, login {token['logins']}"


def _secret(secret: dict[str, Any], told: dict[str, Any]) -> tuple[str, ...]:
    comes = secret["next"]
    return (
        secret["name"],
        secret["kind"] or "-",
        str(secret["generation"]),
        _endless(secret["valid_seconds"]) if secret["kind"] else "-",
        _WORDS.get(comes["action"], "-"),
        span(seconds_until(comes["at"], told)),
    )


def _output(output: dict[str, Any]) -> tuple[str, ...]:
    notify = output["notify"]
    return (
        output["name"],
        "EXPIRED" if output["expired"] else output["state"],
        str(output["generation"]),
        _endless(output["valid_seconds"]) if output["generation"] else "-",
        notify["result"] if notify else "-",
    )
