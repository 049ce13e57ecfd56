"""Templates as outputs use them: compiled once, rendered often, errors with their place."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from leasekeeper.errors import TemplateRenderError, TemplateSyntaxError, VaultDenied
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.machine import Run
from leasekeeper.templates.golang.values import (
    GoStruct,
    Int64,
    NilPointer,
    StringMap,
    StringSlice,
)
from leasekeeper.templates.source import FileRequest, RenderContext
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import AuthData, JsonNumber, VaultResponse

functions = FunctionTable(unavailable={"key": "that one is Consul's"})
EMPTY = RenderContext(secret=lambda _request: None)


def read_request(arguments: tuple[str, ...]) -> SecretRequest | None:
    if not all(arguments):
        msg = "empty path"
        raise GoError(msg)
    return SecretRequest.read(arguments[0]) if len(arguments) == 1 else None


@functions.add("secret", "...string", run=True, request=read_request)
def secret(run: Run, *arguments: str) -> dict[str, Any] | None:
    snapshot = run.secret(SecretRequest.read(arguments[0]))
    return snapshot.response.data if snapshot else None


@functions.add("fail", "string")
def fail(message: str) -> None:
    raise GoError(message)


@functions.add("upper", "string")
def upper(text: str) -> str:
    return text.upper()


@functions.add("pad", "int", "string")
def pad(width: int, text: str) -> str:
    return text.rjust(width)


@functions.add("join", "string", "[]string")
def join(separator: str, items: list[str]) -> str:
    assert type(items) is StringSlice
    return separator.join(items)


@functions.add("count", "map[string]interface {}")
def count(items: dict[str, Any]) -> int:
    return len(items)


@functions.add("wide", "int64", "uint8", "float64", "bool", "complex128")
def wide(*values: Any) -> str:
    return " ".join(type(value).__name__ for value in values)


@functions.add("denied")
def denied() -> None:
    msg = "read 'x': 403"
    raise VaultDenied(msg)


def render(text: str, context: RenderContext = EMPTY, **options: Any) -> str | None:
    return Template.compile(text, name="app", functions=functions, **options).render(context).text


def failure(text: str, context: RenderContext = EMPTY, **options: Any) -> TemplateRenderError:
    with pytest.raises(TemplateRenderError) as caught:
        render(text, context, **options)
    return caught.value


def context_of(data: dict[str, Any], **more: Any) -> RenderContext:
    snapshot = Snapshot(
        request=SecretRequest.read("a"),
        kind=SecretKind.STATIC,
        response=VaultResponse(data=data, **more),
        generation=1,
        issued_at=0,
    )
    return RenderContext(secret=lambda _request: snapshot)


# --- errors and their places ------------------------------------------------------------


def test_a_syntax_error_names_template_line_and_column() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        render("line one\n  é {{ nope 1 }}\n")

    error = caught.value
    assert error.message == 'template: app:2: function "nope" not defined'
    assert (error.template, error.line, error.column) == ("app", 2, 8)  # é is two bytes


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("[[end]]", "unexpected [[end]]"),
        ("[[if 1]][[else]][[else]][[end]]", "expected end; found [[else]]"),
        ("[[break]]", "{{break}} outside {{range}}"),
        ('[[template "x" (index 1 1)]]', '<[[template "x" (index 1 1)]]>: template "x" not'),
    ],
)
def test_messages_show_the_delimiters_of_the_template(template: str, message: str) -> None:
    with pytest.raises((TemplateRenderError, TemplateSyntaxError), match=re.escape(message)):
        render(template, left="[[", right="]]")


@pytest.mark.parametrize(
    ("template", "blamed"),
    [
        ("{{ (or -7 -8).x }}", "-7"),
        ("{{ (or 0 -8 9).x }}", "-8"),
        ("{{ (and 1 2).x }}", "2"),
        ('{{ (or (and 0 (or "a" 2)) (and 1 0 5)).a }}', "0"),
        ("{{ printf (5 | and 0 2) }}", "0"),
        ('{{ range (or "a" "b") }}{{ end }}', '"a"'),
        ('{{ define "t" }}{{ (or . 5 6).x }}{{ end }}{{ template "t" 0 }}', "5"),
        ('{{ range $e := 2 }}{{ (or $e "z").q }}{{ end }}', '"z"'),
    ],
)
def test_what_fails_after_and_or_or_is_blamed_on_the_argument_where_it_stopped(
    template: str, blamed: str
) -> None:
    with pytest.raises(TemplateRenderError, match=re.escape(f"at <{blamed}>: ")):
        render(template)


def test_a_render_error_names_template_line_and_column() -> None:
    error = failure('a\nbb {{ fail "x" }}')

    assert error.message == (
        'template: app:2:6: executing "app" at <fail "x">: error calling fail: x'
    )
    assert (error.template, error.line, error.column) == ("app", 2, 6)


def test_an_error_in_a_defined_template_names_that_one() -> None:
    error = failure('{{ define "part" }}{{ fail "x" }}{{ end }}{{ template "part" }}')

    assert 'executing "part" at' in error.message


def test_a_misspelt_function_gets_a_suggestion() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        render("{{ uper `a` }}")

    assert caught.value.hint == 'did you mean "upper"?'


def test_a_misspelt_builtin_gets_a_suggestion() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        render("{{ urlqery `a` }}")

    assert caught.value.hint == 'did you mean "urlquery"?'


def test_a_function_known_from_elsewhere_is_explained() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        render("{{ key `a` }}")

    assert caught.value.hint == "that one is Consul's"


def test_an_error_of_ours_passes_through_unchanged() -> None:
    with pytest.raises(VaultDenied, match="403"):
        render("{{ denied }}")


def test_a_disabled_function_fails_only_when_it_is_called() -> None:
    table = functions.disable(["upper", "unknown"])
    template = Template.compile(
        "{{ if .x }}{{ upper `a` }}{{ end }}ok",
        name="",
        functions=table,
        error_on_missing_key=False,
    )

    assert template.render(EMPTY).text == "ok"
    with pytest.raises(TemplateRenderError, match="function is disabled"):
        Template.compile("{{ upper `a` }}", name="", functions=table).render(EMPTY)


# --- values of secrets ------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ('{{ fail (secret "a").password }}', "error calling fail: [redacted]"),
        ('{{ fail (upper (secret "a").password) }}', "error calling fail: [redacted]"),
        ('{{ fail (printf "%q!" (secret "a").multiline) }}', '"[redacted]"!'),
        ('{{ fail (printf "%x" (secret "a").password) }}', "[redacted]"),
        ('{{ fail (index (secret "a").deep 0).inner }}', "[redacted]"),
        ('{{ range (secret "a").port }}{{ end }}', "range can't iterate over [redacted]"),
        ('{{ fail (print "port " (secret "a").port " in use") }}', "port [redacted] in use"),
    ],
)
def test_no_error_shows_the_value_of_a_secret(template: str, shown: str) -> None:
    data = {
        "password": "s3cret/Pass",
        "multiline": 'line\n"two"',
        "deep": [{"inner": "hidden-value"}],
        "port": JsonNumber("80"),
    }

    error = failure(template, context_of(data))

    assert shown in str(error)
    for value in ("s3cret", "S3CRET", "two", "hidden", "80", "73336372"):
        assert value not in error.message.partition(">: ")[2]


def test_a_short_value_does_not_blot_out_the_message() -> None:
    error = failure('{{ (secret "a").x.y }}', context_of({"x": "e", "y": ""}))

    assert "can't evaluate field y in type interface {}" in error.message


def test_tokens_are_values_too() -> None:
    auth = AuthData(client_token="hvs.TOKEN")
    error = failure('{{ $s := secret "a" }}{{ fail "got hvs.TOKEN" }}', context_of({}, auth=auth))

    assert "error calling fail: got [redacted]" in error.message


def test_a_function_can_conceal_what_it_returns() -> None:
    table = functions.merged()

    @table.add("pin", run=True)
    def pin(run: Run) -> str:
        run.conceal("4711-0815")
        return "4711-0815"

    with pytest.raises(TemplateRenderError) as caught:
        Template.compile("{{ fail (pin) }}", name="", functions=table).render(EMPTY)

    assert "4711" not in str(caught.value)


# --- rendering ------------------------------------------------------------


def test_one_template_renders_for_many_callers_at_once() -> None:
    template = Template.compile(
        '{{ with secret "a" }}{{ $x := .n }}{{ range 200 }}{{ $x }},{{ end }}{{ end }}',
        name="",
        functions=functions,
    )

    def one(number: int) -> str | None:
        return template.render(context_of({"n": number})).text

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(64)))

    assert texts == [f"{number}," * 200 for number in range(64)]


def test_bytes_that_are_not_utf8_survive() -> None:
    text = b"\xff {{ `\xfe` }} {{ len `\xfe\xc3\xa9` }}".decode("utf-8", "surrogateescape")

    rendered = render(text)

    assert rendered is not None
    assert rendered.encode("utf-8", "surrogateescape") == b"\xff \xfe 3"


def test_half_a_character_of_json_becomes_the_replacement_character() -> None:
    """Python's JSON decoder lets it through; no file can hold it."""
    assert render('{{ (secret "a").x }}', context_of({"x": "a\ud800b"})) == "a\ufffdb"


