"""The JSON Schema of /status, made from the types in `web.document`."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from leasekeeper.web import document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def status_schema() -> dict[str, Any]:
    """Return the schema."""
    for kind in vars(document).values():
        if isinstance(kind, type) and hasattr(kind, "__total__"):
            kind.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]
                use_attribute_docstrings=True
            )
    found = TypeAdapter(document.Status).json_schema()
    return {"$schema": DIALECT, **_untitled(found)}


def _untitled(schema: Any) -> Any:
    """Leave out the titles, which only repeat the keys."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
