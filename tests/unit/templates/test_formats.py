"""Plain formats are read back by their real readers, value by value."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.formats import Format, FormatSource, quote_dotenv
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.vault.response import JsonNumber, VaultResponse

PATH = "secret/data/app"
AWKWARD = {
    "DOLLAR": "$HOME ${USER} $$ `id`",
    "QUOTES": 'say "hi"',
    "APOSTROPHE": "it's",
    "BOTH": """it's "fine" """,
    "MULTILINE": "-----BEGIN-----\nab+/=\n-----END-----\n",
    "BACKSLASHES": "C:\\temp\\new",
    "DOUBLED": "\\\\server\\share",
    "TRAILING": "ends with \\",
    "HASH": "a #b",
    "BLANKS": "  padded  ",
    "EMPTY": "",
    "EQUALS": "k=v=w",
    "UNICODE": "Grüße, 世界 🚀",
    "TILDE": "~root",
    "GLOB": "*?[a]",
    "EXCLAMATION": "wow!!",
    "PLAIN": "postgres://u:p@h:5432/db",
}


def _render(data: dict[str, Any] | None, format: Format) -> Rendered:  # noqa: A002
    request = SecretRequest.read(PATH)
    response = VaultResponse(request_id="r", data=data)
    snapshot = Snapshot(
        request=request, kind=SecretKind.STATIC, response=response, generation=1, issued_at=0
    )
    return FormatSource(PATH, format).render(RenderContext(secret={request: snapshot}.get))


def _text(data: dict[str, Any], format: Format) -> str:  # noqa: A002
    text = _render(data, format).text
    assert text is not None
    return text


# --- what is written --------------------------------------------------------------------------


def test_a_kv_version_2_answer_is_written_without_its_metadata() -> None:
    data = {"data": {"user": "web"}, "metadata": {"version": JsonNumber("3"), "destroyed": False}}

    assert json.loads(_text(data, "json")) == {"user": "web"}


def test_a_secret_with_keys_called_data_and_metadata_is_written_whole() -> None:
    data = {"data": "x", "metadata": "y"}

    assert json.loads(_text(data, "json")) == data


def test_a_deleted_version_is_an_error_that_names_the_path() -> None:
    data = {"data": None, "metadata": {"version": JsonNumber("3")}}

    with pytest.raises(TemplateRenderError, match=PATH) as caught:
        _render(data, "yaml")

    assert caught.value.hint == "has its current version been deleted or destroyed?"


def test_without_a_snapshot_nothing_is_written_and_the_request_is_missing() -> None:
    source = FormatSource("/secret/data/app/", "json")

    rendered = source.render(RenderContext(secret=lambda _request: None))

    assert rendered.text is None
    assert rendered.missing == rendered.used == source.static_requests()
    assert source.static_requests() == {SecretRequest.read(PATH)}


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("json", '{\n  "a": 1.10,\n  "b": 12345678901234567890,\n  "c": "<&>"\n}\n'),
        ("yaml", 'a: 1.10\nb: 12345678901234567890\nc: "<&>"\n'),
        ("dotenv", "a=1.10\nb=12345678901234567890\nc='<&>'\n"),
        ("properties", "a=1.10\nb=12345678901234567890\nc=<&>\n"),
    ],
)
def test_keys_are_sorted_and_numbers_stand_as_sent(format: Format, text: str) -> None:  # noqa: A002
    data = {"c": "<&>", "b": JsonNumber("12345678901234567890"), "a": JsonNumber("1.10")}

    assert _text(data, format) == text


def test_what_is_no_text_becomes_compact_json_on_a_line() -> None:
    data = {"list": [JsonNumber("1"), "a b"], "map": {"k": None}, "on": True, "none": None}

    assert _text(data, "dotenv") == ("""list='[1,"a b"]'\nmap='{"k":null}'\nnone=\non=true\n""")
    assert _text(data, "properties") == ('list=[1,"a b"]\nmap={"k"\\:null}\nnone=\non=true\n')


def test_characters_that_are_no_unicode_are_replaced() -> None:
    data = {"half": "\ud800x"}

    for format_ in ("json", "yaml", "dotenv", "properties"):
        _text(data, format_).encode("utf-8")


# --- dotenv -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["with-dash", "1st", "a b", "", "a.b", "é"])
def test_a_key_that_is_no_variable_name_is_an_error_that_names_it(key: str) -> None:
    with pytest.raises(TemplateRenderError) as caught:
        _render({key: "s3cr3t"}, "dotenv")

    assert repr(key) in caught.value.message
    assert "s3cr3t" not in str(caught.value)
    assert "rename it" in str(caught.value.hint)


def test_a_nul_is_an_error_that_names_the_key() -> None:
    with pytest.raises(TemplateRenderError, match="KEY has a NUL"):
        _render({"KEY": "s3cr3t\0"}, "dotenv")


