"""Which files count, in which order, and what several of them mean together."""

from __future__ import annotations

from pathlib import Path

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.loading import LoadedSettings, load_vault_agent
from tests.unit.settings.vault_agent.agent_files import GOOD, LOGIN, TEMPLATE


def load(*paths: Path | str, lenient: bool = False) -> LoadedSettings:
    return load_vault_agent([str(path) for path in paths], {}, {}, lenient=lenient)


def problems(*paths: Path | str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(*paths)
    return caught.value.problems


def write(directory: Path, **texts: str) -> None:
    for name, text in texts.items():
        (directory / name.replace("_", ".", 1)).write_text(text)


def test_a_directory_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        b_hcl=LOGIN + 'log_level = "warn"',
        c_json='{"template": [{"contents": "2", "destination": "/2"}], "log_level": "debug"}',
        a_hcl='log_level = "trace"\ntemplate { contents = "1" destination = "/1" }',
    )

    settings = load(tmp_path).settings

    assert [output.template for output in settings.outputs] == ["1", "2"]
    assert settings.log.level == "debug"


@pytest.mark.parametrize(
    "name", ["a.hcl~", ".#a.hcl", "#a.hcl#", "a.yaml", "hcl", "a.HCL", "below.hcl/a.hcl"]
)
def test_other_files_of_a_directory_do_not_count(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("nonsense {")
    write(tmp_path, z_hcl=GOOD)

    assert len(load(tmp_path).settings.outputs) == 1


def test_any_name_is_fine_for_a_file_that_is_named(tmp_path: Path) -> None:
    write(tmp_path, agent_conf=GOOD)

    assert len(load(tmp_path / "agent.conf").settings.outputs) == 1


def test_later_files_replace_single_blocks_and_add_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_hcl=LOGIN
        + TEMPLATE
        + 'vault { address = "https://one:1" namespace = "one" }\n'
        + 'exit_after_auth = true\nlog_level = "debug"\nlog_format = "json"\n',
        b_hcl='vault { address = "https://two:2" }\n'
        'auto_auth { method "approle" { config = { role_id_file_path = "/r" } } }\n'
        'template { contents = "y" destination = "/config/b" }\n'
        'exit_after_auth = false\nlog_level = ""\nlog_format = "standard"\n',
    )

    settings = load(tmp_path / "a.hcl", tmp_path / "b.hcl").settings

    assert settings.vault.address == "https://two:2"
    assert settings.vault.namespace == ""
    assert settings.auth.method == "approle"
    assert [output.destination for output in settings.outputs] == ["/config/a", "/config/b"]
    # A value that says nothing does not take back what was said before.
    assert settings.lifecycle.exit_after_auth
    assert settings.log.level == "debug"
    assert settings.log.format == "console"


def test_files_and_directories_count_in_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    write(tmp_path, last_hcl='vault { address = "https://last:1" }')
    write(tmp_path / "dir", a_hcl=GOOD + 'vault { address = "https://first:1" }')

    assert load(tmp_path / "dir", tmp_path / "last.hcl").settings.vault.address == "https://last:1"
    assert load(tmp_path / "last.hcl", tmp_path / "dir").settings.vault.address == "https://first:1"


def test_one_file_may_have_only_one_of_a_block_that_another_file_may_replace(
    tmp_path: Path,
) -> None:
    write(tmp_path, a_hcl=GOOD + "vault {}\n", b_hcl="vault {}\n", c_hcl="vault {}\n\nvault {}\n")

    assert load(tmp_path / "a.hcl", tmp_path / "b.hcl")
    assert problems(tmp_path / "a.hcl", tmp_path / "c.hcl") == (
        f'{tmp_path}/c.hcl:3: one and only one "vault" block is required; the first is in line 1',
    )


def test_problems_of_all_files_are_told_with_their_names(tmp_path: Path) -> None:
    write(tmp_path, a_hcl="nonsense {\n", b_hcl="\n\nalso = nonsense\n", c_hcl="unknwon = 1\n")

    found = problems(tmp_path)

    assert [line.split(": ")[0] for line in found] == [
        f"{tmp_path}/a.hcl:1",
        f"{tmp_path}/c.hcl:1",
        f"{tmp_path}/b.hcl:3",
    ]


def test_nothing_follows_from_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The login could be in the file that is broken."""
    write(tmp_path, a_hcl=TEMPLATE, b_hcl="auto_auth {")

    assert len(problems(tmp_path)) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere.hcl") == (f"{tmp_path}/nowhere.hcl: there is no such file",)
    assert "empty" in problems("")[0]


def test_an_empty_directory_has_no_login(tmp_path: Path) -> None:
    assert problems(tmp_path) == (
        f"{tmp_path}: no auto_auth, cache, or listener block found in config",
    )


def test_at_least_one_path_is_needed() -> None:
    assert problems() == ("command line: a file or a directory is needed behind -config",)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_bytes(b'a = "\xff"\n')

    assert problems(tmp_path) == (f"{tmp_path}/a.hcl: is not UTF-8 in line 1; save it as UTF-8",)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert len(load(tmp_path).settings.outputs) == 1


def test_more_than_any_configuration_has_is_refused(tmp_path: Path) -> None:
    write(tmp_path, big_hcl="#" * (4 << 20) + "\n")
    (tmp_path / "dir").mkdir()
    for number in range(5):
        (tmp_path / "dir" / f"{number}.hcl").write_text("#" * ((1 << 20) - 1))

    assert "larger than 4 MiB" in problems(tmp_path / "big.hcl")[0]
    assert "more than any" in problems(tmp_path / "dir")[0]