def test_characters_cut_in_two_and_joined_again_are_whole() -> None:
    assert (
        render('{{ $a := slice "é" 0 1 }}{{ $b := slice "é" 1 }}{{ eq "é" (print $a $b) }}')
        == "true"
    )


def test_delimiters_can_be_chosen() -> None:
    assert render("{{ x }} << upper `a` >>", left="<<", right=">>") == "{{ x }} A"


@pytest.mark.parametrize(
    ("left", "right", "text", "result"),
    [
        ("(", "END", "a( print 1 END)", "a1)"),
        ("<%", "-%>", "<% print 1 -%> b", "1 b"),
        ("{{", " }}", "{{ print 1 }} {{ 2 }}", "1 2"),
        ("{{", "²", "{{ $x := 1²{{ $x²", "1"),
        ("{{", "0}", "{{ print 1 0} {{ `a`0}", "1 a"),
    ],
)
def test_a_delimiter_may_look_like_part_of_a_token(
    left: str, right: str, text: str, result: str
) -> None:
    assert render(text, left=left, right=right) == result


def test_a_name_takes_a_delimiter_of_letters_as_its_own() -> None:
    with pytest.raises(TemplateSyntaxError, match='function "printEND" not defined'):
        Template.compile("{{ printEND", name="", functions=functions, right="END")


