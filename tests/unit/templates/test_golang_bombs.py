"""Whatever a function is given, its result is bounded, and so is the time it takes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.errors import TemplateError, TemplateRenderError
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

_NOTHING = RenderContext(secret=lambda _request: None)
YAML_BOMB = (
    '"a: &a [x,x,x,x,x,x,x,x,x]\\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\\n'
    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\\n"
    "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\\n"
    'g: [*f,*f,*f,*f,*f,*f,*f,*f,*f]" | parseYAML'
)


def outcome(text: str) -> TemplateError | str:
    try:
        return render(text) or ""
    except TemplateError as error:
        return error


def render(text: str) -> str | None:
    template = Template.compile(
        text, name="", functions=library(), error_on_missing_key=False, on_unresolved="nil"
    )
    return template.render(_NOTHING).text


@pytest.mark.parametrize(
    "expression",
    [
        'indent 9223372036854775807 "a"',
        'sprig_repeat 1000000 "\\n" | indent 1000',
        'sprig_repeat 1000000 "a\\n" | indent 1000',
        'sprig_repeat 1000000 "\\n" | sprig_indent 1000',
        'sprig_repeat 1000000 "\\n" | sprig_nindent 1000',
        '$s | replaceAll "a" $s',
        '$s | replaceAll "" $s',
        '$s | sprig_replace "a" $s',
        '$s | regexReplaceAll "a" $s',
        'sprig_regexReplaceAllLiteral "a" $s $s',
        'split "a" $s | join $s',
        'splitList "a" $s | sprig_join $s',
        "sprig_splitn $s 1000 $s | toJSON | replaceAll `a` $s",
        "$s | sprig_wrapWith 1 $s",
        'printf "%1000000000d" 1',
        'printf "%.1000000000f" 1.5',
        'printf "%*d" 1000000000 1 | print $s $s $s $s | replaceAll `a` $s',
    ],
)
def test_a_text_beyond_64_mib_is_an_error_before_it_is_made(expression: str) -> None:
    text = f'{{{{ $s := sprig_repeat 20000 "a" }}}}{{{{ {expression} | len }}}}'
    if "splitList" in expression:
        text = text.replace("splitList", "sprig_splitList")
    found = outcome(text)

    if isinstance(found, TemplateError):
        assert "MiB" in found.message
    else:
        assert int(found) <= 64 << 20


@pytest.mark.parametrize(
    "expression",
    [
        'print (sprig_repeat 100000 "[") | parseJSON',
        'sprig_repeat 100000 "[" | parseYAML',
        'sprig_repeat 20000 "{a: " | parseYAML',
        'sprig_repeat 100000 "- " | parseYAML',
        YAML_BOMB,
        '"x: &x [*x]" | parseYAML',
        'regexMatch "((a{0,1000}){0,1000}){0,1000}" "a"',
        'regexMatch (sprig_repeat 5000 "(") "a"',
        '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" | regexMatch "^(a+)+$"',
        "sprig_until 9223372036854775807",
        "sprig_untilStep 0 9223372036854775807 1",
        "sprig_seq 9223372036854775807",
        "sprig_randAlpha 9223372036854775807",
        'sprig_semverCompare (sprig_repeat 100000 "1.") "1.0.0"',
        'sprig_toDate (sprig_repeat 100000 "2006") (sprig_repeat 100000 "2006")',
        'sprig_urlParse (sprig_repeat 100000 "%zz")',
        'sockaddr (sprig_repeat 10000 "GetAllInterfaces | ")',
    ],
)
def test_a_bomb_is_defused_in_seconds(expression: str) -> None:
    """An error or a result, at any rate soon; nested data is not deeper than Go's parsers take."""
    start = time.process_time()

    found = outcome(f"{{{{ {expression} | printf `%T` }}}}")

    assert time.process_time() - start < 20
    assert isinstance(found, str) or len(found.message) < 3000


def test_shared_data_that_writes_large_is_an_error() -> None:
    """A list that holds one list twice, forty times over, is small until it is written."""
    double = "{{ range 40 }}{{ $l = sprig_list $l $l }}{{ end }}"
    for writer in ("toJSON", "toYAML", "spew_sdump", "sprig_deepCopy"):
        with pytest.raises(TemplateRenderError, match="larger than 64 MiB"):
            render(f"{{{{ $l := sprig_list 1 }}}}{double}{{{{ {writer} $l | len }}}}")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b"{{ " + data + b" }}"))
def test_any_bytes_are_a_template_or_a_syntax_error(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")

    found = outcome(text)

    assert isinstance(found, str) or found.message.startswith("template: ")


_NAMES = sorted(set(library()) - {"writeToFile", "sprig_genCA", "sprig_genSelfSignedCert"})
_HOSTILE = """
"" "\\x00" "\\xff" "%!(" -1 0 9223372036854775807 -9223372036854775808 1e308 1i nil true .x $
(sprig_list) (sprig_list(nil)) (sprig_dict) (sprig_dict"a"nil) (parseYAML"1:2") (parseJSON"1e999")
(sprig_list(sprig_list)) (scratch) (sprig_now) (loop(3)) (sprig_until(3)) (parseYAML"[~]") 'a' 0.5
(index(parseJSON"[null]")0) (split","",") ("\\ud800") (sprig_rest(sprig_list))
(sprig_merge$(sprig_dict))
"""
_calls = st.tuples(
    st.sampled_from(_NAMES), st.lists(st.sampled_from(_HOSTILE.split()), max_size=5)
).map(lambda parts: "{{ " + " ".join((parts[0], *parts[1])) + " }}")


@settings(max_examples=600, deadline=None)
@given(_calls)
def test_no_function_crashes_whatever_it_is_given(text: str) -> None:
    found = outcome(text)

    assert isinstance(found, str) or found.message.startswith("template: ")
