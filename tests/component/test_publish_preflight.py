"""What is found and what is swept before the first login, as root and as anybody else."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.errors import AgentError, PublishError
from leasekeeper.files import preflight as preflight_module
from leasekeeper.files.mounts import Mounts
from leasekeeper.files.preflight import check, preflight, sweep, sweep_leftovers
from leasekeeper.files.publish import Publication, PublishedFile
from leasekeeper.files.target import Target
from leasekeeper.settings.model import OutputSection

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as a user without any privilege, which is what we are anyway unless we are root."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user can write and reach (pytest's own are for one user only)."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def section(path: Path | str, **settings: Any) -> OutputSection:
    return OutputSection.model_validate(
        {"destination": str(path), "template": "-", "create_dest_dirs": False, **settings}
    )


def publish(target: Target, content: bytes) -> PublishedFile:
    publication = Publication(target, content)
    return publication.stage() or publication.commit()


def numbers(problems: list[AgentError]) -> list[int | None]:
    return [problem.errno for problem in problems if isinstance(problem, PublishError)]


async def test_good_destinations_have_no_problems_and_stay_empty(tmp_path: Path) -> None:
    sections = [section(tmp_path / "a"), section(tmp_path / "b")]

    assert await preflight(sections) == []
    assert os.listdir(tmp_path) == []


async def test_missing_directories_are_made_if_any_output_may(tmp_path: Path) -> None:
    sections = [
        section(tmp_path / "x" / "a"),
        section(tmp_path / "x" / "b", create_dest_dirs=True),
    ]

    assert await preflight(sections) == []
    assert os.listdir(tmp_path) == ["x"]


async def test_every_problem_is_reported_at_once_with_path_and_hint(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    sections = [
        section(tmp_path / "missing" / "a"),
        section(tmp_path / "missing" / "b", user="no-such-user"),
        section(tmp_path / "file" / "c"),
        section(tmp_path / "directory"),
        section(tmp_path / ("n" * 256)),
        section(tmp_path / "good"),
    ]

    problems = await preflight(sections)

    found = {str(problem) for problem in problems}
    for path, what in [
        (tmp_path / "missing", "No such file or directory"),
        (tmp_path / "missing" / "b", "'no-such-user'"),
        (tmp_path / "file", "should be a directory"),
        (tmp_path / "directory", "a directory has this name"),
        (tmp_path / ("n" * 256), "longer than the file system allows"),
    ]:
        assert any(str(path) in text and what in text for text in found), (path, found)
    assert all(problem.hint for problem in problems)
    assert len(problems) == 5
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]


async def test_a_directory_that_we_may_not_write_is_found_before_anything_is_published(
    shared: Path,
) -> None:
    (shared / "locked").mkdir(mode=0o555)
    with as_nobody():
        problems = check(Mounts.current(), [Target(path=str(shared / "locked" / "a"))])
    assert numbers(problems) == [errno.EACCES]
    assert f"{shared}/locked" in str(problems[0])
    assert "writable" in str(problems[0])


def test_without_a_volume_the_message_says_so(tmp_path: Path) -> None:
    target = Target(path=str(tmp_path / "config" / "a"), create_dirs=False)

    (without,) = check(Mounts(frozenset({"/"})), [target])
    (with_volume,) = check(Mounts(frozenset({str(tmp_path), "/"})), [target])

    assert "no volume is mounted there" in str(without)
    assert "no volume is mounted there" not in str(with_volume)


def test_a_file_that_is_itself_a_mount_cannot_be_replaced(tmp_path: Path) -> None:
    """The rename would fail: a volume must be mounted at the directory."""
    path = str(tmp_path / "a")

    (problem,) = check(Mounts(frozenset({path, "/"})), [Target(path=path)])

    assert "mount its directory instead" in str(problem)


async def test_a_mount_that_hangs_is_a_problem_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(_mounts: Mounts, _targets: object) -> list[AgentError]:
        release.wait()
        return []

    monkeypatch.setattr(preflight_module, "check", hang)
    problems = await preflight([section(tmp_path / "a")], deadline_s=0.05)
    release.set()

    assert numbers(problems) == [errno.ETIMEDOUT]


def test_without_privileges_everything_is_published_as_ourselves(shared: Path) -> None:
    path = shared / "a"
    with as_nobody():
        target = Target(path=str(path), mode=0o400, user=os.geteuid(), group=os.getegid())
        publish(target, b"one")
        publish(target, b"two")

        assert path.read_bytes() == b"two"
        assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_without_privileges_another_owner_is_an_error_that_names_the_ways_out(
    shared: Path,
) -> None:
    with as_nobody():
        publish(Target(path=str(shared / "a")), b"old")
        with pytest.raises(PublishError, match="CAP_CHOWN"):
            publish(Target(path=str(shared / "a"), user=os.geteuid() + 1), b"new")

        assert (shared / "a").read_bytes() == b"old"
        assert os.listdir(shared) == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_without_privileges_somebody_elses_file_is_replaced(shared: Path) -> None:
    path = shared / "a"
    path.write_bytes(b"same")
    path.chmod(0o600)
    with as_nobody():
        assert publish(Target(path=str(path), mode=0o644), b"same").rewritten

    assert path.stat().st_uid == NOBODY


def leftover(directory: Path, name: str = "a", random: str = "0123456789abcdef") -> Path:
    path = directory / f".{name}.{random}.tmp"
    path.write_bytes(b"half a sec")
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


async def test_leftovers_of_killed_writers_are_swept(tmp_path: Path) -> None:
    stale = leftover(tmp_path)
    long_name = "n" * 255
    publication = Publication(Target(path=str(tmp_path / long_name)), b"1")
    publication.stage()
    staged = Path(publication.temp_path)
    os.utime(staged, (0, 0))
    os.close(publication._file)  # as the kernel does for a killed process
    os.close(publication._directory)

    await sweep_leftovers([section(tmp_path / "a"), section(tmp_path / long_name)])

    assert not stale.exists()
    assert not staged.exists()


def test_what_is_not_certainly_our_rubbish_is_left_alone(tmp_path: Path) -> None:
    other_output = leftover(tmp_path, "b")
    other_name = leftover(tmp_path, random="0123456789ABCDEF")
    directory = tmp_path / f".a.{'2' * 16}.tmp"
    directory.mkdir()
    link = tmp_path / f".a.{'3' * 16}.tmp"
    link.symlink_to(other_output)
    pipe = tmp_path / f".a.{'4' * 16}.tmp"
    os.mkfifo(pipe)
    os.utime(pipe, (0, 0))
    everything = sorted(os.listdir(tmp_path))

    assert sweep([Target(path=str(tmp_path / "a"))]) == []
    assert sorted(os.listdir(tmp_path)) == everything
    assert other_name.exists()


def test_a_leftover_of_a_moment_ago_is_swept_when_its_writer_has_had_the_time_to_lock_it(
    tmp_path: Path,
) -> None:
    """Whoever is killed while writing, and started again at once, keeps no secret lying about."""
    dead = leftover(tmp_path)
    os.utime(dead)

    assert sweep([Target(path=str(tmp_path / "a"))], moment_s=0.05) == [str(dead)]


def test_a_leftover_from_the_future_delays_a_sweep_by_no_more_than_a_moment(
    tmp_path: Path,
) -> None:
    """The volume's clock is not ours."""
    dead = leftover(tmp_path)
    os.utime(dead, (2**32, 2**32))

    assert sweep([Target(path=str(tmp_path / "a"))], moment_s=0.05) == [str(dead)]


