"""Plain formats: one secret written out whole, without a template.

What is written are the secret's own keys: of a KV version 2 answer the inner ``data``. Keys are
sorted, numbers stand as Vault sent them, and the text ends with a line break.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.functions.documents import TextStruct
from leasekeeper.templates.functions.json_writer import to_json
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.vault.response import JsonNumber, VaultResponse

Format = Literal["json", "yaml", "dotenv", "properties"]
Data = Mapping[str, Any]


class FormatSource:
    """A `Source` that writes the secret at *path* as *format*."""

    def __init__(self, path: str, format: Format) -> None:  # noqa: A002 - the setting's name
        self._request = SecretRequest.read(path)
        self._write = _WRITERS[format]

    def render(self, context: RenderContext) -> Rendered:
        """Render once.

        :raises TemplateRenderError: if the secret has no data, or the format no words for a key
            or a value; the message names the key and holds no value.
        """
        used = frozenset({self._request})
        snapshot = context.secret(self._request)
        if snapshot is None:
            return Rendered(text=None, used=used, missing=used)
        try:
            text = self._write(secret_data(snapshot.response))
        except _Unfit as unfit:
            msg = f"secret {self._request.path}: {unfit.problem}"
            raise TemplateRenderError(msg, template=self._request.path, hint=unfit.hint) from None
        return Rendered(text=text, used=used, missing=frozenset())

    def static_requests(self) -> frozenset[SecretRequest]:
        """Return the one request."""
        return frozenset({self._request})


class _Unfit(Exception):
    """The secret cannot be written; *problem* says why without a value, *hint* what helps."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def secret_data(response: VaultResponse) -> Data:
    """Return the keys and values of a secret, whether it comes from KV version 2 or not.

    A KV version 2 answer is known by its shape: exactly ``data`` and ``metadata``, and a version
    in the latter. Text that is not Unicode gets replacement characters.
    """
    data: Any = response.data
    if data is not None and data.keys() == {"data", "metadata"}:
        metadata = data["metadata"]
        if isinstance(metadata, dict) and "version" in metadata:
            data = data["data"]
    if not isinstance(data, dict):
        raise _Unfit(
            "there is no data to write", "has its current version been deleted or destroyed?"
        )
    clean: Data = _unicode(data)
    return clean


_STRAY = re.compile("[\ud800-\udfff]")


def _unicode(value: Any) -> Any:
    if isinstance(value, dict):
        return {_unicode(key): _unicode(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_unicode(item) for item in value]
    return _STRAY.sub("\ufffd", value) if type(value) is str else value


# --- documents --------------------------------------------------------------------------------


def _write_json(data: Data) -> str:
    return to_json(dict(data), html=False, indent="  ") + "\n"


class _NumberAsSent(TextStruct):
    """A number that YAML writes digit by digit, where its type would be rounded to a float."""

    __slots__ = ("_text",)
    go_type = "json.Number"
    go_literal = True

    def __init__(self, text: str) -> None:
        self._text = text

    def marshal_text(self) -> str:
        """Return the digits."""
        return self._text


def _write_yaml(data: Data) -> str:
    from leasekeeper.templates.functions.yaml_writer import to_yaml

    return to_yaml(_with_numbers_as_sent(data), cautious=True)


def _with_numbers_as_sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_numbers_as_sent(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_numbers_as_sent(item) for item in value]
    return _NumberAsSent(value) if type(value) is JsonNumber else value


# --- lines of keys and values -------------------------------------------------------------------


def _text_of(value: Any) -> str:
    """Return *value* as one text: nothing for null, compact JSON for lists and maps."""
    if isinstance(value, str):
        return str(value)
    return "" if value is None else to_json(value, html=False)


_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile("[A-Za-z0-9_./:@%+,-]*")


def _write_dotenv(data: Data) -> str:
    lines = []
    for key in sorted(data):
        if not _NAME.fullmatch(key):
            raise _Unfit(
                f"the key {key!r} cannot be the name of an environment variable",
                "rename it in Vault, or write the file with a template that names the variable",
            )
        text = _text_of(data[key])
        if "\0" in text:
            raise _Unfit(
                f"the value of {key} has a NUL, which no environment variable can hold",
                "store it encoded, for example in base64",
            )
        lines.append(f"{key}={quote_dotenv(text)}\n")
    return "".join(lines)


def quote_dotenv(text: str) -> str:
    r"""Return *text* so that sh, Docker Compose and python-dotenv all read the same value.

    They differ in what a backslash means: sh takes none in single quotes, the others take ``\'``
    and python-dotenv ``\\`` there; in double quotes only sh and Compose take ``\$``. So:

    - single quotes, unless the value has one itself or backslashes that would be taken;
    - then double quotes with ``\\`` and ``\"``, on which all three agree.

    Only a value that needs double quotes and also has a ``$`` or a backquote cannot be written for
    all of them. It is written for sh. python-dotenv replaces ``${NAME}`` in whatever quotes unless
    it is told ``interpolate=False``, and reads ``\r`` as a line break.
    """
    if _PLAIN.fullmatch(text):
        return text
    if not re.search(r"'|\\\\|\\\Z", text):
        return f"'{text}'"
    return '"' + re.sub(r'[\\"$`]', r"\\\g<0>", text) + '"'


_PROPERTY_ESCAPES = {"\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\=:#!\x00-\x1f\x7f-\U0010ffff]")


def _write_properties(data: Data) -> str:
    lines = []
    for key in sorted(data):
        name = _escape_property(key).replace(" ", "\\ ")
        value = _escape_property(_text_of(data[key]))
        # Blanks count in a value, but for those right after the "=".
        escape = "\\" if value.startswith(" ") else ""
        lines.append(f"{name}={escape}{value}\n")
    return "".join(lines)


def _escape_property(text: str) -> str:
    """Escape as ``java.util.Properties.store`` does: pure ASCII, whatever the reader's charset."""
    return _SPECIAL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    char = match[0]
    if char in "\\=:#!":
        return f"\\{char}"
    if char in _PROPERTY_ESCAPES:
        return _PROPERTY_ESCAPES[char]
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


_WRITERS: Mapping[Format, Callable[[Data], str]] = {
    "json": _write_json,
    "yaml": _write_yaml,
    "dotenv": _write_dotenv,
    "properties": _write_properties,
}
