"""JSON is read as it looks, also where Vault Agent guesses wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.settings.fields import KEEP
from leasekeeper.settings.model import AppRoleAuth
from leasekeeper.settings.vault_agent.json_text import read_json
from leasekeeper.settings.vault_agent.tree import Broken, Literal, Node, Sequence
from tests.unit.settings.vault_agent.agent_files import load, problems

METHOD = {"type": "approle", "config": {"role_id_file_path": "/role"}}
TEMPLATE = {"destination": "/config/a", "contents": "x", "error_on_missing_key": True}


def loaded(configuration: dict[str, Any]) -> Any:
    return load(json.dumps(configuration), name="agent.json").settings


def as_json(node: Node) -> object:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Sequence):
        return [as_json(inner) for inner in node.nodes]
    return {item.keys[0]: as_json(item.node) for item in node.items}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(-1e15, 1e15).map(lambda number: round(number, 3))
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=4), st.sampled_from([None, 1, "\t"]))
def test_whatever_json_writes_is_read(value: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(value, ensure_ascii=indent is None, indent=indent)

    assert as_json(read_json(text)) == value


def test_the_shape_that_the_kubernetes_injector_writes_is_read() -> None:
    settings = loaded(
        {
            "exit_after_auth": True,
            "pid_file": "/home/vault/.pid",
            "vault": {"address": "https://vault:8200", "retry": {"num_retries": 3}},
            "auto_auth": {"method": METHOD},
            "template": [TEMPLATE, {**TEMPLATE, "destination": "/config/b", "perms": 384}],
            "template_config": {"exit_on_retry_failure": True},
        }
    )

    assert settings.vault.address == "https://vault:8200"
    assert settings.auth == AppRoleAuth(role_id_file="/role")
    assert [output.mode for output in settings.outputs] == [KEEP, 0o600]


@pytest.mark.parametrize(
    "auto_auth",
    [
        {"method": METHOD},
        {"method": [METHOD]},
        {"method": {"approle": {"config": {"role_id_file_path": "/role"}}}},
        {"method": [{"approle": [{"config": [{"role_id_file_path": "/role"}]}]}]},
        [{"method": {"AppRole": {"config": {"role_id_file_path": "/role"}}}}],
    ],
)
def test_labels_can_be_keys_or_types(auto_auth: Any) -> None:
    settings = loaded({"auto_auth": auto_auth, "template": TEMPLATE})

    assert settings.auth == AppRoleAuth(role_id_file="/role")


def test_an_object_and_a_list_of_objects_are_blocks() -> None:
    listener = {"address": "127.0.0.1:3000", "tls_disable": True, "role": "metrics_only"}
    for written in ({"tcp": listener}, [{"tcp": listener}], [{"type": "tcp", **listener}]):
        settings = loaded(
            {"auto_auth": {"method": METHOD}, "template": [TEMPLATE], "listener": written}
        )

        assert settings.web.listen == "127.0.0.1:3000"


def test_null_and_nothing_are_the_same() -> None:
    with_null = loaded(
        {
            "pid_file": None,
            "auto_auth": {"method": METHOD},
            "template": [{**TEMPLATE, "perms": None, "user": None}],
        }
    )

    assert with_null == loaded({"auto_auth": {"method": METHOD}, "template": [TEMPLATE]})


def test_what_starts_with_a_brace_is_json_whatever_its_name() -> None:
    text = json.dumps({"auto_auth": {"method": METHOD}, "template": TEMPLATE})

    assert load(f"\n\t {text}\n", name="agent.hcl").settings.auth.method == "approle"


def test_a_comma_too_many_at_the_end_is_allowed() -> None:
    assert as_json(read_json('{"a": [1, 2,], "b": {"c": 1,},}')) == {"a": [1, 2], "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{", 1, "}"),
        ('{\n"a"\n}', 3, ":"),
        ('{"a": 1 "b": 2}', 1, "comma"),
        ('{"a": [1 2]}', 1, "comma"),
        ('{\n\n"a": tru}', 3, "value"),
        ('{"a": 01}', 1, "value"),
        ('{"a": 1e999}', 1, "value"),
        ('{"a": "b\n"}', 1, "text"),
        ('{"a": "\\ud83d"}', 1, "surrogate"),
        ('{"a": "\\q"}', 1, "text"),
        ("{} {}", 1, "behind"),
        ("{a: 1}", 1, "quotes"),
        ('{"a":' * 50, 1, "too deeply"),
        ('{"a":' + "[" * 50, 1, "too deeply"),
        ('{"a":[' + "1," * 200_001, 1, "too many"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(Broken) as caught:
        read_json(text)

    assert caught.value.line == line
    assert words in caught.value.text


def test_problems_name_line_and_key() -> None:
    text = json.dumps({"auto_auth": {"method": {"type": "approle", "wrap_tl": 1}}}, indent=1)

    assert problems(text, name="agent.json")[-1] == (
        'agent.json:5: auto_auth.method: unknown key "wrap_tl"; did you mean "wrap_ttl"?'
    )