def test_a_living_writers_file_is_not_swept_however_old(tmp_path: Path) -> None:
    target = Target(path=str(tmp_path / "a"))
    publication = Publication(target, b"1")
    publication.stage()
    os.utime(publication.temp_path, (0, 0))

    assert sweep([target], moment_s=0) == []
    assert publication.commit().rewritten


def test_a_file_that_cannot_be_locked_is_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leftover(tmp_path)

    def no_locks(*_args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    assert sweep([Target(path=str(tmp_path / "a"))]) == []
    assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_other_users_files_are_not_swept_but_those_given_to_the_outputs_owner_are(
    tmp_path: Path,
) -> None:
    foreign = leftover(tmp_path, random="5" * 16)
    os.chown(foreign, 4321, 4321)
    given_away = leftover(tmp_path, random="6" * 16)
    os.chown(given_away, 1234, 1234)

    sweep([Target(path=str(tmp_path / "a"), user=1234)])

    assert foreign.exists()
    assert not given_away.exists()


def test_a_read_only_leftover_of_our_own_is_swept_without_privileges(shared: Path) -> None:
    """Killed between the change of mode and the rename, with mode 0400."""
    with as_nobody():
        path = leftover(shared)
        path.chmod(0o400)

        assert sweep([Target(path=str(shared / "a"))]) == [str(path)]


def test_a_missing_directory_is_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep([Target(path=str(tmp_path / "x" / "a"))]) == []
