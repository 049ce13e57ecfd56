"""Token sinks in the configuration: what goes together, and what clashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings import checks
from leasekeeper.settings.describe import show
from leasekeeper.settings.loading import LoadedSettings, load_settings

AUTH = "auth: {method: aws_iam, role: r}\n"
SINKS = f"{AUTH}sinks:\n  - path: /run/token\n"
DH = "    dh_type: curve25519\n    dh_path: /run/key.json\n"


def load(tmp_path: Path, text: str) -> LoadedSettings:
    path = tmp_path / "app.yaml"
    path.write_text(text)
    return load_settings(config_file=str(path), environ={}, overrides={})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [told.removeprefix(f"{tmp_path}/") for told in caught.value.problems]


def test_a_sink_is_enough_to_run_for(tmp_path: Path) -> None:
    settings = load(tmp_path, SINKS).settings

    (sink,) = settings.sinks
    assert settings.outputs == []
    assert (sink.path, sink.mode, sink.wrap_ttl, sink.dh_path) == ("/run/token", 0o640, 0, None)


@pytest.mark.parametrize("text", [AUTH, f"{AUTH}outputs: []\nsinks: []\n"])
def test_without_any_file_there_is_nothing_to_do(tmp_path: Path, text: str) -> None:
    (told,) = problems(tmp_path, text)

    assert told.endswith("outputs: is needed: at least one, or else one of sinks")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("    dh_path: /k\n", "app.yaml:4: sinks[0]: dh_type and dh_path only work together"),
        (
            "    dh_type: curve25519\n",
            "app.yaml:4: sinks[0]: dh_type and dh_path only work together",
        ),
        ("    aad: x\n", "app.yaml:4: sinks[0]: derive_key, aad and aad_env_var need dh_type"),
        (
            "    derive_key: true\n",
            "app.yaml:4: sinks[0]: derive_key, aad and aad_env_var need dh_type",
        ),
        (
            "    aad_env_var: X\n",
            "app.yaml:4: sinks[0]: derive_key, aad and aad_env_var need dh_type",
        ),
        ("    wrap_ttl: 500ms\n", "app.yaml:4: sinks[0]: wrap_ttl needs to be 0 or at least 1s"),
        ("    mode: 640\n", "app.yaml:4: sinks[0].mode: a mode is a string of octal digits"),
        (
            "    dh_type: curve448\n    dh_path: /k\n",
            'app.yaml:4: sinks[0].dh_type: needs one of "curve25519"',
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = problems(tmp_path, SINKS + text)

    assert problem.startswith(told)


def test_the_path_is_absolute(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, SINKS.replace("/run/token", "token"))

    assert problem == "app.yaml:3: sinks[0].path: needs an absolute path"


def test_sinks_and_outputs_cannot_share_a_file(tmp_path: Path) -> None:
    text = (
        f"{AUTH}outputs:\n  - {{destination: /run/a, template: x}}\n"
        "sinks:\n  - path: /run/./a\n  - path: /run/b\n  - path: /run//b\n  - path: /run/a/c\n"
    )

    assert problems(tmp_path, text) == [
        "app.yaml:5: sinks[0].path: outputs[0] has the same destination",
        "app.yaml:7: sinks[2].path: sinks[1] has the same path",
        "app.yaml:8: sinks[3].path: lies below the destination of outputs[0], which is a file",
    ]


def test_an_output_may_not_lie_below_a_sink() -> None:
    (clash,) = checks.clashes([("/run/token/x", None)], ["/run/token"])

    assert (clash.section, clash.position, clash.key) == ("outputs", 0, "destination")
    assert clash.text == "lies below the path of sinks[0], which is a file"


def test_the_additional_data_is_not_shown(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{SINKS}{DH}    aad: canary\n")

    assert loaded.settings.sinks[0].aad is not None
    assert "canary" not in show(loaded) + repr(loaded)


WRAPPED = "auth: {method: aws_iam, role: r, wrap_ttl: 5m}\n"


def test_a_login_is_wrapped_for_the_reader_of_the_one_sink(tmp_path: Path) -> None:
    settings = load(tmp_path, f"{WRAPPED}sinks: [{{path: /t}}]\n").settings

    assert settings.auth.wrap_ttl == 300


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{WRAPPED}sinks: [{{path: /t}}]\noutputs: [{{destination: /x, template: x}}]\n",
            "auth.wrap_ttl: the token is for its reader alone, so there can be no outputs and no",
        ),
        (f"{WRAPPED}sinks: [{{path: /t}}, {{path: /u}}]\n", "auth.wrap_ttl: needs one sink"),
        (f"{WRAPPED}sinks: [{{path: /t, wrap_ttl: 1m}}]\n", "auth.wrap_ttl: needs one sink"),
        (
            "auth: {method: token_file, token_file: /t, wrap_ttl: 5m}\nsinks: [{path: /u}]\n",
            "auth.wrap_ttl: does not work with token_file",
        ),
        (
            "auth: {method: aws_iam, role: r, wrap_ttl: 100ms}\nsinks: [{path: /u}]\n",
            "auth: wrap_ttl needs to be 0 or at least 1s",
        ),
    ],
)
def test_what_does_not_go_with_a_wrapped_login_is_one_problem(
    tmp_path: Path, text: str, told: str
) -> None:
    (problem,) = problems(tmp_path, text)

    assert told in problem
