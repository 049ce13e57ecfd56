"""``leasekeeper health``: the health check command of the ECS task definition.

It starts in a blink because it imports next to nothing: no asyncio, no aiohttp, no pydantic.
"""

from __future__ import annotations

import os
import socket
import sys

DEFAULT_LISTEN = "127.0.0.1:8210"
USAGE = """\
usage: leasekeeper health [--listen ADDRESS:PORT] [--ready] [--quiet]

Ask the Leasekeeper in this container how it is. Exit code 0: what is on disk can be relied on
(healthy, or degraded: for example Vault is away, but everything is still valid). Exit code 1:
starting, unhealthy, or no answer. For the health check of an ECS container:

  "healthCheck": {"command": ["CMD", "leasekeeper", "health"], "interval": 10, "timeout": 5,
                  "retries": 3, "startPeriod": 60}

  --listen ADDRESS:PORT  where Leasekeeper listens; default: LEASEKEEPER_WEB__LISTEN, else
                         {listen}. Set that variable rather than web.listen in a file,
                         because this command does not read the configuration.
  --ready                ask /health/ready instead of /health
  --quiet                print nothing
"""


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 0 healthy or degraded, 1 not, 2 wrong usage."""
    listen = os.environ.get("LEASEKEEPER_WEB__LISTEN") or DEFAULT_LISTEN
    path, quiet = "/health", False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            sys.stdout.write(USAGE.format(listen=DEFAULT_LISTEN))
            return 0
        if word == "--ready":
            path = "/health/ready"
        elif word == "--quiet":
            quiet = True
        elif word == "--listen" and rest:
            listen = rest.pop(0)
        elif word.startswith("--listen="):
            listen = word.partition("=")[2]
        else:
            sys.stderr.write(f"leasekeeper health: unknown argument {word!r}\n")
            return 2
    ok, said = ask(listen, path)
    if not quiet:
        sys.stdout.write(said + "\n")
    return 0 if ok else 1


def ask(listen: str, path: str, timeout_s: float = 3.0) -> tuple[bool, str]:
    """Ask the server at *listen*; return whether it said 200, and a line for people."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - it is compared, not bound
        host = "127.0.0.1"
    request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    try:
        with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
            connection.sendall(request)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"no answer from {listen}: {reason}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return status == [b"200"], _summary(body)


def _summary(body: bytes) -> str:
    import json  # noqa: PLC0415 - only after an answer

    try:
        told = json.loads(body)
        lines = [str(told.get("state", told.get("status")))]
        lines += [f"  {reason}" for reason in told.get("reasons", ())]
    except (ValueError, AttributeError):
        return "the answer is not Leasekeeper's"
    return "\n".join(lines)
