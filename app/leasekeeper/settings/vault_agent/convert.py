"""Settings as YAML that means the same, with a word on what is better than before.

What `LEASEKEEPER_*` and Vault's own variables have set is not written out: they will say it again
to the new configuration. A secret is never written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from leasekeeper.settings import environment
from leasekeeper.settings.draft import Path
from leasekeeper.settings.durations import PATTERN

if TYPE_CHECKING:
    from leasekeeper.settings.loading import LoadedSettings

_INDENT = "  "
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]{0,200}")
_DURATION = re.compile(PATTERN)
# Words that some reader of YAML takes for something else than text.
_NOT_PLAIN = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_WIDEST = 98

_ABOUT: Mapping[str, str] = {
    "auth": "The next login comes ahead of the token's end, so nothing on disk ever ends with it.",
    "auth.sts_region": "It has to agree with sts_endpoint and sts_region of Vault's auth mount.",
    "outputs": (
        "Each file stands for itself: an error keeps its last good version, and costs the others"
        " nothing. A new credential is there before the old one stops working."
    ),
    "outputs.error_on_missing_key": (
        "As in Vault Agent. Without this line a missing key is an error instead of `<no value>`."
    ),
    "outputs.mode": "It is restored when somebody changes it.",
    "outputs.notify": "A failure is tried again, and nothing else waits for it.",
    "sinks": "A token file that is deleted or changed is written again.",
    "secrets.static_secret_render_interval": "Secrets of KV v1 are read again as often, too.",
    "web.listen": "It serves /metrics, and /health for the container's health check.",
    "lifecycle.startup_deadline": (
        "0 waits for ever, as Vault Agent does. Without this line a start that gets nowhere ends"
        " after a minute, with a reason."
    ),
}
_MORE = """\
# Worth a look, see docs/configuration.md:
#   outputs:   validate: json             refuse to publish what does not parse
#              notify: {http: ...}        tell the application with a request or a signal
#   lifecycle: on_exit: revoke            leave no credentials behind
#   probe:     interval: 30s              notice credentials that somebody revoked
"""


def to_yaml(loaded: LoadedSettings) -> str:
    """Return the native configuration with the meaning of *loaded*.

    Loading it in the same environment gives equal settings.
    """
    lines = ["# The same configuration for Leasekeeper itself."]
    if loaded.warnings:
        lines += ["#", "# Worth knowing:"]
        for warning in loaded.warnings:
            plain = "".join(char if char.isprintable() else "?" for char in warning)
            lines += _comment(f"- {plain}", "", hanging="  ")
    lines += ["", *_Writer(loaded).sections(), *_MORE.splitlines()]
    return "\n".join(lines) + "\n"


class _Writer:
    def __init__(self, loaded: LoadedSettings) -> None:
        self._origins = loaded.origins
        self._settings = loaded.settings
        self._told: set[str] = set()

    def sections(self) -> Iterator[str]:
        """Yield the lines of all sections that say something."""
        values = self._settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        # The key that chooses what else there is has a default, but only in Python.
        values["auth"] = {"method": self._settings.auth.method, **values["auth"]}
        for name, value in values.items():
            lines = list(self._entry(name, value, (name,), ""))
            if len(lines) > 1:
                yield from lines
                yield ""

    def _entry(self, name: str, value: Any, path: Path, indent: str) -> Iterator[str]:
        variable = self._variable(path) or self._variable_of_secret(path)
        if isinstance(value, dict):
            yield from self._about(path, indent)
            yield f"{indent}{_key(name)}:"
            for key, inner in value.items():
                yield from self._entry(key, inner, (*path, key), indent + _INDENT)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from self._about(path, indent)
            yield f"{indent}{_key(name)}:"
            for index, item in enumerate(value):
                yield from self._item(item, (*path, index), indent + _INDENT)
        elif variable:
            yield f"{indent}# {name}: set by {variable} in the environment"
        else:
            yield from self._about(path, indent)
            yield from _leaf(name, value, indent)

    def _item(self, item: dict[str, Any], path: Path, indent: str) -> Iterator[str]:
        lines = [
            line
            for key, inner in item.items()
            for line in self._entry(key, inner, (*path, key), indent + _INDENT)
        ]
        first = lines[0].removeprefix(indent + _INDENT)
        if first.startswith("#"):
            yield f"{indent}-"
            yield from lines
        else:
            yield f"{indent}- {first}"
            yield from lines[1:]

    def _about(self, path: Path, indent: str) -> list[str]:
        """Return the comment on *path*, the first time only."""
        plain = ".".join(part for part in path if isinstance(part, str))
        if plain not in _ABOUT or plain in self._told:
            return []
        self._told.add(plain)
        return _comment(_ABOUT[plain], indent)

    def _variable(self, path: Path) -> str:
        """Return the variable that sets *path* here and would do so there, if there is one."""
        source = str(self._origins.get(path, ""))
        name = source.removeprefix("environment ")
        known = name.removeprefix("BAO_").removeprefix("VAULT_") in environment.VAULT_VARIABLES
        ours = name.startswith(environment.PREFIX)
        return name if name != source and (known or ours) else ""

    def _variable_of_secret(self, path: Path) -> str:
        """Return the variable to set *path* by, if its value may not be written out."""
        value = _value(self._settings, path)
        return environment.variable_for(path) if isinstance(value, SecretStr) else ""


def _value(settings: object, path: Path) -> object:
    """Return the value at *path* as it is in Python; None under a key that has another name."""
    value: Any = settings
    for part in path:
        if isinstance(value, list | dict):
            value = value[part]  # type: ignore[index]
        else:
            value = getattr(value, str(part)) if part in type(value).model_fields else None
    return value


def _comment(text: str, indent: str, hanging: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(
        text,
        _WIDEST,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# {hanging}",
        break_long_words=False,
    )


def _leaf(name: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, str) and _fits_block(value):
        yield from _block(name, value, indent)
    else:
        yield f"{indent}{_key(name)}: {_scalar(value)}"


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else _quoted(name)


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN
    return value if plain or (value != "0" and _DURATION.fullmatch(value)) else _quoted(value)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char == "\n":
        return "\\n"
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"


def _fits_block(text: str) -> bool:
    """Tell whether *text* can stand in lines of its own, as it is."""
    lines = text.split("\n")
    return (
        len(lines) > 1
        and bool(text.strip())
        and all(char.isprintable() or char == "\t" for line in lines for char in line)
    )


def _block(name: str, text: str, indent: str) -> Iterator[str]:
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    chomping = "" if ends == 1 else "-" if ends == 0 else "+"
    # Blanks at the start would be taken for indentation.
    explicit = str(len(_INDENT)) if text[0] in " \t\n" else ""
    yield f"{indent}{name}: |{explicit}{chomping}"
    for line in (*body.split("\n"), *[""] * (ends - 1)):
        yield f"{indent}{_INDENT}{line}" if line else ""
