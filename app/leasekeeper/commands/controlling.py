"""Asking the running Leasekeeper on this machine to do something, with the token of its run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leasekeeper.commands.configuration import add_configuration, command_parser, configured
from leasekeeper.errors import EXIT_DONE, ConfigError, Problem
from leasekeeper.web.healthcheck import DEFAULT_LISTEN

if TYPE_CHECKING:
    from leasekeeper.settings.model import Settings

_TIMEOUT_S = 5.0
_LISTEN, _TOKEN_FILE = "LEASEKEEPER_WEB__LISTEN", "LEASEKEEPER_WEB__CONTROL_TOKEN_FILE"
_REFUSED = 1


def control_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """Return the parser of the command *name*, with what finds the process."""
    parser = command_parser(name, description, examples)
    add_configuration(parser)
    parser.add_argument(
        "--token-file", metavar="FILE", default=os.environ.get(_TOKEN_FILE),
        help=f"file with the token; default: {_TOKEN_FILE}, or what the configuration says",
    )  # fmt: skip
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", default=os.environ.get(_LISTEN),
        help=f"where Leasekeeper listens; default: {_LISTEN}, or what the configuration says",
    )  # fmt: skip
    return parser


def ask(options: argparse.Namespace, action: str, secret: str = "") -> int:
    """Ask for *action* and print the answer; the exit code is 1 if it is refused.

    :raises ConfigError: if nothing says whom to ask, or with which token.
    """
    listen, token_file = _process(options)
    try:
        token = Path(token_file).read_text(encoding="ascii")
        status, answer = _post(listen, action, token, {"secret": secret} if secret else {})
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"{token_file}: " if isinstance(error, OSError) and error.filename else ""
        return _refuse(action, f"{what}{reason}: is it running, and are you its user?")
    if status != 202:
        return _refuse(action, str(answer.get("error")))
    for name, done in sorted(answer.get("secrets", {}).items()):
        sys.stdout.write(f"{name}: {done}\n".encode("ascii", "backslashreplace").decode())
    if answer.get("vault_reachable") is False:
        sys.stdout.write("Vault cannot be reached: it is done when it can.\n")
    return EXIT_DONE


def _process(options: argparse.Namespace) -> tuple[str, str]:
    listen, token_file = options.listen, options.token_file
    if listen is None or token_file is None or options.config or options.vault_agent:
        settings = _settings(options)
        listen = listen or settings.web.listen or DEFAULT_LISTEN
        token_file = token_file or settings.control_token_file
    if token_file is None:
        msg = "there is no control API: set web.control_token_file, or state.path, and restart"
        raise ConfigError(msg)
    return listen, token_file


def _settings(options: argparse.Namespace) -> Settings:
    try:
        return configured(options).settings
    except ConfigError as error:
        if options.config or options.vault_agent:
            raise
        first = "nothing says where the process is: name its configuration with -c FILE, or give"
        msg = Problem(f"{first} --token-file and --listen", "LK-CONF-006")
        raise ConfigError(msg, *error.problems) from error


def _post(listen: str, action: str, token: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
    host, _, port = listen.rpartition(":")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host)  # noqa: S104 - compared, not bound
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=_TIMEOUT_S)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", f"/v1/{action}", json.dumps(body), headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        return answer.status, found if isinstance(found, dict) else {}
    finally:
        connection.close()


def _refuse(action: str, reason: str) -> int:
    sys.stderr.write(f"leasekeeper {action}: {reason}\n")
    return _REFUSED
