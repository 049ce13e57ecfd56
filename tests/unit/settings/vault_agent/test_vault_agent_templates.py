"""`template` and `template_config`: the files to write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.settings.model import CommandNotify, Notify, OutputSection
from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, load, problems

GIVEN = 'contents = "x"\ndestination = "/config/a"\nerror_on_missing_key = true\n'


def output(text: str, *, given: str = GIVEN) -> OutputSection:
    (found,) = load(f"{LOGIN}template {{\n{given}{text}\n}}\n").settings.outputs
    return found


def faults(text: str, *, given: str = GIVEN) -> list[str]:
    return problems(f"{LOGIN}template {{\n{given}{text}\n}}\n")


def expected(**values: Any) -> OutputSection:
    return OutputSection(template="x", destination="/config/a", **{"mode": "keep", **values})


def test_defaults_are_the_agents() -> None:
    found = output("", given='contents = "x"\ndestination = "/config/a"\n')

    assert found == expected(error_on_missing_key=False)


def test_every_key_is_mapped() -> None:
    text = """
        create_dest_dirs = false
        command = ["kill", "-HUP", "1"]
        command_timeout = "5s"
        perms = "0600"
        user = "app"
        group = "1000"
        left_delimiter = "<<"
        right_delimiter = ">>"
        function_denylist = ["plugin", "write*"]
        function_blacklist = ["env"]
        sandbox_path = "/templates"
        error_fatal = false
        backup = false
    """
    assert output(text) == expected(
        create_dest_dirs=False,
        mode="0600",
        user="app",
        group=1000,
        left_delimiter="<<",
        right_delimiter=">>",
        function_denylist=["plugin", "write*", "env"],
        sandbox_path="/templates",
        notify=Notify(command=CommandNotify(command=["kill", "-HUP", "1"]), timeout="5s"),
    )


def test_names_of_keys_may_be_in_any_case() -> None:
    assert output('PERMS = "0600"') == expected(mode="0600")


def test_a_template_is_kept_to_the_last_character() -> None:
    text = 'contents = <<-E\n    {{ with secret "a" }}\n      ${x}\n    {{ end }}\n    E\n'

    found = output(text, given='destination = "/config/a"\n')

    assert found.template == '{{ with secret "a" }}\n  ${x}\n{{ end }}\n'


def test_relative_paths_are_meant_from_where_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'source = "./in.ctmpl"\ndestination = "out/a"\nsandbox_path = "box"\n'

    found = output(text, given="")

    assert found.template_file == f"{tmp_path}/./in.ctmpl"
    assert found.destination == f"{tmp_path}/out/a"
    assert found.sandbox_path == f"{tmp_path}/box"


def test_without_a_working_directory_paths_have_to_be_absolute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "getcwd", gone)

    assert output("")
    (found,) = faults('destination = "a"', given='contents = "x"\n')
    assert found.startswith("agent.hcl:4: template.destination: needs an absolute path")


def test_a_command_is_said_in_one_of_two_ways_and_exec_goes_first() -> None:
    old = output('command = "reload now"\ncommand_timeout = "5s"').notify
    new = output('exec { command = ["reload"] timeout = "7s" }').notify
    both = output('command = "a b"\ncommand_timeout = "5s"\nexec { command = "c" }').notify
    timed = output('command = "a"\nexec { timeout = "7s" }').notify
    last = output('exec { command = "a" }\nexec = { command = "b" }').notify

    assert old == Notify(command={"command": ["sh", "-c", "reload now"]}, timeout="5s")
    assert new == Notify(command={"command": ["reload"]}, timeout="7s")
    assert both == Notify(command={"command": ["c"]}, timeout="5s")
    assert timed == Notify(command={"command": ["a"]}, timeout="7s")
    assert last == Notify(command={"command": ["b"]}, timeout="30s")
    assert output('command = ""').notify is None
    assert output('command_timeout = "5s"').notify is None


def test_numbers_of_owners_count_where_there_is_no_name() -> None:
    assert output("uid = 0\ngid = 1000") == expected(user=0, group=1000)
    assert output('user = "app"\nuid = 5\ngroup = "www"\ngid = 6') == expected(
        user="app", group="www"
    )
    assert output("uid = -1\ngid = -1") == expected()
    assert output("user = 1000") == expected(user=1000)


def test_a_mode_of_0_is_none() -> None:
    assert output('perms = "0000"') == expected()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("perms = 640", 'template.perms: is not octal as it stands; write perms = "0640"'),
        ('perms = "rw"', "template.perms: needs octal digits"),
        ("command_timeout = 30", "nanoseconds"),
        ('exec { timeout = "x" }', "template.exec.timeout: needs a duration"),
        ("user = true", "template.user: needs text"),
        ('uid = "x"', "template.uid: needs a whole number"),
        ('user = "a b"', "template.user: needs a name or a number"),
        ('exec = "x"', "template.exec: needs a block"),
        ("exec { env { pristine = true } }", "template.exec.env: is not supported"),
        ('exec { kill_signal = "SIGINT" }', "template.exec.kill_signal: is not supported"),
        ("perms { }", "template.perms: needs octal digits"),
        ('wait { min = "2s" enabled = true }', 'template.wait: unknown key "enabled"'),
        ("content = 1", 'template: unknown key "content"; did you mean "contents"?'),
        ('source = "/x"', "template: cannot specify both 'source' and 'contents'"),
    ],
)
def test_what_is_wrong_with_a_key_is_one_problem(text: str, words: str) -> None:
    found = faults(text)

    assert len(found) == 1
    assert words in found[0]
    assert found[0].startswith(("agent.hcl:6: ", "agent.hcl:3: template: cannot"))


def test_source_or_contents_is_needed_and_a_destination() -> None:
    assert faults("", given="") == [
        "agent.hcl:2: template: must specify exactly one of 'source' or 'contents'",
        "agent.hcl:2: template.destination: is needed",
    ]


def test_two_templates_cannot_have_one_destination() -> None:
    (found,) = problems(GOOD + 'template { contents = "y", destination = "/config/./a" }\n')

    assert found.startswith("agent.hcl:3: template.destination: outputs[0] has the same")


def test_what_the_agent_does_to_missing_keys_is_worth_one_warning() -> None:
    two = "".join(f'template {{ contents = "x" destination = "/{n}" }}\n' for n in "ab")

    loaded = load(LOGIN + two)

    (warning,) = loaded.warnings
    assert warning.startswith("agent.hcl:2: 2 templates write `<no value>` where a key is missing")
    assert load(GOOD).warnings == ()


def test_template_config_is_mapped() -> None:
    text = GOOD + 'template_config { static_secret_render_interval = "10m" }\n'

    assert load(text).settings.secrets.static_secret_render_interval == 600
    assert load(GOOD).settings.secrets.static_secret_render_interval == 300
    zero = GOOD + "template_config { static_secret_render_interval = 0 }\n"
    assert load(zero).settings.secrets.static_secret_render_interval == 300


def test_a_start_waits_for_ever_unless_it_is_told_to_give_up() -> None:
    assert load(GOOD).settings.lifecycle.startup_deadline == 0
    text = GOOD + "template_config { exit_on_retry_failure = true }\n"
    assert round(load(text).settings.lifecycle.retry_grace) == 304
    assert load(text).settings.lifecycle.failure_grace == 1
    once = text + "vault { retry { num_retries = -1 } }\n"
    assert load(once).settings.lifecycle.retry_grace == 1


def test_two_thousand_templates_load() -> None:
    many = "".join(
        f'template {{ contents = "x" destination = "/config/{n}" }}\n' for n in range(2000)
    )

    assert len(load(LOGIN + many).settings.outputs) == 2000
