"""Mounts, temporary names and the environment of programs: decisions without a file system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasekeeper.files import mounts as mounts_module
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.target import prefix_of_temp, temp_name, temp_prefix
from leasekeeper.outputs.commands import child_environment, describe_exit

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=255
).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255)


@given(NAMES)
def test_a_temporary_name_is_hidden_fits_the_file_system_and_leads_back(name: str) -> None:
    temp = temp_name(name)

    assert temp.startswith(".")
    assert temp.endswith(".tmp")
    assert len(temp.encode()) <= 255
    assert prefix_of_temp(temp) == temp_prefix(name)


def test_two_temporary_names_differ() -> None:
    assert temp_name("a") != temp_name("a")


@pytest.mark.parametrize(
    "name",
    ["conf.json", ".conf.json.tmp", ".conf.json.0123.tmp", ".conf.json.0123456789ABCDEF.tmp",
     ".conf.json.0123456789abcdef.tmp.bak", "conf.json.0123456789abcdef.tmp", ""],
)  # fmt: skip
def test_other_names_are_no_temporary_names(name: str) -> None:
    assert prefix_of_temp(name) is None


def test_a_path_belongs_to_the_longest_mount_above_it() -> None:
    mounts = Mounts(frozenset({"/config/sub", "/config", "/"}))

    assert mounts.of("/config/sub/a") == "/config/sub"
    assert mounts.of("/config/subway/a") == "/config"
    assert mounts.of("/configuration/a") == "/"
    assert [mounts.of(path) for path in ("//a", "a", "/", "")] == ["/"] * 4
    assert mounts.is_point("/config")
    assert not mounts.is_point("/config/sub/a")


def test_the_kernels_table_is_read_with_its_escapes(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path_factory.mktemp("proc") / "mountinfo"
    table.write_text(
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "30 22 0:50 / /with\\040blank rw shared:1 - nfs4 fs-1:/ rw\n"
    )
    monkeypatch.setattr(mounts_module, "_TABLE", str(table))

    assert Mounts.current().of("/with blank/conf.json") == "/with blank"


def test_without_a_table_everything_is_one_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts_module, "_TABLE", "/nowhere")

    assert Mounts.current().of("/config/conf.json") == "/"


def test_a_program_gets_the_environment_without_what_opens_vault() -> None:
    environ = {
        "PATH": "/bin",
        "AWS_REGION": "eu-west-1",
        "VAULT_TOKEN": "canary",
        "BAO_TOKEN": "canary",
        "LEASEKEEPER_AUTH__SECRET_ID": "canary",
        "AWS_SECRET_ACCESS_KEY": "canary",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/canary",
    }

    assert child_environment(environ, destination="/config/app") == {
        "PATH": "/bin",
        "AWS_REGION": "eu-west-1",
        "LEASEKEEPER_OUTPUT": "/config/app",
    }


def test_exit_statuses_are_told_in_words() -> None:
    assert describe_exit(3) == "exited with 3"
    assert describe_exit(-9) == "was ended by SIGKILL"
    assert describe_exit(-200) == "was ended by signal 200"
