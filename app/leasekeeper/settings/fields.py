"""What the sections of the model are made of: their base, and the types of their values."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from leasekeeper.settings import checks


class Section(BaseModel):
    """Base of every section: unknown keys are errors, values do not change, inputs stay hidden."""

    # Deferred: only the outermost model needs a validator of its own, with all others inside it.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )


def parse_mode(value: object) -> int:
    """Return an octal mode string such as ``"0640"`` as an integer.

    :raises ValueError: if it is not a string of three or four octal digits. Bare numbers are
        refused: YAML 1.1 reads 0640 as octal and 640 as decimal, and both have set wrong modes.
    """
    if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value):
        return int(value, 8)
    msg = 'a mode is a string of octal digits in quotes, such as "0640"'
    raise ValueError(msg)


Mode = Annotated[
    int,
    BeforeValidator(parse_mode),
    PlainSerializer(lambda mode: f"{mode:04o}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^0?[0-7]{3}$", "examples": ["0640"]}),
]
KEEP = -1
"""Instead of a mode: the one that the file has."""


def parse_mode_or_keep(value: object) -> int:
    """Return an octal mode string as an integer, or `KEEP` for ``keep``.

    :raises ValueError: if it is neither.
    """
    return KEEP if value == "keep" else parse_mode(value)


ModeOrKeep = Annotated[
    int,
    BeforeValidator(parse_mode_or_keep),
    PlainSerializer(lambda mode: "keep" if mode == KEEP else f"{mode:04o}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(0?[0-7]{3}|keep)$", "examples": ["0640"]}),
]
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[str, AfterValidator(checks.file_path)]
Destination = Annotated[str, AfterValidator(checks.destination)]
Url = Annotated[str, AfterValidator(checks.plain_url)]
Namespace = Annotated[str, AfterValidator(checks.namespace)]
Mount = Annotated[str, AfterValidator(checks.mount_path)]
Account = Annotated[str | int, BeforeValidator(checks.account)]