def _read_with_sh(text: str, names: list[str], folder: Path) -> dict[str, str]:
    """Source the file as an entry point does, and ask the environment of a child."""
    (folder / "app.env").write_text(text, encoding="utf-8", newline="")
    done = subprocess.run(
        ["/bin/sh", "-c", "set -a; . ./app.env; exec env -0"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "USER": "nobody"},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    pairs = (entry.partition("=") for entry in done.stdout.decode("utf-8").split("\0") if entry)
    environment = {name: value for name, _, value in pairs}
    return {name: environment[name] for name in names}


def _read_with_compose(text: str) -> dict[str, str]:
    """Read as github.com/compose-spec/compose-go/dotenv does."""
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        equals = text.index("=", at)
        name, at = text[at:equals], equals + 1
        if text[at] not in "'\"":
            end = text.index("\n", at)
            values[name], at = text[at:end], end + 1
            continue
        value, at = _compose_quoted(text, at)
        values[name] = value
        assert text[at] == "\n"
        at += 1
    return values


def _compose_quoted(text: str, start: int) -> tuple[str, int]:
    quote, at, value = text[start], start + 1, ""
    while text[at] != quote:
        if text[at] == "\\" and text[at + 1] == quote:
            value += quote
            at += 2
        elif text[at] == "\\":
            value += text[at : at + 2]
            at += 2
        else:
            value += text[at]
            at += 1
    if quote == '"':
        out, escapes, rest = "", {"\\": "\\", '"': '"', "$": "$", "n": "\n", "t": "\t"}, value
        while rest:
            escaped = rest[0] == "\\" and rest[1:2] in escapes and rest[1:2] != ""
            assert escaped or rest[0] != "$", "Compose would interpolate"
            out += escapes[rest[1]] if escaped else rest[0]
            rest = rest[2:] if escaped else rest[1:]
        value = out
    return value, at + 1


def _read_with_python(text: str) -> dict[str, str]:
    dotenv = pytest.importorskip("dotenv")
    values = dotenv.dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False)
    return dict(values)


def test_sh_reads_back_every_value(tmp_path: Path) -> None:
    assert _read_with_sh(_text(AWKWARD, "dotenv"), list(AWKWARD), tmp_path) == AWKWARD


def test_docker_compose_reads_back_every_value() -> None:
    assert _read_with_compose(_text(AWKWARD, "dotenv")) == AWKWARD


def test_python_dotenv_reads_back_every_value() -> None:
    assert _read_with_python(_text(AWKWARD, "dotenv")) == AWKWARD


_CHARACTERS = st.text(
    st.one_of(
        st.sampled_from("ab1 '\"\\$`\n\t#=!~*{}()&;|<>%"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"),
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_CHARACTERS, min_size=30, max_size=60))
def test_any_text_survives_sh(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    values = {f"V{number}": text for number, text in enumerate(texts)}

    read = _read_with_sh(_text(values, "dotenv"), list(values), tmp_path_factory.mktemp("sh"))

    assert read == values


def _only_sh_agrees(text: str) -> bool:
    """Whether the value needs double quotes and has what only sh takes a backslash before."""
    return quote_dotenv(text).startswith('"') and any(char in text for char in "$`")


@settings(max_examples=300, deadline=None)
@given(_CHARACTERS.filter(lambda text: not _only_sh_agrees(text)))
def test_any_other_text_survives_docker_compose_and_python_dotenv(text: str) -> None:
    written = _text({"V": text}, "dotenv")

    assert _read_with_compose(written) == {"V": text}
    assert _read_with_python(written) == {"V": text}


# --- properties -------------------------------------------------------------------------------


def _read_properties(text: str) -> dict[str, str]:
    """Read as ``java.util.Properties.load`` specifies; no line is continued by what we write."""
    values = {}
    for line in text.removesuffix("\n").split("\n"):
        at = 0
        while at < len(line) and line[at] not in "=: \t\f":
            at += 2 if line[at] == "\\" else 1
        key, rest = line[:at], line[at:].lstrip(" \t\f")
        if rest[:1] in {"=", ":"}:
            rest = rest[1:].lstrip(" \t\f")
        assert not line.startswith(("#", "!"))
        values[_unescaped(key)] = _unescaped(rest)
    return values


def _unescaped(text: str) -> str:
    units, at = b"", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1] == "u":
            units += bytes.fromhex(text[at + 2 : at + 6])
            at += 6
            continue
        if char == "\\":
            at += 1
            char = {"t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(text[at], text[at])
        units += char.encode("utf-16-be")
        at += 1
    return units.decode("utf-16-be")


_ANY_TEXT = st.text(
    st.one_of(st.sampled_from(" =:#!\\\t\n\r\fab"), st.characters(exclude_categories=["Cs"]))
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_ANY_TEXT, _ANY_TEXT, min_size=1, max_size=5))
def test_java_reads_back_any_key_and_value(data: dict[str, str]) -> None:
    text = _text(data, "properties")

    assert text.isascii()
    assert _read_properties(text) == data


# --- documents --------------------------------------------------------------------------------

_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 70), 1 << 70).map(lambda number: JsonNumber(str(number))),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1 :#é"), inner),
    max_leaves=8,
)


def _as_python(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_python(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_as_python(item) for item in value]
    return int(value) if type(value) is JsonNumber else value


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abc"), _JSON, max_size=4))
def test_json_reads_back_any_data(data: dict[str, Any]) -> None:
    assert json.loads(_text({"x": data}, "json")) == {"x": _as_python(data)}


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text("abc"), _JSON, max_size=4))
def test_yaml_reads_back_any_data(data: dict[str, Any]) -> None:
    assert yaml.safe_load(_text({"x": data}, "yaml")) == {"x": _as_python(data)}
