"""What single values have to look like.

Every check returns the value as it is used, or raises ValueError with a sentence that says what
is needed. The sentence never repeats the value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from leasekeeper.settings import task_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from urllib.parse import SplitResult

_HOST = re.compile(r"[\w.-]+(:[0-9]*)?|\[[0-9a-f:.]+(%[\w.-]+)?\](:[0-9]*)?", re.IGNORECASE)
# Addresses need not be listed.
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,20}\.?")
_LISTEN = re.compile(r"([A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_MOUNT = re.compile(r"[^\s/?#%\\]+(/[^\s/?#%\\]+)*")
# us-east-1, us-gov-west-1, us-iso-east-1, eusc-de-east-1, cn-northwest-1
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}\$?")
ENVIRONMENT = "exec.env"
"""What logs, health and metrics call the application's variables, which are one output together."""
# The last id is (uid_t)-1, which chown(2) reads as "leave it alone".
_MAX_ID = 2**32 - 2


def server_url(value: str) -> str:
    """Return the URL of a server: scheme, host and port, nothing behind them."""
    parts = _split_url(value, 'a scheme and a host, such as "https://vault.example.com:8200"')
    if parts.path.strip("/") or parts.query or parts.fragment:
        msg = "ends after the host and the port; it may not have a path, a query or a fragment"
        raise ValueError(msg)
    return f"{parts.scheme}://{parts.netloc}"


def plain_url(value: str) -> str:
    """Return the URL of something that is called without credentials."""
    _split_url(value, 'a scheme and a host, such as "http://127.0.0.1:9090/-/reload"')
    return value


def _split_url(value: str, needed: str) -> SplitResult:
    broken = ValueError(f"needs {needed}")
    if not text_is_plain(value) or " " in value:
        raise broken
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises when it is not a number below 65536
    except ValueError:
        raise broken from None  # the cause may quote the value
    if parts.username is not None:
        msg = "may not carry credentials"
        raise ValueError(msg)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        raise broken
    return parts


def text_is_plain(value: str) -> bool:
    """Tell whether *value* can stand in a header, a path or a log line."""
    return all(char.isprintable() for char in value)


def namespace(value: str) -> str:
    """Return the path of a Vault namespace without slashes around it."""
    if not text_is_plain(value) or " " in value:
        msg = 'needs the path of a namespace, such as "admin/team"'
        raise ValueError(msg)
    return value.strip("/")


def header_value(value: str) -> str:
    """Return text that can be sent as the value of an HTTP header."""
    if not (value.isascii() and value.isprintable()):
        msg = "may only contain printable ASCII, because it is sent as a header"
        raise ValueError(msg)
    return value


def mount_path(value: str) -> str:
    """Return the path of an auth mount; Vault Agent's spelling ``auth/aws`` is understood."""
    path = value.strip("/").removeprefix("auth/")
    if not _MOUNT.fullmatch(path) or not text_is_plain(path) or ".." in path.split("/"):
        msg = 'needs the path of an auth mount, such as "aws"'
        raise ValueError(msg)
    return path


def sts_region(value: str) -> str:
    """Return the name of a region as AWS spells it, or ``global``."""
    if value != "global" and not _REGION.fullmatch(value):
        msg = 'needs the name of a region, such as "us-east-1", or "global"'
        raise ValueError(msg)
    return value


def listen_address(value: str) -> str:
    """Return ``host:port``, or nothing when *value* switches the server off."""
    if value in ("", "off"):
        return ""
    match = _LISTEN.fullmatch(value)
    if match is None or int(match[2]) > 65535:
        msg = 'needs an address and a port, such as "127.0.0.1:8210", or "off"'
        raise ValueError(msg)
    return value


def socket_address(value: str) -> str:
    """Return ``host:port``, or ``unix:`` with an absolute path."""
    path = value.removeprefix("unix:")
    if path != value:
        if not path.startswith("/") or not text_is_plain(path):
            msg = 'needs an absolute path behind "unix:"'
            raise ValueError(msg)
        return value
    if not listen_address(value):
        msg = 'needs an address and a port, such as "127.0.0.1:8210"'
        raise ValueError(msg)
    return value


def host_name(value: str) -> str:
    """Return a host name as it stands in a Host header, without a port."""
    if not _HOST_NAME.fullmatch(value):
        msg = 'needs a host name without a port, such as "task.internal"'
        raise ValueError(msg)
    return value


def file_path(value: str) -> str:
    """Return the path of a file or directory that can be opened as it stands."""
    if not value or not text_is_plain(value):
        msg = "needs a path without control characters"
        raise ValueError(msg)
    return value


