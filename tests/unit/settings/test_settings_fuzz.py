"""Whatever comes in, out come settings or a list of problems, and never a secret in it."""

from __future__ import annotations

import io
import traceback
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasekeeper.errors import ConfigError
from leasekeeper.settings import keys
from leasekeeper.settings.describe import show
from leasekeeper.settings.environment import VAULT_VARIABLES, variable_for
from leasekeeper.settings.loading import load_settings

CANARY = "c4n4ry"
GOOD: dict[str, Any] = {
    "auth": {"method": "aws_iam", "role": "web"},
    "outputs": [{"destination": "/config/a", "template": "x"}],
}
GOOD_TEXT = """\
auth:
  method: aws_iam
  role: web
outputs:
  - destination: /config/a
    template: x
    mode: "0640"
web:
  listen: "off"
"""
PATHS = [path for path, _ in keys.walk(keys.root())]

fuzz = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What a secret looks like in the wrong place: bare, decorated, and in every other type.
canaries = st.sampled_from(
    [
        CANARY,
        f"https://user:{CANARY}@vault",
        f"https://vault/{CANARY}?x",
        f"https://[{CANARY}",
        f"http://vault:{CANARY}",
        f"/{CANARY}\n",
        f"{CANARY}\ud800",
        f"-----BEGIN {CANARY}-----\n",
        [CANARY],
        [[CANARY], {"x": CANARY}],
        {"x": CANARY},
        {"method": CANARY, "command": CANARY, "http": CANARY},
        CANARY.encode(),
    ]
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8)
)
words = st.sampled_from(sorted({str(path[-1]) for path in PATHS})) | st.text(
    st.characters(), max_size=6
)
trees = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=4)
)


def outcome(**arguments: Any) -> str:
    """Load, and return all that a user or a log would see of it."""
    arguments = {"config_file": None, "environ": {}, "overrides": {}} | arguments
    try:
        return show(load_settings(**arguments))
    except ConfigError as caught:
        error = caught
    assert error.problems
    assert all(problem and problem.isprintable() for problem in error.problems)
    return "".join(traceback.format_exception(error))


def complaint(**arguments: Any) -> str:
    """Load, and return what is said about what is refused, nothing if nothing is."""
    try:
        load_settings(config_file=None, **arguments)
    except ConfigError as error:
        return "".join(traceback.format_exception(error))
    return ""


@fuzz
@given(st.text(max_size=200))
def test_any_text_is_settings_or_problems(text: str) -> None:
    outcome(environ={"LEASEKEEPER_CONFIG": text})


@fuzz
@given(
    st.lists(
        st.sampled_from([*"{}[]:,-&*!|>'\"%@#? \n\t", "a", "auth", "- ", ": ", "<<", "\ufeff"])
    )
)
def test_any_text_of_yamls_own_characters_is_settings_or_problems(parts: list[str]) -> None:
    outcome(environ={"LEASEKEEPER_CONFIG": "".join(parts)})


@fuzz
@given(st.binary(max_size=200))
def test_any_bytes_in_a_file_are_settings_or_problems(data: bytes) -> None:
    with mock.patch("builtins.open", return_value=io.BytesIO(data)):
        outcome(config_file="a.yaml")


@fuzz
@given(st.dictionaries(words, trees, max_size=5))
def test_any_tree_is_settings_or_problems(tree: dict[str, object]) -> None:
    outcome(overrides=tree)


@fuzz
@given(st.sampled_from(PATHS), trees)
def test_any_value_of_any_key_is_settings_or_problems(
    path: tuple[str | int, ...], tree: Any
) -> None:
    name = ".".join(str(part) for part in path)

    outcome(overrides={**GOOD, name: tree})


@fuzz
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *(variable_for(path) for path in PATHS),
                *(f"VAULT_{last}" for last in VAULT_VARIABLES),
            ]
        )
        | st.text(max_size=12).map("LEASEKEEPER_{}".format),
        st.text(max_size=12) | st.sampled_from(["[]", "{}", "null", "[{}]", "[1e999]", "\udcff"]),
        max_size=6,
    )
)
def test_any_environment_is_settings_or_problems(environ: dict[str, str]) -> None:
    outcome(environ=environ)


@fuzz
@given(st.sampled_from(PATHS), canaries)
def test_a_secret_in_the_wrong_place_is_not_repeated(
    path: tuple[str | int, ...], value: object
) -> None:
    """Only what is refused is looked at: what is accepted was in the right place."""
    name = ".".join(str(part) for part in path)

    assert CANARY not in complaint(environ={}, overrides={**GOOD, name: value})


@fuzz
@given(
    st.sampled_from(PATHS),
    st.sampled_from(["{}", "[{}", "{} {{", "'{}", "a:{}@/b c", "{}\udcff"]),
)
def test_a_secret_in_any_variable_is_not_repeated(path: tuple[str | int, ...], form: str) -> None:
    environ = {variable_for(path): form.replace("{}", CANARY)}

    assert CANARY not in complaint(environ=environ, overrides=GOOD)


@fuzz
@given(
    st.sampled_from([*GOOD_TEXT.split(), "mode: ", "listen: "]),
    st.sampled_from(
        ["{}", "'{}", "[{}", "*{}", "!{} x", "{}: {}: x", "|{}", "\t{}", "&{} *{}", "@{}"]
    ),
)
def test_a_secret_that_breaks_the_yaml_is_not_repeated(word: str, form: str) -> None:
    text = GOOD_TEXT.replace(word, f"{word} {form.replace('{}', CANARY)}", 1)

    assert CANARY not in complaint(environ={"LEASEKEEPER_CONFIG": text}, overrides={})
