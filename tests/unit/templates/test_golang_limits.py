"""Hostile templates end with an error, in time, whatever they do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from leasekeeper.errors import TemplateRenderError, TemplateSyntaxError
from leasekeeper.templates.functions import regular_expressions
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.golang import machine
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

FUNCTIONS = library()
EMPTY = RenderContext(secret=lambda _request: None)


def render(text: str, **options: Any) -> str | None:
    template = Template.compile(
        text, name="", functions=FUNCTIONS, error_on_missing_key=False, **options
    )
    return template.render(EMPTY).text


def nested(start: str, inside: str, end: str, depth: int) -> str:
    return f"{{{{ {start * depth}{inside}{end * depth} }}}}"


# --- depth ----------------------------------------------------------------------------------------


def test_parentheses_nest_as_deep_as_in_go() -> None:
    assert render(nested("(", "1", ")", 10_000)) == "1"
    with pytest.raises(TemplateSyntaxError, match="max expression depth exceeded"):
        render(nested("(", "1", ")", 10_001))


@pytest.mark.parametrize("depth", [10, 29, 30, 31, 59, 60, 61, 1000, 9000])
def test_calls_nest_as_deep_as_parentheses(depth: int) -> None:
    assert render(nested("print (", "`x`", ")", depth)) == "x"
    assert render(nested("len (print (", "`xx`", "))", depth // 2)) == "1"


def test_variables_and_logic_work_at_any_depth() -> None:
    text = nested("or 0 (print (", "$x := 5", "))", 500)

    assert render(text + "{{ $x }}") == "55"


def test_an_error_in_the_depth_has_its_place() -> None:
    with pytest.raises(TemplateRenderError) as caught:
        render(nested("print (", "index nil 1", ")", 5000))

    assert caught.value.column == 3 + 7 * 5000
    assert "index of untyped nil" in caught.value.message
    assert len(caught.value.message) < 3000


@pytest.mark.parametrize("opening", ["if true", "with 1", "range 1"])
def test_blocks_nest_without_a_limit(opening: str) -> None:
    depth = 5000

    assert render(f"{{{{ {opening} }}}}" * depth + "x" + "{{ end }}" * depth) == "x"


def test_chains_of_else_if_are_as_long_as_anybody_wants() -> None:
    text = "{{ if false }}" + "{{ else if false }}" * 5000 + "{{ else }}x{{ end }}"

    assert render(text) == "x"


def test_pipelines_are_as_long_as_anybody_wants() -> None:
    assert render("{{ 1" + " | print" * 5000 + " }}") == "1"


def test_templates_call_each_other_as_deep_as_in_go() -> None:
    text = '{{ define "r" }}{{ if . }}{{ template "r" (slice . 1) }}{{ end }}{{ end }}'

    assert render(text + f'{{{{ template "r" "{"x" * 9000}" }}}}ok') == "ok"
    with pytest.raises(TemplateRenderError, match=r"exceeded maximum template depth \(100000\)"):
        render('{{ define "r" }}{{ template "r" }}{{ end }}{{ template "r" }}')


def test_execute_template_does_not_call_itself_for_ever() -> None:
    with pytest.raises(TemplateRenderError, match="nested more than 40 deep"):
        render('{{ define "r" }}{{ executeTemplate "r" }}{{ end }}{{ template "r" }}')


TEMPLATES_THAT_MULTIPLY = """
{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}
{{ define "b" }}{{ range 1000 }}{{ template "c" }}{{ end }}{{ end }}
{{ define "c" }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}
{{ template "a" }}
"""


# --- time and space -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{{ range 9223372036854775807 }}{{ end }}",
        "{{ range loop 1000000000000 }}{{ . }}{{ end }}",
        TEMPLATES_THAT_MULTIPLY,
    ],
)
def test_a_loop_without_an_end_is_ended(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_SECONDS", 0.05)
    start = time.monotonic()

    with pytest.raises(TemplateRenderError, match="still not done after"):
        render(text)

    assert time.monotonic() - start < 5


def test_text_that_doubles_is_ended() -> None:
    with pytest.raises(TemplateRenderError, match="larger than 64 MiB"):
        render('{{ $s := "x" }}{{ range 60 }}{{ $s = print $s $s }}{{ end }}')


def test_endless_output_is_ended() -> None:
    line = "x" * 100_000

    with pytest.raises(TemplateRenderError, match="larger than 64 MiB"):
        render(f"{{{{ range 1000000 }}}}{line}{{{{ end }}}}")


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 20_000,
        "{{/*" * 20_000,
        "{{ define `a` }}" * 5000,
        "{{ `" + "x" * 1_000_000,
        "{{ 1" + "0" * 200_000 + " }}",
        "{{ 0x" + "f" * 200_000 + "p1 }}",
        "{{ 1" + "_0" * 50_000 + "_ }}",
        "\n{{ x" * 20_000,
        "{{ $x" + ", $x" * 5000 + " }}",
    ],
)
def test_long_nonsense_is_a_syntax_error(text: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        render(text)

    assert len(caught.value.message) < 3000


def test_a_hundred_thousand_matches_take_no_time() -> None:
    """Each of them encoded the whole text again: a minute for 80 KB."""
    start = time.process_time()

    rendered = render('{{ "ab" | sprig_repeat 100000 | regexReplaceAll "a" "" | len }}')

    assert rendered == "100000"
    assert time.process_time() - start < 10


def test_a_text_has_only_so_many_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_expressions, "_MOST_MATCHES", 5)

    with pytest.raises(TemplateRenderError, match="more than 5 matches"):
        render('{{ sprig_regexFindAll "a" "aaaaaa" -1 }}')


def test_a_field_of_a_number_that_is_counted_to_does_not_crash() -> None:
    with pytest.raises(TemplateRenderError, match="can't evaluate field a in type int"):
        render("{{ range 10 }}{{ .a }}{{ end }}")