def destination(value: str) -> str:
    """Return the absolute path of a file, without doubled slashes and ``.`` in it.

    ``..`` stays: behind a symbolic link it does not mean what its spelling says.
    """
    if not value.startswith("/"):
        msg = "needs an absolute path"
        raise ValueError(msg)
    names = task_paths.checked(file_path(value)).split("/")
    if names[-1] in ("", ".", ".."):
        msg = "needs the path of a file, not of a directory"
        raise ValueError(msg)
    return "/" + "/".join(name for name in names if name not in ("", "."))


def directory(value: str) -> str:
    """Return the absolute path of a directory, without a slash at its end."""
    if not value.startswith("/") or value.strip("/.") == "":
        msg = "needs the absolute path of a directory"
        raise ValueError(msg)
    return file_path(value).rstrip("/")


def account(value: object) -> str | int:
    """Return a user or group as a name or a number; digits in quotes are a number too."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_ID:
        return value
    if isinstance(value, str) and _ACCOUNT.fullmatch(value):
        return value
    msg = 'needs a name or a number, such as "app" or 1000'
    raise ValueError(msg)


def variable_name(value: str) -> str:
    """Return the name of an environment variable."""
    if not value or "=" in value or " " in value or not text_is_plain(value):
        msg = 'needs the name of a variable, such as "DB_PASSWORD", without blanks and "="'
        raise ValueError(msg)
    return value


def output_name(value: str) -> str:
    """Return the name of an output, by which logs, health and metrics tell it from others."""
    if value == ENVIRONMENT:
        msg = "is taken: all variables of exec.env together are called that"
        raise ValueError(msg)
    return value


def command(value: list[str]) -> list[str]:
    """Return a program and its arguments."""
    if value and not value[0].strip():
        msg = "needs a program as its first item"
        raise ValueError(msg)
    if any("\0" in word for word in value):
        msg = "cannot hold NUL bytes"
        raise ValueError(msg)
    return value


def signal_name(value: str) -> str:
    """Return the name of a signal that can be sent to a program."""
    import signal

    if value not in signal.Signals.__members__:
        msg = 'needs the name of a signal, such as "SIGTERM"'
        raise ValueError(msg)
    return value


class Clash(NamedTuple):
    """An item of *section* cannot live with an earlier one, or one of outputs, because of *key*."""

    section: str
    position: int
    key: str
    text: str


class _Place(NamedTuple):
    section: str
    position: int
    key: str

    def __str__(self) -> str:
        return f"{self.section}[{self.position}]"


def unwrappable(
    method: object, *, templates: bool, sinks: Sequence[object], state: bool
) -> str | None:
    """Return why the answer to a login with *method* cannot be wrapped for a reader, or None.

    *sinks* are the `wrap_ttl` of each.
    """
    if method in ("cert", "ldap", "token_file"):
        return f"does not work with {method}"
    if templates:
        return "the token is for its reader alone, so there can be no outputs and no exec"
    if len(sinks) != 1 or sinks[0]:
        return "needs one sink, without a wrap_ttl of its own"
    return "does not work with state.path" if state else None


def clashes(
    outputs: Sequence[tuple[object, object]], sinks: Sequence[object] = ()
) -> Iterator[Clash]:
    """Yield every output or sink that would write to, or be called, the same as an earlier one.

    *outputs* are pairs of destination and name, *sinks* are paths; what is not text is skipped.
    """
    files: dict[str, _Place] = {}
    names: dict[str, _Place] = {}
    for index, (path, name) in enumerate(outputs):
        yield from _same_file(files, _Place("outputs", index, "destination"), path)
        if isinstance(name, str) and name:
            yield from _same(names, _Place("outputs", index, "name"), name)
    for index, path in enumerate(sinks):
        yield from _same_file(files, _Place("sinks", index, "path"), path)
    yield from _nested(files)


def _same_file(files: dict[str, _Place], place: _Place, path: object) -> Iterator[Clash]:
    if isinstance(path, str) and path.startswith("/"):
        # Compared by spelling: two names for one file are a mistake, links or not.
        yield from _same(files, place, "/" + posixpath.normpath(path).lstrip("/"))


def _same(known: dict[str, _Place], place: _Place, value: str) -> Iterator[Clash]:
    first = known.setdefault(value, place)
    if first is not place:
        yield Clash(*place, f"{first} has the same {first.key}")


def _nested(files: Mapping[str, _Place]) -> Iterator[Clash]:
    for path, place in files.items():
        parent = posixpath.dirname(path)
        while parent != "/":
            if (above := files.get(parent)) is not None:
                text = f"lies below the {above.key} of {above}, which is a file"
                yield Clash(*place, text)
            parent = posixpath.dirname(parent)
