"""Whatever is wrong with a configuration is told at once, in plain words, with line and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import load_settings

GOOD = """\
auth: {method: aws_iam, role: web}
outputs:
  - destination: /config/app.json
    template: x
"""


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    """Return the problems of *text* in a file, without the folder of the file."""
    file = tmp_path / "app.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=str(file), environ=environ, overrides={})
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def problem(tmp_path: Path, text: str, **environ: str) -> str:
    """Return the only problem of *text*."""
    (only,) = problems(tmp_path, text, **environ)
    return only


def test_a_misspelt_key_is_answered_with_its_line_and_the_right_one(tmp_path: Path) -> None:
    text = GOOD.replace("destination", "destinatoin")

    assert problem(tmp_path, text) == (
        'app.yaml:3: outputs[0].destinatoin: unknown key; did you mean "destination"?'
    )


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "vault: {adress: 'http://x'}",
            'app.yaml:5: vault.adress: unknown key; did you mean "address"?',
        ),
        ("listen: x", 'app.yaml:5: listen: unknown key; did you mean "web.listen"?'),
        (
            "auto_auth: {}",
            'app.yaml:5: auto_auth: unknown key; what Vault Agent calls "auto_auth" is "auth" here',
        ),
        (
            "web: {qqq: 1}",
            "app.yaml:5: web.qqq: unknown key; known here: allowed_hosts",
        ),
        ("probe: {interval: 30}", "app.yaml:5: probe.interval: a duration needs a unit, such as"),
        ("probe: [1]", "app.yaml:5: probe: needs keys and values"),
        ("web: {listen: 8210}", "app.yaml:5: web.listen: needs text; put the value in quotes"),
        ("web: {listen: 127.0.0.1}", "app.yaml:5: web.listen: needs an address and a port"),
        ("vault: {max_connections: 0}", "vault.max_connections: needs to be at least 1"),
        ("vault: {max_connections: 1e3}", "vault.max_connections: needs a whole number"),
        ("vault: {max_connections: 101}", "vault.max_connections: needs to be at most 100"),
        ("vault: {tls_skip_verify: never}", "vault.tls_skip_verify: needs true or false"),
        ("vault: {timeout: 0}", "app.yaml:5: vault.timeout: needs to be longer than 0"),
        ("vault: {ca_file: ''}", "app.yaml:5: vault.ca_file: needs a path"),
        ("log: {level: inf}", 'did you mean "info"?'),
        ("secrets: {overrides: 3}", "app.yaml:5: secrets.overrides: needs keys and values"),
        (
            "secrets: {overrides: {a/b: {ttl: 1s}}}",
            'app.yaml:5: secrets.overrides["a/b"].ttl: unknown key',
        ),
    ],
)
def test_a_problem_says_where_it_is_and_what_is_needed(
    tmp_path: Path, added: str, message: str
) -> None:
    assert message in problem(tmp_path, f"{GOOD}{added}\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("template: x", "template: x\n    mode: 0640", "app.yaml:5: outputs[0].mode: a mode is"),
        ("template: x", "secret: a/b", "only work together; format is json, yaml, dotenv"),
        ("template: x", "mode: '0600'", "outputs[0]: exactly one of template, template_file and"),
        ("template: x", "template: x\n    validate_command: []", "needs at least one item"),
        ("template: x", "template: x\n    validate_command: a", "needs a list"),
        ("template: x", "template: ''", "app.yaml:4: outputs[0].template: may not be empty"),
        ("template: x", "template: x\n    notify: {}", "exactly one of http, signal, command and"),
        ("role: web", "rol: web", 'app.yaml:1: auth.rol: unknown key; did you mean "role"?'),
        ("role: web", "mount: aws", "app.yaml:1: auth.role: is needed"),
        ("role: web", "role: web, role_id: x", "unknown key; it belongs to method: approle"),
        ("method: aws_iam, ", "", 'auth.method: is needed: one of "aws_iam", "aws_ec2", '),
        ("method: aws_iam", "method: aws-iam", 'did you mean "aws_iam"?'),
        ("method: aws_iam", "method: aws", 'did you mean "aws_iam"?'),
        ("aws_iam, role: web", "approle", "auth: exactly one of role_id and role_id_file is"),
        ("role: web", "role: web, min_backoff: 2m", "min_backoff needs to be above 0 and at most"),
    ],
)
def test_a_rule_about_several_keys_names_them(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert message in problem(tmp_path, GOOD.replace(old, new))


def test_a_missing_section_is_a_problem_of_the_file(tmp_path: Path) -> None:
    assert problem(tmp_path, "outputs: [{destination: /a, template: x}]") == (
        "app.yaml: auth: is needed"
    )


def test_problems_that_hide_behind_others_are_told_with_them(tmp_path: Path) -> None:
    """A wrong method hides its section, a misspelt key its value, and all of it the outputs."""
    text = """\
