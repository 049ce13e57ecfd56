"""Settings from environment variables.

``LEASEKEEPER_<SECTION>__<KEY>`` sets any key, Vault's own variables set the `vault` section.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leasekeeper.settings import keys
from leasekeeper.settings.draft import Draft, Origin, Path, Unfit, is_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leasekeeper.settings.keys import Key
    from leasekeeper.settings.problems import Problems

_INDEX = re.compile("[0-9]{1,6}")

PREFIX = "LEASEKEEPER_"
CONFIG = "LEASEKEEPER_CONFIG"
OUTPUT_DIR = "LEASEKEEPER_OUTPUT_DIR"
# The last is what we give to the operator's own programs, which may run us again.
_NOT_SETTINGS = (CONFIG, OUTPUT_DIR, "LEASEKEEPER_OUTPUT")

# The last part of VAULT_... and BAO_..., and the key of the vault section that it sets.
VAULT_VARIABLES = {
    "ADDR": "address",
    "NAMESPACE": "namespace",
    "CACERT": "ca_file",
    "CACERT_BYTES": "ca_pem",
    "CAPATH": "ca_path",
    "CLIENT_CERT": "client_cert_file",
    "CLIENT_KEY": "client_key_file",
    "TLS_SERVER_NAME": "tls_server_name",
    "SKIP_VERIFY": "tls_skip_verify",
    "CLIENT_TIMEOUT": "timeout",
    "RATE_LIMIT": "rate_limit",
}


class Variables:
    """The environment, where an empty value is no value and every value is text."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems
        self._refused: set[str] = set()

    def get(self, name: str) -> str | None:
        """Return the value of *name*; None when it is unset, empty, or (a problem) not UTF-8."""
        value = self._environ.get(name)
        if not value:
            return None
        if not is_text(value):
            if name not in self._refused:
                self._refused.add(name)
                self._problems.add(origin(name), "the value is not UTF-8")
            return None
        return value

    def first(self, *names: str) -> tuple[str, str] | None:
        """Return name and value of the first of *names* that is set."""
        for name in names:
            if (value := self.get(name)) is not None:
                return name, value
        return None

    def settings(self) -> list[tuple[str, str]]:
        """Return name and value of all that set a key of ours, wide keys before narrow ones."""
        names = [
            name
            for name in self._environ
            if name.startswith(PREFIX) and name not in _NOT_SETTINGS and self.get(name) is not None
        ]
        names.sort(key=lambda name: (name.count("__"), [str(p).zfill(6) for p in _path(name)]))
        return [(name, self._environ[name]) for name in names]


def origin(variable: str) -> Origin:
    """Return the origin of what *variable* sets."""
    return Origin(f"environment {variable}")


def variable_for(path: Path) -> str:
    """Return the name of the variable that sets *path*."""
    return PREFIX + "__".join(str(part).upper() for part in path)


def note_unknown(variables: Variables, problems: Problems) -> None:
    """Add every variable with our prefix that is not a setting."""
    for name, _ in variables.settings():
        if _key(name) is None:
            problems.add(origin(name), _unknown(_path(name)))


def apply(draft: Draft, variables: Variables, problems: Problems) -> None:
    """Write what the environment sets into *draft*; Vault's own variables give way to ours."""
    for last, key in VAULT_VARIABLES.items():
        found = variables.first(f"BAO_{last}", f"VAULT_{last}")
        if found is not None:
            name, value = found
            if last == "CLIENT_TIMEOUT" and value.isascii() and value.isdigit():
                value += "s"
            if last == "RATE_LIMIT" and ":" in value:
                value, _, burst = value.partition(":")
                draft.put(("vault", "rate_burst"), burst, origin(name))
            draft.put(("vault", key), value, origin(name))
    for name, value in variables.settings():
        _apply_one(draft, name, value, problems)


def _apply_one(draft: Draft, name: str, text: str, problems: Problems) -> None:
    path, key = _path(name), _key(name)
    if key is None:
        return  # `note_unknown` tells
    try:
        written = draft.put(path, text if key.is_value else _from_json(text), origin(name))
    except (ValueError, RecursionError):
        problems.add(origin(name), f"needs JSON, such as {_example(key)}", path)
    except Unfit as error:
        problems.add(origin(name), str(error), path)
    else:
        if not written and (gap := draft.gap(path)):
            problems.add(origin(name), gap, path)


def _from_json(text: str) -> object:
    import json

    return json.loads(text)


def _example(key: Key) -> str:
    if key.is_list:
        return '["one", "two"]' if key.item and key.item.is_value else '[{"key": "value"}]'
    return '{"key": "value"}'


def _path(name: str) -> Path:
    parts = name.removeprefix(PREFIX).lower().split("__")
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in parts)


def _key(name: str) -> Key | None:
    """Return the key that *name* sets; what is below a table of free names has no variable."""
    path = _path(name)
    return keys.find(path) if name == name.upper() and not _table_above(path) else None


def _table_above(path: Path) -> Path:
    for end in range(1, len(path)):
        key = keys.find(path[:end])
        if key is not None and key.item is not None and not key.is_list:
            return path[:end]
    return ()


def _unknown(path: Path) -> str:
    if table := _table_above(path):
        return f"is not a setting; set {variable_for(table)} to JSON instead"
    if better := keys.meant(path):
        match = variable_for((*path[:-1], better))
    else:
        names = [*_NOT_SETTINGS, *(variable_for(known) for known, _ in keys.walk(keys.root()))]
        known = tuple(name.removeprefix(PREFIX) for name in names)
        match = keys.alike(variable_for(path).removeprefix(PREFIX), known)
        match = match and PREFIX + match
    return f"is not a setting; did you mean {match}?" if match else "is not a setting"
