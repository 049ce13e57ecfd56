"""Folders named after a task: ours are marked, those of dead tasks are removed, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from leasekeeper.aws import task_paths as ecs_paths
from leasekeeper.errors import ConfigError
from leasekeeper.files.generations import GenerationSwitch, Member
from leasekeeper.files.target import Target
from leasekeeper.files.task_folders import MARKER, Place, TaskFolders
from leasekeeper.settings import task_paths
from leasekeeper.settings.model import Settings

SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
VALUES = {
    "task_id": "0123abcd",
    "task_arn": "arn:aws:ecs:us-east-1:1:task/web/0123abcd",
    "task_family": "web",
    "task_revision": "7",
    "cluster": "prod",
    "availability_zone": "us-east-1a",
}


def settings(*destinations: str) -> Settings:
    outputs = [{"destination": path, "template": "x"} for path in destinations]
    auth = {"method": "approle", "role_id": "r"}
    return Settings.model_validate({"auth": auth, "outputs": outputs})


def place(root: Path, task: str) -> Place:
    return Place(
        path=f"{root}/web-{task}",
        siblings=task_paths.pattern("web-{task_id}", VALUES),
        files=tuple(f"{root}/web-{task}/{name}" for name in ("a", "sub/b", "group")),
    )


def live_and_die(root: Path, task: str, *, age_s: float) -> Path:
    """Leave what a task leaves behind whose last sign of life was *age_s* seconds ago."""
    where = place(root, task)
    folders = TaskFolders([where], dead_after_s=0)
    folders.visit(where)
    folder = Path(where.path)
    (folder / "sub").mkdir()
    for name in ("a", "sub/b"):
        (folder / name).write_text("secret")
    garbage = folder / ".a.0123456789abcdef.tmp"
    garbage.write_text("half a secret")
    os.utime(garbage, (0, 0))
    link = str(folder / "group")
    member = Member(target=Target(path=f"{link}/c"), content=b"secret")
    GenerationSwitch(link, [member]).commit()
    folders.leave(where)
    then = (folder / MARKER).stat().st_mtime - age_s
    os.utime(folder / MARKER, (then, then))
    return folder


def visit(root: Path) -> list[str]:
    ours = place(root, "ours")
    folders = TaskFolders([ours], dead_after_s=3600)
    try:
        return folders.visit(ours)
    finally:
        folders.leave(ours)


def test_the_folder_of_a_dead_task_is_removed_with_everything_we_keep_in_it(
    tmp_path: Path,
) -> None:
    dead = live_and_die(tmp_path, "dead", age_s=3700)
    resting = live_and_die(tmp_path, "resting", age_s=3500)

    assert visit(tmp_path) == [str(dead)]
    assert list(tmp_path.iterdir()) == [resting]
    assert (resting / "group" / "c").read_text() == "secret"


def test_what_somebody_else_keeps_there_stays(tmp_path: Path) -> None:
    dead = live_and_die(tmp_path, "dead", age_s=3700)
    (dead / "sub" / "precious").touch()
    for name in ("other-dead", "web-", "web-unmarked"):
        (tmp_path / name).mkdir()
    (tmp_path / "web-link").symlink_to(dead)

    visit(tmp_path)
    assert [path.name for path in dead.rglob("*")] == ["sub", "precious"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"web-dead", "other-dead", "web-", "web-unmarked", "web-link"}


@pytest.mark.parametrize(
    "marker",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"version": 2, "files": ["a"]}',
        b'{"version": 1, "files": "a"}',
        b'{"version": 1, "files": ["a", "../../precious"]}',
        b'{"version": 1, "files": ["/etc/passwd"]}',
        b'{"version": 1, "files": [3]}',
    ],
)
def test_a_marker_that_makes_no_sense_costs_no_file(tmp_path: Path, marker: bytes) -> None:
    dead = live_and_die(tmp_path, "dead", age_s=0)
    (tmp_path / "precious").touch()
    (dead / MARKER).write_bytes(marker)
    os.utime(dead / MARKER, (0, 0))

    assert visit(tmp_path) == []
    assert (dead / "a").read_text() == "secret"
    assert (tmp_path / "precious").exists()


def test_a_marker_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    dead = live_and_die(tmp_path, "dead", age_s=0)
    (dead / MARKER).rename(tmp_path / "elsewhere")
    os.utime(tmp_path / "elsewhere", (0, 0))
    (dead / MARKER).symlink_to(tmp_path / "elsewhere")

    assert visit(tmp_path) == []
    assert (dead / "a").exists()


HOLDER = """
    import re, sys, time
    from leasekeeper.files.task_folders import Place, TaskFolders
    path = sys.argv[1]
    place = Place(path=path, siblings=re.compile("x"), files=(f"{path}/a",))
    folders = TaskFolders([place], dead_after_s=0)
    folders.visit(place)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_task_that_lives_keeps_its_folder_however_old_its_marker_is(tmp_path: Path) -> None:
    other = tmp_path / "web-other"
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=SAME_MODULES) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        os.utime(other / MARKER, (0, 0))
        assert visit(tmp_path) == []
        assert json.loads((other / MARKER).read_text())["files"] == ["a"]
        holder.kill()

    assert visit(tmp_path) == [str(other)]


def test_a_folder_with_nothing_but_the_marker_goes_with_its_task(tmp_path: Path) -> None:
    assert visit(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_placeholders_become_names_of_files() -> None:
    found = task_paths.filled(settings("/c/{cluster}/{task_arn}/x", "/c/plain"), VALUES)

    assert [output.destination for output in found.outputs] == [
        "/c/prod/arn-aws-ecs-us-east-1-1-task-web-0123abcd/x",
        "/c/plain",
    ]
    assert task_paths.folders(settings("/c/{task_family}/w-{task_id}/d/x", "/c/{task_id}")) == {
        "/c/{task_family}/w-{task_id}": ["/c/{task_family}/w-{task_id}/d/x"]
    }


def test_a_placeholder_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="a placeholder that does not exist"):
        settings("/c/{taskid}/x")


async def test_without_ecs_there_is_nothing_to_fill_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    plain = settings("/c/x")

    assert await ecs_paths.resolve(plain) == (plain, None)
    with pytest.raises(ConfigError, match="ECS_CONTAINER_METADATA_URI_V4"):
        await ecs_paths.resolve(settings("/c/{task_id}/x"))
