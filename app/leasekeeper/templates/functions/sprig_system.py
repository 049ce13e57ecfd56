"""sprig's functions that depend on the environment, the network or chance."""

from __future__ import annotations

import base64
import re
import secrets
import string
import uuid
from typing import Any

from leasekeeper.templates.golang.functions import FunctionTable, GoError

functions = FunctionTable()

# $name, ${name}, and the one-character names of the shell. A brace that is never closed is dropped.
_VARIABLE = re.compile(r"\$(?:([*#$@!?0-9-]|[A-Za-z_]\w*)|\{([^}]*)\}|\{)", re.ASCII)


@functions.add("sprig_env", "string", run=True)
def env(run: Any, name: str) -> str:
    """Return an environment variable, or nothing."""
    return str(run.environ.get(name, ""))


@functions.add("sprig_expandenv", "string", run=True)
def expandenv(run: Any, text: str) -> str:
    """Return *text* with environment variables in place of ``$NAME`` and ``${NAME}``."""
    return _VARIABLE.sub(lambda match: run.environ.get(match[1] or match[2] or "", ""), text)


@functions.add("sprig_getHostByName", "string")
def get_host_by_name(_name: str) -> str:
    """Refuse: a look-up may take seconds, and a render must not wait.

    :raises GoError: always.
    """
    msg = "host names are not looked up while a template is rendered"
    raise GoError(msg)


@functions.add("sprig_uuidv4")
def uuidv4() -> str:
    """Return a random UUID."""
    return str(uuid.uuid4())


@functions.add("sprig_randBytes", "int")
def rand_bytes(count: int) -> str:
    """Return *count* random bytes in base64."""
    if count < 0:
        msg = "runtime error: makeslice: len out of range"
        raise GoError(msg)
    return base64.b64encode(secrets.token_bytes(_checked(count))).decode()


def _checked(count: int) -> int:
    if count > _MOST:
        msg = f"between 0 and {_MOST} random characters, not {count}"
        raise GoError(msg)
    return count


_MOST = 1 << 20


def _random(name: str, alphabet: str) -> None:
    @functions.add(name, "int")
    def pick(count: int) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(_checked(count)))


_random("sprig_randAlphaNum", string.ascii_letters + string.digits)
_random("sprig_randAlpha", string.ascii_letters)
_random("sprig_randNumeric", string.digits)
_random("sprig_randAscii", "".join(map(chr, range(32, 127))))