@pytest.mark.parametrize(("end", "line"), [("\n}}", 1), ("\n\n-}}", 1), ("\n-}}", 2)])
def test_a_blank_hides_the_line_of_what_comes_after_it(end: str, line: int) -> None:
    """Go names the line it has read up to; a blank, but for that of ``-}}``, is a token of it."""
    with pytest.raises(TemplateSyntaxError, match=r"unexpected \. after term") as caught:
        Template.compile('{{ "a".x' + end, name="", functions=functions)

    assert caught.value.line == line


# --- arguments ------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ('pad 3 "x"', "  x"),
        ("pad 'a' `x` | len", "97"),
        ("pad 2.0 `x`", " x"),
        ("wide 1 2 3 true 4", "Int64 Uint8 float bool complex"),
        ('join "-" nil', ""),
        ("count nil", "0"),
        ("printf `%v %d` nil 5", "<nil> 5"),
    ],
)
def test_constants_take_the_type_of_the_parameter(call: str, result: str) -> None:
    assert render(f"{{{{ {call} }}}}") == result


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ('pad "3" "x"', 'expected integer; found "3"'),
        ("pad 2.5 `x`", "expected integer; found 2.5"),
        ("pad nil `x`", "cannot assign nil to int"),
        ("upper 5", "expected string; found 5"),
        ("upper nil", "cannot assign nil to string"),
        ("upper (len `a`)", "wrong type for value; expected string; got int"),
        ("upper .x", "invalid value; expected string"),
        ('upper (secret "a").nothing', "wrong type for value; expected string; got interface {}"),
        ('upper (secret "a").number', "wrong type for value; expected string; got json.Number"),
        ('join "," "a"', 'can\'t handle "a" for arg of type []string'),
        ('join "," (secret "a").list', "expected []string; got []interface {}"),
        ("upper", "wrong number of args for upper: want 1 got 0"),
        ("upper `a` `b`", "wrong number of args for upper: want 1 got 2"),
        ("`a` | upper `b`", "wrong number of args for upper: want 1 got 2"),
        ("printf", "wrong number of args for printf: want at least 1 got 0"),
    ],
)
def test_arguments_of_the_wrong_type_are_errors_in_gos_words(call: str, problem: str) -> None:
    context = context_of({"nothing": None, "number": JsonNumber("1"), "list": ["a"]})

    error = failure(f"{{{{ {call} }}}}", context, error_on_missing_key=False)

    assert error.message.endswith(problem)


