"""Whatever a template holds, it renders or fails with an error that says where."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from leasekeeper.errors import TemplateError
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

WORDS = """
{{ }} {{- -}} ( ) . .x $ $x := = | , " ` ' ; if else end range with define template block break
continue nil true 1 -2 0x1p4 1.5 2i 'a' "s" `r` print printf len index slice eq lt and or not call
html sprig_list sprig_dict split parseJSON toJSON /* */ é \x00 \udcff %
"""
FUNCTIONS = """
print len index slice eq lt and or not html js call sprig_list toJSON loop range printf`%5.2v|%x`
"""
VALUES = """1 -2.5 "abc" . .x $ nil true 'a' (split`,``a,b`) (sprig_dict`a`nil)"""

soups = st.lists(st.sampled_from([*WORDS.split(), "\n", " "]), max_size=40).map(" ".join)


def _call(parts: tuple[str, list[str], str]) -> str:
    function, arguments, suffix = parts
    return f"(({' '.join((function, *arguments))}){suffix})"


calls = st.recursive(
    st.sampled_from(VALUES.split()),
    lambda inner: st.tuples(
        st.sampled_from(FUNCTIONS.split()),
        st.lists(inner, max_size=3),
        st.sampled_from(["", ".a", " | print", " | len"]),
    ).map(_call),
    max_leaves=8,
)


def _block(parts: tuple[str, str, str, str]) -> str:
    opening, condition, body, otherwise = parts
    return f"{{{{ {opening} {condition} }}}}{body}{{{{ else }}}}{otherwise}{{{{ end }}}}"


openings = st.sampled_from(["if", "with", "range", "range $i, $e :=", "with $x :="])
blocks = st.recursive(
    calls.map("{{{{ {} }}}}".format) | st.text(max_size=5),
    lambda inner: st.tuples(openings, calls, inner, inner).map(_block),
    max_leaves=5,
)


@settings(max_examples=200)
@given(st.text(max_size=60) | soups | soups.map("{{{{ {} }}}}".format) | blocks)
def test_anything_at_all_renders_or_fails_cleanly(text: str) -> None:
    try:
        template = Template.compile(text, name="", functions=library(), error_on_missing_key=False)
        rendered = template.render(RenderContext(secret=lambda _request: None)).text
    except TemplateError as error:
        problem = error
    else:
        assert rendered is not None
        assert rendered.encode("utf-8", "surrogateescape") is not None
        return
    assert problem.message.startswith("template: ")
    assert problem.line >= 1
