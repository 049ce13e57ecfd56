"""render, schema, completion, status and explain: what they print, and that they need no Vault."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from leasekeeper.cli import main
from leasekeeper.commands import COMMANDS, completion, explain
from leasekeeper.commands.diff import _kept, _kept_blocks, _lines
from leasekeeper.commands.pretending import made_up as made_up_pem
from leasekeeper.commands.running import span, times
from leasekeeper.commands.status import table

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(CONFIG.glob("*.yaml"))
AT = "2026-01-31T12:00:00+00:00"
LATER = "2026-01-31T13:05:00+00:00"


def told(**more: Any) -> dict[str, Any]:
    """Return an answer of /status."""
    secret = {
        "name": "database/creds/a", "kind": "leased", "generation": 2, "issued": AT,
        "renewals": 1, "renewed": [AT], "expires": LATER, "valid_seconds": 3900.0,
        "next": {"action": "renewal", "at": LATER}, "renewal": LATER, "rotation": None,
        "probe": LATER, "lease_hash": "x", "outputs": ["/config/a"], "error": None,
    }  # fmt: skip
    output = {
        "name": "/config/a", "state": "published", "generation": 2, "published": AT,
        "size_bytes": 5, "expires": LATER, "valid_seconds": 3900.0, "expired": False,
        "secrets": ["database/creds/a"], "waiting_for": [], "notify": None, "error": None,
    }  # fmt: skip
    token = {
        "live": True, "logins": 1, "renewable": True, "final": False, "issued": AT, "renewals": 0,
        "expires": None, "ttl_seconds": None, "next": {"action": "none", "at": None},
        "handover": None, "error": None,
    }  # fmt: skip
    vault = {"address": "https://v:8200", "reachable": True, "latency_seconds": 0.004}
    return {
        "version": 1, "now": AT, "state": "healthy", "reasons": [], "vault": vault,
        "outage_budget_seconds": 3900.0, "token": token, "secrets": [secret],
        "outputs": [output], "sinks": [], "application": None, **more,
    }  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_example(file: Path) -> None:
    from leasekeeper.settings.documentation import json_schema

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text("utf-8")))


def test_the_schema_is_printed_describes_every_key_and_refuses_a_misspelt_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)

    sections = [schema, *schema["$defs"].values()]
    assert all(v["description"] for s in sections for v in s["properties"].values())
    for example in schema["examples"]:
        jsonschema.validate(example, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**example, "outptus": []}, schema)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_renders_with_made_up_values(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CONFIG)
    assert main(["render", "--fake", "--output-dir", str(tmp_path), "--config", str(file)]) == 0
    written = capsys.readouterr().out.split()
    assert written
    assert all(Path(path).is_relative_to(tmp_path) for path in written)


def test_content_that_would_be_refused_is_told_by_render(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "auth: {method: approle, role_id: r}\n"
        "outputs: [{destination: /x, template: '{', validate: json}]\n",
        encoding="utf-8",
    )

    assert main(["render", "--fake", "-c", str(file)]) == 4
    printed = capfd.readouterr()
    assert printed.out == "--- /x\n{\n"
    assert "[LK-FILE-008]" in printed.err


def test_the_table_of_the_status_names_what_is_held_and_what_comes_next() -> None:
    text = table(told(reasons=["Vault cannot be reached"], state="degraded"))

    assert "degraded   without Vault everything stays valid for 1h 5m" in text
    assert "! Vault cannot be reached" in text
    assert re.search(r"database/creds/a +leased +2 +1h 5m +renewal +1h 5m", text)
    assert re.search(r"/config/a +published +2 +1h 5m", text)
    assert "\x1b" not in text
    assert "\x1b[33mdegraded\x1b[0m" in table(told(state="degraded"), colourful=True)


def test_a_task_that_stands_by_is_shown_without_token_and_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = {"leading": False, "leader": "task-1", "term": 3}
    answer = told(vault=None, token=None, secrets=[], shared=shared)

    text = table(answer)

    assert "shared volume   task-1 leads (term 3)" in text
    assert "SECRET" not in text
    assert explain.explained("token", answer) is None
    assert "there are:\n  /config/a" in capsys.readouterr().err


def test_a_secret_an_output_and_the_token_are_explained_in_sentences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = explain.explained("/database/creds/a", told())
    assert secret is not None
    assert "It will be renewed in 1h 5m" in secret
    assert "It is used by /config/a." in secret
    assert "It is made from database/creds/a" in (explain.explained("/config/a", told()) or "")
    assert "It never ends." in (explain.explained("token", told()) or "")
    assert explain.explained("nothing", told()) is None
    assert "/config/a" in capsys.readouterr().err


def test_an_error_of_a_secret_is_explained_with_its_code() -> None:
    answer = told()
    answer["secrets"][0]["error"] = {"code": "LK-SECRET-001", "message": "no", "hint": "allow it"}

    text = explain.explained("database/creds/a", answer)

    assert text is not None
    assert "At present: no (allow it) [LK-SECRET-001]" in text


@pytest.mark.parametrize("word", ["LK-AUTH-003", "lk-auth-003", "AUTH-3"])
def test_a_code_is_explained_however_it_is_written(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", word]) == 0
    assert capsys.readouterr().out.startswith("LK-AUTH-003: The task's IAM role is not bound")


def test_an_unknown_code_is_met_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LK-AUHT-003"]) == 2
    assert "LK-AUTH-003" in capsys.readouterr().err


def test_without_a_running_process_it_is_said_where_was_looked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status", "--listen", "127.0.0.1:1"]) == 4
    assert "no answer from 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:port", "off"])
def test_an_address_that_is_none_is_an_error_and_no_traceback(
    listen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "token", "--listen", listen]) == 4
    said = capsys.readouterr().err
    assert "that is no ADDRESS:PORT" in said
    assert "[LK-START-002]" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "-"), (-1, "0s"), (0.4, "0s"), (59.6, "1m"), (3661, "1h 1m"), (90061, "1d 1h")],
)
def test_lengths_of_time_are_short(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


def test_a_made_up_value_keeps_only_the_line_that_it_stands_in() -> None:
    old = ["user=v-abc password=xyz;", "port=1"]

    assert _kept("user=made-up-username password=made-up-password;", old) == old[0]
    assert _kept("name=made-up-username", old) == "name=made-up-username"


def test_made_up_certificates_and_keys_keep_those_that_are_there() -> None:
    made_up = made_up_pem("private_key")
    ours = "-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----"
    there = f"{ours}\n-----BEGIN EC PRIVATE KEY-----\na\nb\n-----END EC PRIVATE KEY-----\n"

    assert _kept_blocks(f"{ours}\n{made_up}\n", there) == there
    assert _kept_blocks(json.dumps(made_up), "nothing") == json.dumps(made_up)
    assert _kept_blocks(f"{made_up}\n", there) == f"{made_up}\n", "a certificate is no key"


@pytest.mark.parametrize("command", [["refresh"], ["rotate", "a"], ["quit"]])
def test_without_a_configuration_it_is_said_how_to_find_the_process(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.com")

    assert main(command) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert "name its configuration with -c FILE" in first


@pytest.mark.parametrize(("count", "said"), [(0, "0 times"), (1, "once"), (2, "2 times")])
def test_how_often_is_said_as_people_do(count: int, said: str) -> None:
    assert times(count) == said


def test_hidden_lines_show_nothing_of_what_is_there() -> None:
    shown = list(_lines(["a", "old"], ["a", "new"], ["a", "[secret]"], show_secrets=False))

    assert shown == ["  -    2 (hidden)", "  +    2 [secret]"]


def test_the_page_of_commands_names_every_command_and_option() -> None:
    page = (CONFIG.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    known = completion.words()

    assert {name for name in known if f"`{name}" not in page} == set()
    ours = {option for name in COMMANDS for option in known[name] if option.startswith("--")}
    everyday = {"--help", "--token-file"}
    assert {option for option in ours - everyday if option not in page} == set()


def test_every_command_has_a_parser_with_examples() -> None:
    for name, options in completion.words().items():
        assert options
        if name in COMMANDS:
            module = __import__(f"leasekeeper.commands.{name}", fromlist=["parser"])
            assert "examples:" in module.parser().format_help()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_can_read(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in (*COMMANDS, "run", "health"))
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_bash_completes_commands_and_options() -> None:
    script = completion._bash(completion.words()) + (
        "COMP_WORDS=(leasekeeper che); COMP_CWORD=1; _leasekeeper; echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(leasekeeper check --on); COMP_CWORD=2; _leasekeeper; echo ${COMPREPLY[@]}\n"
    )
    ran = subprocess.run(["bash"], input=script, text=True, check=True, capture_output=True)

    assert ran.stdout.split() == ["check", "--online"]


def test_a_run_imports_no_command_and_no_table_of_codes() -> None:
    program = (
        "import sys, leasekeeper.cli, leasekeeper.agent\n"
        "print(*(m for m in sys.modules if m.startswith(('leasekeeper.commands.',"
        " 'leasekeeper.codes'))))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert ran.stdout.split() == []
