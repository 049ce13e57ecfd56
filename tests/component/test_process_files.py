"""The files of the process itself: its pid, and a copy of its log."""

from __future__ import annotations

import gc
import os
import stat
import threading
from pathlib import Path

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files.pid_file import pid_file
from leasekeeper.telemetry.log_file import LogFile, Rotation


def test_the_pid_is_there_while_the_process_runs(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("1234567\n", encoding="utf-8")  # of a process before us
    with pid_file(str(path)):
        assert path.read_text(encoding="utf-8") == str(os.getpid())

    assert not path.exists()


def test_the_pid_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        path.write_text("1234567", encoding="utf-8")

    assert path.read_text(encoding="utf-8") == "1234567"


def test_a_pid_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(PublishError, match=r"writing the process id to .*/none/pid: No such file"),
        pid_file(str(tmp_path / "none" / "pid")),
    ):
        pytest.fail("it went on")


def written(path: Path, lines: int, **rotation: float) -> list[Path]:
    """Write lines of ten bytes; return all files, the present one last."""
    file = LogFile(str(path), Rotation(**rotation))  # type: ignore[arg-type]
    for number in range(lines):
        file.write(f"{number:09}\n".encode())
    file.close()
    return sorted(path.parent.iterdir(), key=lambda one: (one == path, one.name))


def test_the_log_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.write_bytes(b"before\n")
    written(path, 2)

    assert path.read_bytes() == b"before\n000000000\n000000001\n"


def test_only_owner_and_group_read_the_log(tmp_path: Path) -> None:
    (path,) = written(tmp_path / "agent.log", 1)

    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


@pytest.mark.parametrize(("most", "left"), [(0, 4), (2, 3), (-1, 1)])
def test_a_log_that_is_large_enough_is_put_aside(tmp_path: Path, most: int, left: int) -> None:
    (tmp_path / "agent-of-mine.log").touch()
    (tmp_path / "agent-1.txt").touch()
    found = written(tmp_path / "agent.log", 10, size_bytes=30, max_files=most)

    logs = [one for one in found if one.name[6:7].isdigit() and one.suffix == ".log"]
    assert len(logs) + 1 == left
    assert found[-1].read_bytes() == b"000000009\n"
    assert all(one.stat().st_size == 30 for one in logs)
    assert {"agent-of-mine.log", "agent-1.txt"} <= {one.name for one in found}


def test_a_log_that_is_old_enough_is_put_aside(tmp_path: Path) -> None:
    found = written(tmp_path / "noextension", 3, age_s=1e-9)

    assert [one.read_bytes() for one in found[1:]] == [
        b"000000000\n", b"000000001\n", b"000000002\n",
    ]  # fmt: skip
    assert all(one.suffix == ".log" for one in found[:-1])


def test_a_directory_gets_a_log_of_our_name(tmp_path: Path) -> None:
    LogFile(f"{tmp_path}/", Rotation()).close()

    assert [one.name for one in tmp_path.iterdir()] == ["leasekeeper.log"]


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        LogFile(str(tmp_path), Rotation())


def test_a_log_whose_directory_is_gone_stops_nobody(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    file = LogFile(str(directory / "a.log"), Rotation(size_bytes=1))
    (directory / "a.log").unlink()
    directory.rmdir()
    for _ in range(5000):
        file.write(b"line\n")
    file.close()


def test_what_logs_in_the_middle_of_a_line_stops_nobody(tmp_path: Path) -> None:
    """What the interpreter throws away at any moment may log its end."""
    file = LogFile(str(tmp_path / "a.log"), Rotation())

    def talk(_phase: str, _about: object) -> None:
        file.write(b"in between\n")

    def write() -> None:
        for _ in range(100):
            file.write(b"line\n")

    writer, before = threading.Thread(target=write, daemon=True), gc.get_threshold()
    gc.callbacks.append(talk)
    gc.set_threshold(1)
    try:
        writer.start()
        writer.join(10)
    finally:
        gc.callbacks.remove(talk)
        gc.set_threshold(*before)
    assert not writer.is_alive()
    file.close()


def test_a_device_is_never_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/null")

    assert written(path, 3, size_bytes=1, age_s=1e-9) == [path]
    assert path.is_symlink()
