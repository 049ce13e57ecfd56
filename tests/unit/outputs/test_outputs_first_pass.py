"""In Vault Agent's dialect the first pass, in which secrets are nil, counts."""

from __future__ import annotations

import pytest

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

NOTHING = RenderContext(secret=lambda _request: None)


def compiled(text: str, **options: object) -> Template:
    return Template.compile(
        text,
        name="",
        title="a.ctmpl",
        functions=library(),
        error_on_missing_key=False,
        on_unresolved="nil",
        **options,  # type: ignore[arg-type]
    )


def test_an_error_for_want_of_a_secret_is_sticky() -> None:
    with pytest.raises(TemplateRenderError) as caught:
        compiled('{{ index (secret "a/b").Data "c" "d" }}').render(NOTHING)

    assert caught.value.sticky
    assert caught.value.message.startswith("a.ctmpl: execute: template: :1:")


def test_an_error_with_everything_at_hand_is_not() -> None:
    with pytest.raises(TemplateRenderError) as caught:
        compiled("{{ index nil 1 }}").render(NOTHING)

    assert not caught.value.sticky


def test_the_path_of_a_read_is_a_part_of_a_url() -> None:
    rendered = compiled('{{ with secret "a/b%20c?version=1" }}{{ end }}').render(NOTHING)

    assert rendered.used == {SecretRequest.read("a/b c?version=1")}