vault: {adress: "https://vault:8200/ui"}
auth:
  method: aws_iamm
  role: web
  sts_region: us-east-1a
outputs:
  - destination: /config/a
    template: x
    secret: y
    mode: rw
  - {destinatoin: /config//a, template: x}
  - {destination: /config/b, format: jsn, secret: x}
  - {destination: /config/b/c, template: x}
"""
    told = problems(tmp_path, text)

    assert [line.split(": ", 2)[:2] for line in told] == [
        ["app.yaml:1", "vault.adress"],
        ["app.yaml:1", "vault.address"],
        ["app.yaml:3", "auth.method"],
        ["app.yaml:5", "auth.sts_region"],
        ["app.yaml:8", "outputs[0]"],
        ["app.yaml:10", "outputs[0].mode"],
        ["app.yaml:11", "outputs[1].destinatoin"],
        ["app.yaml:12", "outputs[2].format"],
        ["app.yaml:13", "outputs[3].destination"],
    ]


def test_what_only_follows_from_another_problem_is_left_out(tmp_path: Path) -> None:
    """A template of the wrong type is not also a template that is missing."""
    text = GOOD.replace("template: x", "template: [x]")

    assert problem(tmp_path, text) == "app.yaml:4: outputs[0].template: needs text"


def test_two_outputs_cannot_have_one_destination(tmp_path: Path) -> None:
    text = GOOD + "  - {destination: /config/./x/..//app.json, template: y}\n"

    assert problem(tmp_path, text) == (
        "app.yaml:5: outputs[1].destination: outputs[0] has the same destination"
    )


def test_a_destination_cannot_be_the_directory_of_another(tmp_path: Path) -> None:
    text = GOOD + "  - {destination: /config/app.json/x/y, template: y}\n"

    assert problem(tmp_path, text) == (
        "app.yaml:5: outputs[1].destination: lies below the destination of outputs[0],"
        " which is a file"
    )


def test_two_outputs_cannot_have_one_name(tmp_path: Path) -> None:
    text = GOOD.replace("template: x", "template: x\n    name: n")
    text += "  - {destination: /b, template: y, name: n}\n"

    assert problem(tmp_path, text) == "app.yaml:6: outputs[1].name: outputs[0] has the same name"


def test_no_output_can_be_called_like_the_environment_of_the_application(tmp_path: Path) -> None:
    """The metrics of both were one series."""
    text = GOOD + "    name: exec.env\n"

    assert problem(tmp_path, text).startswith("app.yaml:5: outputs[0].name: is taken")


def test_a_pair_that_is_half_given_is_told_where_the_half_is(tmp_path: Path) -> None:
    text = f"{GOOD}vault:\n  timeout: 5s\n  client_key_file: /k\n"

    assert problem(tmp_path, text) == (
        "app.yaml:7: vault: client_cert_file and client_key_file only work together"
    )


def test_a_flood_of_problems_is_cut_and_counted(tmp_path: Path) -> None:
    told = problems(tmp_path, GOOD + "".join(f"k{n}: 1\n" for n in range(500)))

    assert len(told) == 101
    assert told[-1] == "... and more problems"


@pytest.mark.parametrize("name", ['"a\\n\\e[31mb"', "pass word", '""', "é", "k" * 300])
def test_text_that_slipped_in_front_of_a_colon_is_not_repeated(tmp_path: Path, name: str) -> None:
    told = problem(tmp_path, f"{GOOD}{name}: 1\n")

    assert told.startswith("app.yaml:5: [?]: unknown key")


def test_the_name_of_a_file_cannot_break_out_of_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config_file=f"{tmp_path}/a\n\x1b[31mb\udcff", environ={}, overrides={})

    (told,) = caught.value.problems
    assert told.endswith("a??[31mb?: there is no such file")
