"""Hostile templates end with an error, in time, whatever they do."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.errors import TemplateError, TemplateRenderError, TemplateSyntaxError
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.golang import machine
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

FUNCTIONS = library(
    denylist=[
        "plugin",
        "writeToFile",
        "sprig_gen*",
        "sprig_bcrypt",
        "sprig_htpasswd",
        "sprig_derivePassword",
        "sprig_getHostByName",
        "sockaddr",
    ]
)
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


# --- fuzzing --------------------------------------------------------------------------------------

TOKENS = st.sampled_from(
    ["{{", "}}", "{{-", "-}}", "(", ")", ".", ".x", "$", "$x", ":=", "=", "|", ",", '"', "`", "'", ";", "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil", "true", "1", "-2", "0x1p4", "1.5", "2i", "'a'", '"s"', "`r`", "print", "printf", "len", "index", "slice", "eq", "lt", "and", "or", "not", "call", "html", "sprig_list", "sprig_dict", "split", "parseJSON", "toJSON", "/*", "*/", "\n", "é", "\x00", "�"]
)
soups = st.lists(TOKENS, max_size=40).map(" ".join)
expressions = st.recursive(
    st.sampled_from(["1", "-2.5", '"abc"', ".", ".x", "$", "nil", "true", "'a'", "(index `ab` 1)"]),
    lambda inner: st.tuples(
        st.sampled_from(
            [
                "print",
                "len",
                "index",
                "slice",
                "eq",
                "lt",
                "and",
                "or",
                "not",
                "printf `%5.2v|%x`",
                "html",
                "js",
                "call",
                "sprig_list",
                "toJSON",
                "split `,`",
                "loop",
                "range",
            ]
        ),
        st.lists(inner, max_size=3),
        st.sampled_from(["", ".a", " | print", " | len"]),
    ).map(
        lambda parts: (
            f"({parts[0]} {' '.join(parts[1])}){parts[2]}".replace(") |", " |")
            + (")" if "|" in parts[2] else "")
        )
    ),
    max_leaves=8,
)
actions = expressions.map(lambda expression: f"{{{{ {expression} }}}}")
blocks = st.recursive(
    actions | st.text(max_size=5),
    lambda inner: st.tuples(
        st.sampled_from(["if", "with", "range", "range $i, $e :=", "with $x :="]),
        expressions,
        inner,
        inner,
    ).map(
        lambda parts: (
            f"{{{{ {parts[0]} {parts[1]} }}}}{parts[2]}{{{{ else }}}}{parts[3]}{{{{ end }}}}"
        )
    ),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.text(max_size=60) | soups | soups.map("{{{{ {} }}}}".format) | blocks)
def test_anything_at_all_renders_or_fails_cleanly(text: str) -> None:
    try:
        rendered = render(text)
    except TemplateError as error:
        problem = error
    else:
        assert rendered is not None
        assert rendered.encode("utf-8", "surrogateescape") is not None
        return
    assert problem.message.startswith("template: ")
    assert problem.line >= 1
