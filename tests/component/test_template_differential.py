"""Random templates render, or fail, as in the real agent, byte for byte.

`make differential MINUTES=10` goes on with new templates until the time is up.
"""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from template_grammar import PRELUDE, templates

from leasekeeper.errors import TemplateError
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template
from tests.fakes.real_agent import render_all

MINUTES = float(os.environ.get("DIFFERENTIAL_MINUTES", "0"))
_NOTHING = RenderContext(secret=lambda _request: None)
_PLACE = re.compile(r"template: :(\d+):")


def _corpus(number: int, size: int) -> list[str]:
    """Return about *size* templates, the same for the same *number*."""
    found: dict[str, None] = {}

    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(templates)
    def collect(template: str) -> None:
        found[template] = None

    collect()
    return list(found)


def _ours(text: str, *, strict: bool) -> bytes | str:
    try:
        template = Template.compile(
            text, name="", functions=library(), error_on_missing_key=strict, on_unresolved="nil"
        )
        rendered = template.render(_NOTHING).text
    except TemplateError as error:
        return error.message
    assert rendered is not None
    return rendered.encode("utf-8", "surrogateescape")


def _agree(ours: bytes | str, real: bytes | str) -> bool:
    """Whether the bytes are the same, or the error messages."""
    if isinstance(ours, bytes) or isinstance(real, bytes):
        return ours == real
    if "%" in ours:  # the agent's log formats the message once more
        return _line(ours) == _line(real)
    return ours.replace("\n", "\\n").strip() == real.strip()


def _line(message: str) -> str | None:
    place = _PLACE.match(message)
    return place[1] if place else None


def _differences(number: int, size: int, folder: Path) -> list[str]:
    folder.mkdir()
    strict = number % 2 == 1
    texts = _corpus(number, size)
    pairs = zip(texts, render_all(texts, folder, strict=strict), strict=True)
    return [
        f"{text.removeprefix(PRELUDE)}\n  ours {ours!r}\n  real {real!r}"
        for text, real in pairs
        if not _agree(ours := _ours(text, strict=strict), real)
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_random_templates_render_as_in_the_real_agent(number: int, tmp_path: Path) -> None:
    assert not _differences(number, 500, tmp_path / "agent")


@pytest.mark.skipif(not MINUTES, reason="DIFFERENTIAL_MINUTES says how long it may take")
def test_new_random_templates_render_as_in_the_real_agent(tmp_path: Path) -> None:
    ends_at = time.monotonic() + MINUTES * 60
    while time.monotonic() < ends_at:
        number = random.randrange(1 << 32)
        found = _differences(number, 2000, tmp_path / str(number))
        assert not found, f"corpus {number}:\n" + "\n".join(found)
