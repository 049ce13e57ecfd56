"""Rendering has no side effects: what a template wants done is handed out, and done later."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from leasekeeper.errors import PublishError, TemplateRenderError
from leasekeeper.templates.functions import functions
from leasekeeper.templates.functions.effects import FileEffect
from leasekeeper.templates.golang import machine
from leasekeeper.templates.source import RenderContext, Rendered
from leasekeeper.templates.template import Template


def _render(
    text: str,
    *,
    program: Callable[[tuple[str, ...]], str] | None = None,
    environ: dict[str, str] | None = None,
) -> Rendered:
    template = Template.compile(
        text,
        name="",
        functions=functions(),
        error_on_missing_key=False,
        on_unresolved="nil" if program else "pause",
    )
    return template.render(
        RenderContext(secret=lambda _request: None, program=program, environ=environ or {})
    )


# --- writeToFile ------------------------------------------------------------------------------


def test_write_to_file_writes_nothing_until_its_effect_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"

    rendered = _render(f'{{{{ "x" | writeToFile "{path}" "" "" "0640" "newline" }}}}done')

    assert rendered.text == "done"
    assert not path.parent.exists()
    for effect in rendered.effects:
        effect.apply()
    assert path.read_text() == "x\n"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_paused_render_has_no_effects(tmp_path: Path) -> None:
    rendered = _render(
        f'{{{{ "x" | writeToFile "{tmp_path}/a" "" "" "0600" }}}}{{{{ secret "a" }}}}'
    )

    assert rendered.text is None
    assert rendered.effects == ()


def test_appending_keeps_what_is_there_and_follows_no_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    link.symlink_to(path)
    effect = FileEffect(
        path=str(path), where="template: :1:3", content=b"one", mode=0o600, append=True
    )

    effect.apply()
    effect.apply()

    assert path.read_bytes() == b"oneone"
    with pytest.raises(PublishError):
        FileEffect(
            path=str(link), where="template: :1:3", content=b"x", mode=0o600, append=True
        ).apply()


def test_replacing_a_file_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)

    FileEffect(path=str(link), where="template: :1:3", content=b"new", mode=0o600).apply()

    assert target.read_text() == "precious"
    assert link.read_text() == "new"


def test_a_refusal_of_the_file_system_names_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()

    with pytest.raises(PublishError) as caught:
        FileEffect(path=str(path), where="template: :1:3", content=b"s3cr3t", mode=0o600).apply()

    assert caught.value.path == str(path)
    assert "s3cr3t" not in str(caught.value)
    assert os.listdir(tmp_path) == ["directory"]


def test_owners_are_looked_up_by_name_or_taken_as_numbers() -> None:
    user, group = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
    rendered = _render(
        f'{{{{ writeToFile "a" "{user}" "{group}" "0600" "x" }}}}'
        '{{ writeToFile "b" "1234" "" "0600" "x" }}'
    )

    owners = [
        (effect.user, effect.group) for effect in rendered.effects if isinstance(effect, FileEffect)
    ]
    assert owners == [(0, 0), (1234, None)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('"a" "nobody-at-all" "" "0644" "x"', "user: unknown user nobody-at-all"),
        ('"a" "" "nogroup-at-all" "0644" "x"', "group: unknown group nogroup-at-all"),
        ('"a" "" "" "99" "x"', 'strconv.ParseUint: parsing "99": invalid syntax'),
        ('"a" "" "" "0644"', "runtime error: index out of range [-1]"),
    ],
)
def test_a_file_that_could_not_be_written_fails_the_render(arguments: str, message: str) -> None:
    with pytest.raises(TemplateRenderError) as caught:
        _render(f"{{{{ writeToFile {arguments} }}}}")

    assert caught.value.message.endswith(f"error calling writeToFile: {message}")


# --- plugin -----------------------------------------------------------------------------------


def test_programs_are_not_run_unless_who_renders_offers_it() -> None:
    with pytest.raises(TemplateRenderError, match="templates do not run programs here"):
        _render('{{ plugin "echo" "x" }}')

    assert _render('[{{ plugin "" }}]').text == "[]"


def test_a_plugin_gets_its_arguments_trimmed_and_without_empty_ones() -> None:
    asked: list[tuple[str, ...]] = []

    def program(argv: tuple[str, ...]) -> str:
        asked.append(argv)
        return "said"

    rendered = _render('{{ plugin "tool" " a\\n" "" " " "b c" }}', program=program)

    assert rendered.text == "said"
    assert asked == [("tool", "a", "b c")]


def test_a_program_runs_in_every_pass_as_in_the_agent() -> None:
    asked = []
    text = '{{ with secret "a" }}{{ end }}{{ plugin "tool" "x" }}'

    assert _render(text, program=lambda argv: asked.append(argv) or "").text is None
    assert asked == [("tool", "x")]


def test_the_time_of_a_program_does_not_count_as_the_templates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def program(_argv: tuple[str, ...]) -> str:
        nonlocal now
        now += 30
        return " said\n"

    monkeypatch.setattr(machine, "monotonic", lambda: now)
    text = '{{ range 3 }}{{ plugin "tool" }}{{ end }}'

    assert _render(text, program=program).text == "saidsaidsaid"


def test_natively_templates_run_no_programs() -> None:
    template = Template.compile('{{ plugin "tool" }}', name="", functions=functions())
    context = RenderContext(secret=lambda _request: None, program=lambda _argv: "ran")

    with pytest.raises(TemplateRenderError, match="templates do not run programs here"):
        template.render(context)


# --- scratch, executeTemplate, environment ------------------------------------------------------


def test_a_scratch_pad_lives_as_long_as_one_render() -> None:
    text = '{{ scratch.Key "k" }}{{ scratch.Set "k" 1 }}{{ scratch.Key "k" }}'
    template = Template.compile(text, name="t", functions=functions())
    context = RenderContext(secret=lambda _request: None)

    assert [template.render(context).text for _ in range(2)] == ["falsetrue", "falsetrue"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ('{{ scratch.SetX "k" 1 }}{{ scratch.SetX "k" 2 }}{{ scratch.Get "k" }}', "1"),
        (
            (
                '{{ with scratch }}{{ .MapSet "m" "b" 1 }}{{ .MapSet "m" "a" 3 }}'
                '{{ .MapValues "m" }}{{ end }}'
            ),
            "[3 1]",
        ),
        (
            '{{ define "t" }}<{{ . }}>{{ end }}{{ executeTemplate "t" 5 | toJSON }}',
            '"\\u003c5\\u003e"',
        ),
        (
            '{{ env "A" }}|{{ env "B" }}|{{ envOrDefault "E" "d" }}|{{ envOrDefault "B" "d" }}',
            "1|||d",
        ),
        ('{{ spew_dump "s3cr3t" }}|{{ spew_printf "%v" "s3cr3t" }}', "|"),
    ],
)
def test_helpers_of_one_render(text: str, printed: str) -> None:
    assert _render(text, environ={"A": "1", "E": ""}).text == printed


def test_a_required_variable_that_is_empty_is_an_error_that_names_it() -> None:
    with pytest.raises(TemplateRenderError, match="required environment variable E is empty"):
        _render('{{ mustEnv "E" }}', environ={"E": ""})
