"""Whatever comes in, out come settings or a list of problems: soon, and without a secret in it."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasekeeper.errors import ConfigError
from leasekeeper.settings.vault_agent import schema
from leasekeeper.settings.vault_agent.convert import to_yaml
from leasekeeper.settings.vault_agent.hcl import read_hcl
from leasekeeper.settings.vault_agent.json_text import read_json
from leasekeeper.settings.vault_agent.tree import Broken
from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, load

CANARY = "c4n4ry"
NAMES = sorted({name for _, stanza in schema.walk(schema.TOP) for name in stanza.keys})
BLOCKS = sorted({name for _, stanza in schema.walk(schema.TOP) for name in stanza.stanzas})
SIGNS = [
    "{",
    "}",
    "[",
    "]",
    "=",
    ",",
    ":",
    '"',
    "#",
    "//",
    "/*",
    "*/",
    "<<",
    "<<-",
    "EOF",
    "${",
    "\\",
]
SIGNS += ["\n", "<<E\n", "\nE\n", '\\"', "0640", "-1", "1.5"]
# Far more than any of it takes, far less than what would be a hang.
LONGEST_S = 20.0

fuzz = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
words = st.sampled_from(
    [
        *NAMES,
        *BLOCKS,
        *SIGNS,
        *("true", "false", '"iam"', '"aws"', '"file"', '"tcp"', '"metrics_only"', '"5m"', '"/a"'),
        *(f'"{CANARY}"', CANARY, "'x'", "\x00", "\ufeff", "é", "中", "٣", "\r\n", "\r", "\u2028"),
    ]
)


def survives(text: str | bytes, name: str, *, lenient: bool = False) -> None:
    found: tuple[str, ...] = ()
    try:
        loaded = load(text, name=name, lenient=lenient)
    except ConfigError as error:
        found = error.problems
    else:
        assert loaded.settings.outputs or loaded.settings.sinks
        assert to_yaml(loaded)
        return
    assert found
    assert CANARY not in str(found)


@fuzz
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes(data: bytes, lenient: bool) -> None:
    survives(data, "agent.hcl", lenient=lenient)


@fuzz
@given(st.text(max_size=200), st.sampled_from(["", "{", GOOD]))
def test_random_text(text: str, start: str) -> None:
    survives(start + text, "agent.hcl")


@fuzz
@given(st.lists(words, max_size=30), st.sampled_from(["", " ", "\n"]), st.booleans())
def test_a_soup_of_words(parts: list[str], between: str, lenient: bool) -> None:
    survives(GOOD + between.join(parts), "agent.hcl", lenient=lenient)
    survives("{" + between.join(parts), "agent.hcl", lenient=lenient)


numbers: Any = [None, True, False, 0, 1, -1, 416, 10**30, 1.5]
texts = ["", "x", "5m", "0640", "/a", "iam", "aws", "tcp", "metrics_only", "auth/aws", "${x}", "é"]
secrets = [CANARY, f"https://{CANARY}@host", f"/{CANARY}\x00"]
scalars = st.sampled_from([*numbers, *texts, *secrets])
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*NAMES, *BLOCKS]), inner, max_size=4)
    ),
    max_leaves=12,
)


@fuzz
@given(st.dictionaries(st.sampled_from([*BLOCKS, *NAMES]), trees, max_size=5), st.booleans())
def test_any_value_in_any_place(configuration: dict[str, Any], lenient: bool) -> None:
    survives(json.dumps(configuration), "agent.json", lenient=lenient)
    login = {"auto_auth": {"method": {"type": "cert", "mount_path": "x"}}}
    template = {"template": [{"contents": "x", "destination": "/x"}]}
    survives(json.dumps({**login, **template, **configuration}), "agent.json", lenient=lenient)


def test_every_key_takes_or_refuses_every_kind_of_value() -> None:
    """Each key of each stanza that can be had without a type, with each kind of value."""
    kinds = ["true", "0", "-1", "1.5", '""', f'"{CANARY}"', "[]", f'["{CANARY}"]', "{}", "[{}]"]
    for path, stanza in schema.walk(schema.TOP):
        if not path or "(" in path or path.startswith("auto_auth"):
            continue
        for name in (*stanza.keys, *stanza.stanzas):
            for kind in kinds:
                inner = f"{name} = {kind}"
                for block in reversed(path.split(".")):
                    inner = f"{block} {{ {inner} }}"
                survives(f"{LOGIN}{inner}\n", "agent.hcl")


@pytest.mark.parametrize(
    "text",
    [
        "a{}" * 300_000,
        "a=" + "[" * 500_000,
        "a{" * 500_000,
        '"' + "\\n" * 500_000,
        'a = "' + "${" * 500_000,
        'a = "' + "${}" * 300_000 + '"',
        "/*" + "*" * 1_000_000,
        "/" * 1_000_000,
        "#\n" * 500_000,
        "a=<<EOF\n" + (" " * 1000 + "\n") * 1000,
        "a=<<-E\n" + " E1\n" * 200_000,
        "a=<<" + "E" * 1_000_000,
        "<<" * 500_000,
        " " * 1_000_000 + "x",
        "\n" * 1_000_000 + "x",
        "a " * 500_000 + "{}",
        'a="$' * 250_000,
        "a = " + "9" * 1_000_000,
        "a = 0x" + "f" * 1_000_000,
        "a = 1." + "1" * 1_000_000,
        "a = 1e" + "1" * 1_000_000,
        "a = " + "-" * 1_000_000,
        "a = [" + "," * 1_000_000,
        "é" * 500_000 + " {}",
    ],
)
def test_hostile_hcl_is_read_or_refused_soon(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Broken):
        read_hcl(text)

    assert time.process_time() - began < LONGEST_S


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 200_000,
        '{"a":[' + "1," * 500_000,
        '{"a":"' + "\\u0061" * 150_000,
        '{"' + "a" * 1_000_000,
        '{"a":' + "9" * 1_000_000,
        '{"a":' + " " * 1_000_000,
        '{"a":1}' + " " * 1_000_000 + "x",
        "{" + '"a":{},' * 140_000,
    ],
)
def test_hostile_json_is_read_or_refused_soon(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Broken):
        read_json(text)

    assert time.process_time() - began < LONGEST_S


@pytest.mark.parametrize(
    "text",
    [
        "template {}\n" * 20_000,
        LOGIN * 5_000,
        "".join(f"k{number} {{}}\n" for number in range(40_000)),
        LOGIN + 'template { contents = "x" destination = "/x" }\n' * 10_000,
        LOGIN + "template { " + 'contents = "x"\n' * 30_000 + "}",
        'listener "tcp" {}\n' * 20_000,
        "vault { " + "retry {}\n" * 40_000 + "}",
    ],
)
def test_hostile_configurations_are_refused_soon(text: str) -> None:
    began = time.process_time()

    survives(text, "agent.hcl")
    survives(text, "agent.hcl", lenient=True)

    assert time.process_time() - began < LONGEST_S
