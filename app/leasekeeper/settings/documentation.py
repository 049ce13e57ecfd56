"""The settings as a JSON Schema and as the tables of `docs/configuration.md`.

Descriptions are the docstrings under the fields of the model. They are read out of its source
here, not by pydantic when the model is imported: a sidecar that starts needs none of them.

``python -m leasekeeper.settings.documentation [--check] FILE`` renews the tables in *FILE*.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from leasekeeper.settings import (
    auth,
    environment,
    execution,
    fields,
    groups,
    model,
    notify,
    process,
    sinks,
    state,
)
from leasekeeper.settings.durations import PATTERN, format_duration

BEGIN = "<!-- tables: made by `python -m leasekeeper.settings.documentation` -->\n"
END = "<!-- tables: end -->\n"

_Schema = dict[str, Any]
_HEAD = "| Key | Type | Default | Environment | Meaning |\n|---|---|---|---|---|\n"
_TYPES = {"string": "text", "boolean": "`true` or `false`", "integer": "number", "number": "number"}
_TABLE_KEY = "<path>"
# Where the classes of the model are written.
_MODEL = (fields, auth, notify, groups, process, sinks, execution, state, model)

_EXAMPLE: _Schema = {
    "vault": {"address": "https://vault.example.com:8200"},
    "auth": {"method": "aws_iam", "role": "product-api"},
    "outputs": [
        {
            "destination": "/config/conf.json",
            "template": '{{ with secret "database/creds/product" }}{{ .Data.username }}{{ end }}',
            "validate": "json",
        },
        {"destination": "/config/app.env", "secret": "secret/data/product", "format": "dotenv"},
    ],
}


def json_schema() -> _Schema:
    """Return the JSON Schema of a configuration file, with a description of every key."""
    schema = model.Settings.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["examples"] = [_EXAMPLE]
    for section in (schema, *schema["$defs"].values()):
        described = _descriptions(section["title"])
        for name, value in section["properties"].items():
            value.pop("title", None)
            value["description"] = described[name]
            _write_default(value)
            if _alternatives(value)[0].get("pattern") == PATTERN:
                value["examples"] = ["30s", "5m", "1h30m"]
        if "const" in section["properties"].get("method", {}):
            # It has a default in Python; in a file it chooses what else there is.
            section.setdefault("required", []).append("method")
    return schema


def tables() -> str:
    """Return the Markdown tables of all keys, a heading for every section."""
    schema = json_schema()
    parts = []
    for name, value in schema["properties"].items():
        sections = _sections(value, schema)
        for section in sections:
            title = f"`{name}`"
            if len(sections) > 1:
                title += f" with `method: {section['properties']['method']['const']}`"
            rows = "".join(_rows(section, (name, *_index(value)), schema))
            parts.append(f"### {title}\n\n{section['description']}\n\n{_HEAD}{rows}")
    return "\n".join(parts)


def renewed(text: str) -> str:
    """Return a page with new tables between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _rows(section: _Schema, path: tuple[str, ...], schema: _Schema) -> list[str]:
    rows = []
    # The key that chooses what else there is comes first.
    for name, value in sorted(
        section["properties"].items(), key=lambda item: "const" not in item[1]
    ):
        here = (*path, name)
        below = _sections(value, schema)
        if "additionalProperties" in value:
            rows.append(_row(here, "table", value, needed=False))
            below = _sections(value["additionalProperties"], schema)
            here = (*here, _TABLE_KEY)
        elif not below:
            rows.append(
                _row(here, _words(value), value, needed=name in section.get("required", ()))
            )
        for inner in below:
            rows += _rows(inner, (*here, *_index(value)), schema)
    return rows


def _row(path: tuple[str, ...], words: str, value: _Schema, *, needed: bool) -> str:
    default = "**needed**" if needed else _default(value)
    key = ".".join(part for part in path[1:] if part != "0")
    about = value["description"].replace("|", "\\|")
    variables = " ".join(f"`{name}`" for name in _variables(path)) or "-"
    return f"| `{key}` | {words} | {default} | {variables} | {about} |\n"


