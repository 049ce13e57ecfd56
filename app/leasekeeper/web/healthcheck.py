"""``leasekeeper health``: the health check command of the ECS task definition.

It starts in a blink because it imports next to nothing: no asyncio, no aiohttp, no pydantic.
"""

from __future__ import annotations

import os
import socket
import sys
from time import monotonic

TYPE_CHECKING = False  # the module `typing` costs more than all of this
if TYPE_CHECKING:
    from typing import Any

DEFAULT_LISTEN = "127.0.0.1:8210"
USAGE = """\
usage: leasekeeper health [--listen ADDRESS:PORT] [--ready] [--quiet]

Ask the Leasekeeper in this container how it is. Exit code 0: what is on disk can be relied on
(healthy, or degraded: for example Vault is away, but everything is still valid). Exit code 1:
starting, unhealthy, or no answer. For the health check of an ECS container:

  "healthCheck": {{"command": ["CMD", "leasekeeper", "health"], "interval": 10, "timeout": 5,
                  "retries": 3, "startPeriod": 60}}

  --listen ADDRESS:PORT  where Leasekeeper listens; default: LEASEKEEPER_WEB__LISTEN, else
                         {listen}. Set that variable rather than web.listen in a file,
                         because this command does not read the configuration.
  --ready                ask /health/ready instead of /health: 0 from the first complete publish on
  --quiet                print nothing
"""
# ECS waits 5 s by default; whoever needs longer to answer than this is not well.
TIMEOUT_S = 3.0
# A report on thousands of secrets has a megabyte; what is longer is something else.
_LARGEST_ANSWER = 16 * 1024 * 1024


class _Usage(Exception):
    pass


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 0 healthy or degraded, 1 not, 2 wrong usage."""
    if any(word in ("-h", "--help") for word in arguments):
        _say(USAGE.format(listen=DEFAULT_LISTEN))
        return 0
    try:
        listen, path, quiet = _parse(arguments)
        host, port = _address(listen)
    except _Usage as wrong:
        sys.stderr.write(f"leasekeeper health: {wrong}\n")
        return 2
    ok, said = ask(host, port, path)
    if not quiet:
        _say(f"{said}\n")
    return 0 if ok else 1


def _parse(arguments: list[str]) -> tuple[str, str, bool]:
    listen = os.environ.get("LEASEKEEPER_WEB__LISTEN") or DEFAULT_LISTEN
    path, quiet = "/health", False
    rest = list(arguments)
    while rest:
        word, given, value = rest.pop(0).partition("=")
        if word == "--listen" and (given or rest):
            listen = value if given else rest.pop(0)
        elif word == "--ready" and not given:
            path = "/health/ready"
        elif word == "--quiet" and not given:
            quiet = True
        else:
            what = "--listen needs ADDRESS:PORT" if word == "--listen" else f"what is {word!r}?"
            raise _Usage(f"{what} (--help shows the options)")
    return listen, path, quiet


def _address(listen: str) -> tuple[str, int]:
    if listen == "off":
        raise _Usage("LEASEKEEPER_WEB__LISTEN is off, so there is nobody to ask")
    host, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise _Usage(f"{listen!r} is no address and port, such as {DEFAULT_LISTEN}")
    host = host.strip("[]")
    # Whoever listens on every address is asked on the loopback.
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104 - compared, not bound


def ask(host: str, port: int, path: str, timeout_s: float = TIMEOUT_S) -> tuple[bool, str]:
    """Ask the server and return whether all is well, and lines for people.

    The whole exchange takes *timeout_s* seconds at the most.
    """
    ends_at = monotonic() + timeout_s
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"GET {path} HTTP/1.0\r\nHost: {where}\r\n\r\n".encode()
    answer = bytearray()
    # As bytes: for a str the codec for international names is imported, a third of the start.
    address: Any = (host.encode(), port)
    try:
        with socket.create_connection(address, timeout=timeout_s) as connection:
            connection.sendall(request)
            while len(answer) < _LARGEST_ANSWER:
                connection.settimeout(max(ends_at - monotonic(), 0.001))
                if not (chunk := connection.recv(65536)):
                    break
                answer += chunk
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"no answer from {where}: {reason}"
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return _judge(head.split(b" ", 2)[1:2] == [b"200"], body)


def _judge(ok: bool, body: bytes) -> tuple[bool, str]:
    import json  # only after an answer

    try:
        told = json.loads(body)
        state, reasons = str(told["state"]), [f"\n  {reason}" for reason in told.get("reasons", ())]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False, "the answer is not Leasekeeper's"
    return ok, state + "".join(reasons)


def _say(text: str) -> None:
    # Names of files need not be UTF-8, and a container need not have a locale.
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