class Point(GoStruct):
    go_type = "geo.Point"
    go_fields: ClassVar = {"X": "int", "Labels": "map[string]string", "Next": "*geo.Point"}

    def __init__(self) -> None:
        self.X = 7
        self.Labels = StringMap(a="b")
        self.Next = NilPointer("*geo.Point", Point)


@functions.add("point")
def point() -> Point:
    return Point()


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("(point).X", "7"),
        ("(point).Labels.a", "b"),
        ("point", "{7 map[a:b] <nil>}"),
        ("printf `%+v` point", "{X:7 Labels:map[a:b] Next:<nil>}"),
        ("printf `%T` point", "geo.Point"),
        ("(point).Next", "<nil>"),
        ("if (point).Next }}T{{ else }}F{{ end", "F"),
    ],
)
def test_structs_show_their_fields(expression: str, result: str) -> None:
    assert render(f"{{{{ {expression} }}}}") == result


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("(point).Y", "can't evaluate field Y in type geo.Point"),
        ("(point).Next.X", "nil pointer evaluating *geo.Point.X"),
        ("(point).Next.Y", "can't evaluate field Y in type *geo.Point"),
        ("(point).Labels.z", 'map has no entry for key "z"'),
        ("(point).X 5", "X has arguments but cannot be invoked as function"),
    ],
)
def test_what_structs_do_not_have_is_an_error(expression: str, problem: str) -> None:
    assert failure(f"{{{{ {expression} }}}}").message.endswith(problem)


def test_methods_of_numbers_from_vault() -> None:
    text = (
        '{{ with secret "a" }}{{ .n.Int64 }} {{ printf "%T" .n.Int64 }} {{ .n.Float64 }}{{ end }}'
    )

    assert render(text, context_of({"n": JsonNumber("12")})) == "12 int64 12"


def test_integers_of_other_widths_keep_their_type_in_a_loop() -> None:
    table = functions.merged()
    table.add("three")(lambda: Int64(3))
    template = Template.compile(
        '{{ range three }}{{ printf "%T%v " . . }}{{ end }}', name="", functions=table
    )

    assert template.render(EMPTY).text == "int640 int641 int642 "


# --- requests ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('{{ with secret "a" }}{{ end }}', {"a"}),
        ('{{ if eq 1 2 }}{{ (secret "a/b/").x }}{{ end }}', {"a/b"}),
        ('{{ "a" | secret }}', {"a"}),
        ("{{ $x := upper (print (secret `a`).x) }}", {"a"}),
        ('{{ define "t" }}{{ secret "a" }}{{ end }}{{ template "t" (secret "b") }}', {"a", "b"}),
        ('{{ define "t" }}{{ secret "a" }}{{ end }}{{ print "t" }}', {"a"}),
        ('{{ define "unused" }}{{ secret "a" }}{{ end }}', set()),
        ('{{ secret (print "a") }}{{ secret .x }}{{ print | secret }}', set()),
        ('{{ secret "a" "k=v" }}{{ secret "" }}', set()),
    ],
)
def test_constant_requests_are_read_off_the_template(text: str, paths: set[str]) -> None:
    template = Template.compile(text, name="", functions=functions)

    assert {request.path for request in template.static_requests()} == paths


# --- hints ------------------------------------------------------------------------------------


def test_a_key_of_kv_version_2_looked_for_too_high_is_explained() -> None:
    context = context_of({"data": {"user": "x"}, "metadata": {}})

    error = failure('{{ (secret "a").user }}', context)

    assert error.message.endswith('map has no entry for key "user"')
    assert error.hint == "a KV version 2 secret has its values one level deeper: .Data.data.user"


def test_a_misspelt_key_gets_a_suggestion() -> None:
    error = failure('{{ (secret "a").usrname }}', context_of({"username": "x", "password": "y"}))

    assert error.hint == 'there is "username"'


def test_the_content_of_a_file_does_not_show_in_errors() -> None:
    table = functions.merged()

    @table.add("file", "string", run=True)
    def file(run: Run, path: str) -> str | None:
        return run.file(FileRequest(path))

    context = RenderContext(secret=lambda _request: None, file=lambda _request: "s3cret-text\n")
    template = Template.compile("{{ fail (file `x`) }}", name="", functions=table)

    with pytest.raises(TemplateRenderError) as caught:
        template.render(context)

    assert "s3cret" not in str(caught.value)
