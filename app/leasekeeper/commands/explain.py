"""``leasekeeper explain``: what becomes of a secret or an output, or what a code means."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import Any

from leasekeeper.commands.configuration import command_parser
from leasekeeper.commands.running import add_listen, seconds_until, span, status, times
from leasekeeper.errors import EXIT_DONE, Problem

_DESCRIPTION = """\
Say in sentences why and when a secret will be renewed or replaced, what an output holds and what it
waits for, or what an error code means and how to mend it. Secrets and outputs are those of the
running process; a code needs none.
"""
_EXAMPLES = """\
  leasekeeper explain LK-AUTH-003
  leasekeeper explain database/creds/product
  leasekeeper explain /config/conf.json
  leasekeeper explain token
"""
_CODE = re.compile(r"(?i)(?:lk-)?([a-z]+)-(\d{1,3})")
_KINDS = {
    "leased": "has a lease, so it is made for us alone and ends",
    "static_role": "is a password that Vault itself changes at set times",
    "certificate": "is a certificate",
    "static": "has no end of its own; it is read again from time to time",
    "list": "is a list of names; it is read again from time to time",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("explain", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("what", metavar="SECRET|OUTPUT|CODE", help="or `token`")
    add_listen(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Print the sentences."""
    options = parser().parse_args(arguments)
    if match := _CODE.fullmatch(options.what):
        return _explain_code(f"LK-{match[1].upper()}-{match[2].zfill(3)}")
    text = explained(options.what, status(options.listen))
    if text is None:
        return 2
    sys.stdout.write(text)
    return EXIT_DONE


def _explain_code(name: str) -> int:
    from leasekeeper.codes import CODES

    if name not in CODES:
        close = ", ".join(difflib.get_close_matches(name, CODES, n=4, cutoff=0.7))
        hint = f"; do you mean {close}?" if close else "; docs/errors.md lists all codes"
        sys.stderr.write(f"leasekeeper: there is no code {name}{hint}\n")
        return 2
    sys.stdout.write(CODES[name].text)
    return EXIT_DONE


def explained(what: str, told: dict[str, Any]) -> str | None:
    """Return sentences about *what* of /status, or None, having said so, if it is not in there."""
    if what == "token" and told["token"] is not None:
        return _lines(_token(told["token"], told), told["token"]["error"])
    for output in told["outputs"]:
        if output["name"] == what:
            return _lines(_output(output, told), output["error"])
    for secret in told["secrets"]:
        if secret["name"] == what.strip("/"):
            return _lines(_secret(secret, told), secret["error"])
    names = ["token"] if told["token"] is not None else []
    names += [one["name"] for one in (*told["outputs"], *told["secrets"])]
    known = "".join(f"  {name}\n" for name in names)
    sys.stderr.write(f"leasekeeper: there is no secret or output {what!r}; there are:\n{known}")
    return None


def _lines(sentences: list[str], error: dict[str, Any] | None) -> str:
    if error is not None:
        fix = f" ({error['hint']})" if error["hint"] else ""
        problem = Problem(f"{error['message']}{fix}", error["code"] or "-")
        sentences = [*sentences, f"At present: {problem.coded}"]
        if error["code"]:
            sentences.append(f"`leasekeeper explain {error['code']}` says more.")
    return "\n".join(sentences) + "\n"


def _in(time: str | None, told: dict[str, Any]) -> str:
    return f"in {span(seconds_until(time, told))} ({time})"


def _secret(secret: dict[str, Any], told: dict[str, Any]) -> list[str]:
    name, kind = secret["name"], secret["kind"]
    if kind is None:
        return [f"{name} has not been read yet.", *_next(secret["next"], told)]
    said = [
        f"{name} {_KINDS.get(kind, kind)}.",
        (
            f"This is value number {secret['generation']}, from {secret['issued']}, renewed "
            f"{times(secret['renewals'])}."
        ),
    ]
    if secret["expires"]:
        said.append(f"It stops working {_in(secret['expires'], told)} unless it is renewed.")
    said += _rotation(secret, told)
    used = ", ".join(secret["outputs"]) or "no output at present"
    return [*said, f"It is used by {used}."]


def _rotation(secret: dict[str, Any], told: dict[str, Any]) -> list[str]:
    said = []
    if secret["renewal"]:
        said.append(
            f"It will be renewed {_in(secret['renewal'], told)}: that moves its end and changes "
            "nothing on disk. When Vault grants less than was asked for, its maximum is near, and "
            "a new value is made while the old one still works."
        )
    if secret["rotation"]:
        why = {
            "leased": "before it ends, so that both work for a while",
            "certificate": "at nine tenths of its life",
            "static_role": "when Vault changes it",
        }.get(secret["kind"], "to find changes")
        said.append(f"It will be asked for anew {_in(secret['rotation'], told)}, {why}.")
    if secret["lease_hash"]:
        said.append("A new token makes it anew as well, because a lease dies with its token.")
    if secret["probe"]:
        said.append(f"Whether Vault still knows it is looked up {_in(secret['probe'], told)}.")
    return said


def _next(comes: dict[str, Any], told: dict[str, Any]) -> list[str]:
    return [f"Next: {comes['action']} {_in(comes['at'], told)}."] if comes["at"] else []


def _output(output: dict[str, Any], told: dict[str, Any]) -> list[str]:
    name = output["name"]
    if output["waiting_for"]:
        return [f"{name} waits for {', '.join(output['waiting_for'])}."]
    if not output["generation"]:
        return [f"{name} has not been published yet."]
    said = [f"{name} holds content number {output['generation']}, {output['size_bytes']} bytes."]
    if output["published"]:
        said.append(f"It was published at {output['published']}.")
    if output["expired"]:
        said.append(f"Something in it has stopped working, at {output['expires']}.")
    elif output["expires"]:
        said.append(f"Everything in it works until {output['expires']}, without any renewal.")
    else:
        said.append("Nothing in it ends by itself.")
    by_name = {secret["name"]: secret for secret in told["secrets"]}
    for secret in output["secrets"]:
        comes = by_name[secret]["rotation"] if secret in by_name else None
        when = f"changes at the latest {_in(comes, told)}" if comes else "changes when Vault says"
        said.append(f"It is made from {secret}, which {when}.")
    if output["notify"]:
        said.append(f"Telling the application: {output['notify']['result']}.")
    return said


def _token(token: dict[str, Any], told: dict[str, Any]) -> list[str]:
    if not token["live"]:
        return ["There is no token."]
    said = [
        (
            f"The token is from {token['issued']} (login {token['logins']} of this process), "
            f"renewed {times(token['renewals'])}."
        ),
        f"It ends {_in(token['expires'], told)}." if token["expires"] else "It never ends.",
        *_next(token["next"], told),
    ]
    if token["handover"]:
        said.append(
            f"A new login comes {_in(token['handover'], told)}, ahead of its end: leases are made "
            "anew under the new token while the old one still lives."
        )
    return said
