"""Running a program for ``plugin``. This blocks; call it in a worker thread."""

from __future__ import annotations

import subprocess

from leasekeeper.templates.functions.texts import trim_space
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import decode, encode

_TIMEOUT_S = 30  # Vault Agent's


def run_program(argv: tuple[str, ...]) -> str:
    """Return what a program prints, without white space at its ends.

    Its output stays out of errors, because programs print what they were given.

    :raises GoError: if it cannot be started, fails, or takes longer than 30 s.
    """
    name = quote(argv[0])
    try:
        done = subprocess.run(
            [encode(argument) for argument in argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"exec {name}: did not finish in {_TIMEOUT_S}s"
        raise GoError(msg) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        msg = f"exec {name}: {why.lower()}"
        raise GoError(msg) from None
    if done.returncode:
        msg = f"exec {name}: exit status {done.returncode}"
        raise GoError(msg)
    return trim_space(decode(done.stdout))
