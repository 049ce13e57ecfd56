"""Groups in the configuration: which outputs are in one, and what clashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import load_settings
from leasekeeper.settings.model import Settings

AUTH = "auth: {method: approle, role_id: r}\n"


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "app.yaml"
    file.write_text(AUTH + text)
    return load_settings(config_file=str(file), environ={}, overrides={}).settings


def output(path: str) -> str:
    return f"{{destination: {path}, template: x}}"


def test_outputs_whose_destination_lies_in_the_link_are_members(tmp_path: Path) -> None:
    text = f"groups: [{{link: /c/g}}]\noutputs: [{output('/c/g/a')}, {output('/c/a')}]\n"
    settings = load(tmp_path, text)

    (group,) = settings.groups
    assert [group.holds(each.destination) for each in settings.outputs] == [True, False]
    assert (group.label, group.keep) == ("/c/g", 90)


@pytest.mark.parametrize(
    ("groups", "outputs", "told"),
    [
        ("[{link: /c/g}]", [], "no output has a destination in it"),
        ("[{link: /c/g}]", ["/c/g/a", "/c/g/deep/b"], "directly in its link, not deeper"),
        ("[{link: /c/g}, {link: /c/g}]", ["/c/g/a"], "groups[1].link: a sink or another group"),
        ("[{link: /c/g}, {link: /c/g/h}]", ["/c/g/a", "/c/g/h/a"], "not deeper"),
        ("[{link: /c/g}]", ["/c/g/a", "/c"], "lies below"),
    ],
)
def test_a_group_that_cannot_work_is_refused(
    tmp_path: Path, groups: str, outputs: list[str], told: str
) -> None:
    items = ", ".join(map(output, [*outputs, "/else"]))
    with pytest.raises(ConfigError, match=r"groups|below") as caught:
        load(tmp_path, f"groups: {groups}\noutputs: [{items}]\n")

    assert told in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_token_may_not_lie_in_a_group(tmp_path: Path) -> None:
    text = (
        f"groups: [{{link: /c/g}}]\noutputs: [{output('/c/g/a')}]\nsinks: [{{path: /c/g/token}}]\n"
    )
    with pytest.raises(ConfigError, match="a sink or another group has this place"):
        load(tmp_path, text)


def test_what_ends_with_one_task_does_not_go_with_a_shared_volume(tmp_path: Path) -> None:
    text = (
        f"shared: {{directory: /c/shared}}\noutputs: [{output('/c/a')}]\n"
        "sinks: [{path: /c/token}]\nlifecycle: {on_exit: revoke, remove_files: true}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    lines = [
        f"app.yaml:{line}: {key}: does not work with shared.directory"
        for line, key in ((4, "sinks"), (5, "lifecycle.remove_files"), (5, "lifecycle.on_exit"))
    ]
    assert all(line in str(caught.value) for line in lines)
