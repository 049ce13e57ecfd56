"""A template that needs what is not there yet: what runs, what waits, what it asks for."""

from __future__ import annotations

from typing import Any

import pytest

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.machine import Run
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.templates.template import Template
from leasekeeper.vault.response import VaultResponse

functions = FunctionTable()


@functions.add("secret", "string", run=True)
def secret(run: Run, path: str) -> dict[str, Any] | None:
    snapshot = run.secret(SecretRequest.read(path))
    return snapshot.response.data if snapshot else None


@functions.add("fail", "string")
def fail(message: str) -> None:
    raise GoError(message)


@functions.add("render", "string", run=True)
def render_defined(run: Run, name: str) -> str:
    return run.execute(name)


@functions.add("remember", "string", run=True)
def remember(run: Run, value: str) -> str:
    run.scratch["remembered"] = value
    return ""


@functions.add("recall", run=True)
def recall(run: Run) -> str:
    run.settle()
    return str(run.scratch.get("remembered"))


def render(text: str, *, pause: bool = True, **known: dict[str, Any]) -> Rendered:
    """Render *text*; of the secrets, only *known* ones are there."""
    snapshots = {
        SecretRequest.read(path): Snapshot(
            request=SecretRequest.read(path),
            kind=SecretKind.STATIC,
            response=VaultResponse(data=data),
            generation=1,
            issued_at=0,
        )
        for path, data in known.items()
    }
    template = Template.compile(
        text, name="app", functions=functions, on_unresolved="pause" if pause else "nil"
    )
    return template.render(RenderContext(secret=snapshots.get))


def paths(dependencies: frozenset[Any]) -> set[str]:
    return {dependency.path for dependency in dependencies}


def test_a_missing_secret_leaves_no_text() -> None:
    rendered = render('before {{ (secret "a").user }} after')

    assert rendered.text is None
    assert paths(rendered.missing) == {"a"}


def test_nothing_missing_renders_and_says_what_was_used() -> None:
    rendered = render(
        '{{ (secret "a").user }}{{ (secret "b").user }}', a={"user": "x"}, b={"user": "y"}
    )

    assert rendered.text == "xy"
    assert paths(rendered.used) == {"a", "b"}
    assert not rendered.missing


def test_everything_that_is_missing_is_found_in_one_pass() -> None:
    rendered = render(
        '{{ with secret "a" }}{{ .x }}{{ end }}{{ if secret "b" }}{{ end }}'
        '{{ define "t" }}{{ secret "c" }}{{ end }}{{ template "t" }}{{ range secret "d" }}{{ end }}'
    )

    assert paths(rendered.missing) == {"a", "b", "c", "d"}


def test_the_else_branch_of_an_unresolved_block_does_not_run() -> None:
    """In Vault Agent's dialect it does, because nil is false."""
    text = '{{ with secret "a" }}{{ else }}{{ secret "fallback" }}{{ end }}'

    assert paths(render(text).missing) == {"a"}
    assert paths(render(text, pause=False).missing) == {"a", "fallback"}


def test_what_depends_on_a_pending_variable_waits_with_it() -> None:
    """Otherwise the path of the second secret would be made of nothing, and asked for."""
    rendered = render(
        '{{ $env := (secret "a").env }}{{ secret (printf "app/%v" $env) }}{{ secret "b" }}'
    )

    assert paths(rendered.missing) == {"a", "b"}


@pytest.mark.parametrize(
    "block",
    [
        '{{ with secret "a" }}{{ $env = .env }}{{ end }}',
        '{{ if secret "a" }}{{ $env = "b" }}{{ end }}',
        '{{ range secret "a" }}{{ $env = . }}{{ end }}',
        '{{ range $i, $env = secret "a" }}{{ end }}',
        '{{ if true }}{{ if secret "a" }}{{ else }}{{ $env = "c" }}{{ end }}{{ end }}',
        '{{ print ($env = (secret "a").env) }}',
    ],
)
def test_a_variable_that_an_abandoned_block_assigns_is_pending(block: str) -> None:
    rendered = render(f'{{{{ $env := "none" }}}}{block}{{{{ secret (print "app/" $env) }}}}')

    assert paths(rendered.missing) == {"a"}


def test_a_variable_of_a_block_that_ran_is_not_pending() -> None:
    text = '{{ $e := "none" }}{{ with secret "a" }}{{ $e = .env }}{{ end }}{{ secret (print $e) }}'

    assert paths(render(text, a={"env": "prod"}).missing) == {"prod"}


def test_only_the_innermost_statement_is_left_out() -> None:
    rendered = render('{{ if true }}{{ (secret "a").x }}{{ secret "b" }}{{ end }}{{ secret "c" }}')

    assert paths(rendered.missing) == {"a", "b", "c"}


def test_a_loop_goes_on_with_the_next_element() -> None:
    rendered = render(
        '{{ range $i := 3 }}{{ secret (print $i) }}{{ secret (print "x" $i) }}{{ end }}'
    )

    assert paths(rendered.missing) == {"0", "1", "2", "x0", "x1", "x2"}


def test_an_error_after_a_pause_is_kept_for_the_complete_pass() -> None:
    text = '{{ $n := secret "a" }}{{ fail "broken" }}{{ secret "b" }}'

    assert paths(render(text).missing) == {"a", "b"}
    with pytest.raises(TemplateRenderError, match="broken"):
        render(text, a={}, b={})


def test_an_error_before_any_pause_is_raised_at_once() -> None:
    with pytest.raises(TemplateRenderError, match="broken"):
        render('{{ fail "broken" }}{{ secret "a" }}')


def test_in_the_agents_dialect_an_error_in_any_pass_is_an_error() -> None:
    with pytest.raises(TemplateRenderError, match="no entry"):
        render('{{ (secret "a").user }}', pause=False)


def test_a_nested_template_that_is_not_complete_pauses_its_caller() -> None:
    """Its text would be half a path."""
    text = '{{ define "path" }}app/{{ (secret "a").env }}{{ end }}{{ secret (render "path") }}'

    assert paths(render(text).missing) == {"a"}
    assert paths(render(text, a={"env": "prod"}).missing) == {"app/prod"}


def test_a_nested_template_that_is_complete_does_not_pause_after_an_earlier_pause() -> None:
    text = '{{ secret "a" }}{{ define "path" }}app{{ end }}{{ secret (render "path") }}'

    assert paths(render(text).missing) == {"a", "app"}


def test_what_reads_what_others_leave_behind_waits_for_them() -> None:
    text = '{{ remember (secret "a").env }}{{ secret (recall) }}'

    assert paths(render(text).missing) == {"a"}
    assert paths(render(text, a={"env": "prod"}).missing) == {"prod"}


def test_endless_recursion_ends_a_paused_pass_quietly() -> None:
    """Every level would otherwise be tried twice, and the universe is too young for that."""
    recursion = '{{ define "r" }}{{ template "r" }}{{ template "r" }}{{ end }}'
    text = recursion + '{{ secret "a" }}{{ template "r" }}'

    assert paths(render(text).missing) == {"a"}
    with pytest.raises(TemplateRenderError, match="exceeded maximum template depth"):
        render(text, a={})


def test_and_and_or_pause_as_a_whole() -> None:
    assert render('{{ or (secret "a") "default" }}').text is None
    assert paths(render('{{ and (secret "a") (secret "b") }}').missing) == {"a"}