def _variables(path: tuple[str, ...]) -> list[str]:
    if _TABLE_KEY in path:
        return []
    names = [environment.variable_for(path)]
    if path[0] == "vault":
        for last, key in environment.VAULT_VARIABLES.items():
            names += [f"VAULT_{last}", f"BAO_{last}"] if key == path[1] else []
    return names


def _words(value: _Schema) -> str:
    alternatives = _alternatives(value)
    value = alternatives[0]
    if value.get("writeOnly"):
        return "secret"
    if value.get("pattern") == PATTERN:
        return "duration"
    if choices := value.get("enum") or [word for word in (value.get("const"),) if word]:
        return ", ".join(f"`{choice}`" for choice in choices)
    if value["type"] == "array":
        return "list of text"
    words = " or ".join(_TYPES[one["type"]] for one in alternatives)
    return f"{words}, {value['minimum']} to {value['maximum']}" if "maximum" in value else words


def _default(value: _Schema) -> str:
    default = value.get("default")
    if default is None or default == {}:
        return "-"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{default}`" if default != "" else '`""`'


def _write_default(value: _Schema) -> None:
    """Turn the default into what a person would write."""
    default, kind = value.get("default"), _alternatives(value)[0]
    if isinstance(default, float) and kind.get("pattern") == PATTERN:
        value["default"] = format_duration(default)
    elif isinstance(default, int) and kind.get("type") == "string":
        value["default"] = f"{default:04o}"
    elif isinstance(default, dict):
        del value["default"]  # the section's own keys have their defaults


def _alternatives(value: _Schema) -> list[_Schema]:
    value = value.get("items", value) if "$ref" in value.get("items", {}) else value
    every = value.get("oneOf") or value.get("anyOf") or [value]
    return [one for one in every if one.get("type") != "null"]


def _sections(value: _Schema, schema: _Schema) -> list[_Schema]:
    names = [one["$ref"].rpartition("/")[2] for one in _alternatives(value) if "$ref" in one]
    return [schema["$defs"][name] for name in names]


def _index(value: _Schema) -> tuple[str, ...]:
    return ("0",) if value.get("type") == "array" else ()


def _descriptions(section: str) -> dict[str, str]:
    """Return the description of each key of the class *section* of the model."""
    described: dict[str, str] = {}
    for ancestor in reversed(getattr(model, section).__mro__):
        described |= _docstrings().get(ancestor.__name__, {})
    fields = getattr(model, section).model_fields
    return {info.alias or name: described[name] for name, info in fields.items()}


@cache
def _docstrings() -> dict[str, dict[str, str]]:
    """Return the docstrings of the model's fields, by class and field."""
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in _MODEL]
    return {
        statement.name: _field_docstrings(statement.body)
        for source in sources
        for statement in ast.parse(source).body
        if isinstance(statement, ast.ClassDef)
    }


def _field_docstrings(body: list[ast.stmt]) -> dict[str, str]:
    described = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    described[field.target.id] = " ".join(text.split())
    return described


def renew_page(program: str, renewed: Callable[[str], str], arguments: list[str] | None) -> int:
    """Be the command that renews the tables in a page, or tells whether they are up to date.

    Returns the exit code: 1 if ``--check`` found that they are not.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    options = parser.parse_args(arguments)
    page = options.file.read_text(encoding="utf-8")
    if renewed(page) == page:
        return 0
    if options.check:
        sys.stderr.write(f"{options.file} is not up to date; run this without --check\n")
        return 1
    options.file.write_text(renewed(page), encoding="utf-8")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Renew docs/configuration.md."""
    return renew_page("leasekeeper.settings.documentation", renewed, arguments)


if __name__ == "__main__":
    sys.exit(main())
