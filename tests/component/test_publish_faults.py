"""A file system that fails: the old file stays, no rubbish stays, and the error says what to do."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files import attempt as attempt_module
from leasekeeper.files.attempt import TRANSIENT
from leasekeeper.files.file_errors import OWNER_HINT
from leasekeeper.files.preflight import sweep
from leasekeeper.files.publish import Publication, PublishedFile
from leasekeeper.files.target import Target

ROOT = os.geteuid() == 0
SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def publish(target: Target, content: bytes) -> PublishedFile:
    publication = Publication(target, content)
    return publication.stage() or publication.commit()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that was published before anything failed."""
    path = tmp_path / "conf" / "a"
    publish(Target(path=str(path), mode=0o600), b"old")
    return path


class Fault:
    """A system call that fails with *number* the first *times* times."""

    def __init__(self, real: Callable[..., Any], number: int, times: float = float("inf")) -> None:
        self.real, self.number, self.times = real, number, times
        self.calls = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*args, **options)


CALLS = ["write", "fchmod", "fsync", "rename"]
NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EPERM, errno.EACCES,
           errno.ENAMETOOLONG, errno.EBUSY]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_the_old_file_survives_any_error_of_any_call(
    old: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    before = old.lstat()
    monkeypatch.setattr(os, call, Fault(getattr(os, call), number))

    with pytest.raises(PublishError) as caught:
        publish(Target(path=str(old), mode=0o640), b"new content")

    error = caught.value
    assert (error.path, error.errno) == (str(old), number)
    assert os.strerror(number) in error.message
    assert str(old) in error.message
    assert error.hint
    assert error.retryable
    assert "new content" not in str(error)
    assert old.read_bytes() == b"old"
    assert old.lstat().st_ino == before.st_ino
    assert os.listdir(old.parent) == ["a"]


@pytest.mark.parametrize("number", sorted(TRANSIENT), ids=errno.errorcode.get)
@pytest.mark.parametrize("call", [*CALLS, "open", "lstat"])
def test_transient_errors_are_retried_from_the_start(
    old: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    monkeypatch.setattr(attempt_module, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    fault = Fault(getattr(os, call), number, times=2)
    monkeypatch.setattr(os, call, fault)

    file = publish(Target(path=str(old)), b"new")

    assert file.rewritten
    assert old.read_bytes() == b"new"
    assert os.listdir(old.parent) == ["a"]


def test_transient_errors_are_not_retried_for_ever(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "RETRY_PAUSES_S", (0.0, 0.0, 0.0))
    fault = Fault(os.rename, errno.ESTALE)
    monkeypatch.setattr(os, "rename", fault)

    with pytest.raises(PublishError, match="removed or replaced on the server"):
        publish(Target(path=str(old)), b"new")

    assert fault.calls == 4
    assert old.read_bytes() == b"old"
    assert os.listdir(old.parent) == ["a"]


def test_a_directory_that_cannot_be_synced_after_the_rename_is_in_doubt(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, 0

    def fail_on_the_directory(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", fail_on_the_directory)
    publication = Publication(Target(path=str(old)), b"new")
    publication.stage()
    with pytest.raises(PublishError):
        publication.commit()

    assert publication.in_doubt
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_file_system_without_directory_sync_is_good_enough(
    old: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real, calls = os.fsync, 0

    def fail_on_the_directory(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(number, os.strerror(number))
        real(fd)

    monkeypatch.setattr(os, "fsync", fail_on_the_directory)

    assert publish(Target(path=str(old)), b"new").rewritten


def test_a_file_system_without_locks_is_good_enough(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", Fault(lambda: None, errno.ENOLCK))

    assert publish(Target(path=str(old)), b"new").rewritten


def test_short_writes_are_continued(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))

    publish(Target(path=str(old)), b"0123456789")

    assert old.read_bytes() == b"0123456789"


def test_an_owner_that_may_not_be_set_is_explained(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchown", Fault(os.fchown, errno.EPERM))

    with pytest.raises(PublishError) as caught:
        publish(Target(path=str(old), mode=0o600, user=os.geteuid() + 1), b"new")

    assert caught.value.hint == OWNER_HINT
    assert old.read_bytes() == b"old"
    assert os.listdir(old.parent) == ["a"]


def test_an_owner_that_the_file_system_enforces_is_accepted_without_rewriting(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An EFS access point may accept a chown and keep its own user all the same."""
    monkeypatch.setattr(os, "fchown", lambda *_args: None)
    target = Target(path=str(old), mode=0o600, user=os.geteuid() + 1)

    first = publish(target, b"new")
    second = publish(target, b"new")

    assert first.rewritten
    assert first.forced
    assert second.forced
    assert not second.rewritten
    assert not second.mended
    assert second.fingerprint.inode == first.fingerprint.inode


def test_a_file_that_cannot_be_mended_in_place_is_replaced(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fchmod, 0

    def refuse_once(fd: int, mode: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        real(fd, mode)

    monkeypatch.setattr(os, "fchmod", refuse_once)

    assert publish(Target(path=str(old), mode=0o644), b"old").rewritten
    assert old.stat().st_mode & 0o777 == 0o644


def test_content_beyond_the_file_size_limit_is_refused(old: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(PublishError, match="ulimit -f") as caught:
            publish(Target(path=str(old)), b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    assert caught.value.errno == errno.EFBIG
    assert old.read_bytes() == b"old"
    assert os.listdir(old.parent) == ["a"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    where = tmp_path / "tiny"
    where.mkdir()
    mount = shutil.which("mount")
    if not ROOT or mount is None:
        pytest.skip("mounting a tmpfs needs root and mount(8)")
    command = [mount, "-t", "tmpfs", "-o", "size=64k,nr_inodes=8", "tmpfs", str(where)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a tmpfs does not work here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


def test_a_full_disk_keeps_the_old_file_and_works_again_when_there_is_room(
    tiny_disk: Path,
) -> None:
    target = Target(path=str(tiny_disk / "a"))
    publish(target, b"old")
    filler = tiny_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)

    with pytest.raises(PublishError, match="no inode, left") as caught:
        publish(target, b"n" * 9000)
    assert caught.value.errno == errno.ENOSPC
    assert (tiny_disk / "a").read_bytes() == b"old"
    assert sorted(os.listdir(tiny_disk)) == ["a", "filler"]

    filler.unlink()
    publish(target, b"n" * 9000)
    assert (tiny_disk / "a").read_bytes() == b"n" * 9000


def test_a_disk_without_inodes_keeps_the_old_file(tiny_disk: Path) -> None:
    target = Target(path=str(tiny_disk / "a"))
    publish(target, b"old")
    with suppress(OSError):
        for number in range(100):
            (tiny_disk / f"filler{number}").touch()

    with pytest.raises(PublishError) as caught:
        publish(target, b"new")

    assert caught.value.errno == errno.ENOSPC
    assert (tiny_disk / "a").read_bytes() == b"old"


def test_a_volume_that_becomes_read_only_keeps_the_old_file(tiny_disk: Path) -> None:
    target = Target(path=str(tiny_disk / "a"))
    publish(target, b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)

    with pytest.raises(PublishError, match="mount the volume writable") as caught:
        publish(target, b"new")

    assert caught.value.errno == errno.EROFS
    assert (tiny_disk / "a").read_bytes() == b"old"


def test_a_reader_sees_no_torn_and_no_missing_file_during_two_thousand_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Durability takes most of the time and is nothing that a reader could see.
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    path = tmp_path / "a"
    target = Target(path=str(path))

    def content(number: int) -> bytes:
        return (b"%06d" % number) * (1 + number % 700)

    publish(target, content(0))
    done = threading.Event()
    bad: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        last = 0
        while not done.is_set():
            try:
                seen = path.read_bytes()
            except OSError as error:
                bad.append(repr(error))
                continue
            number = int(seen[:6] or b"-1")
            if seen != content(number):
                bad.append(f"torn at {number}")
            if number < last:
                bad.append(f"{number} after {last}")
            last = number
            reads += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 2001):
            publish(target, content(number))
    finally:
        done.set()
        reader.join()

    assert bad == []
    assert reads > 100
    assert os.listdir(tmp_path) == ["a"]


WRITER = """
    import sys
    from leasekeeper.files.publish import Publication
    from leasekeeper.files.target import Target

    target = Target(path=sys.argv[1])
    print("ready", flush=True)
    number = int(sys.argv[2])
    while True:
        number += 1
        publication = Publication(target, (b"%08d" % number) * 4000)
        publication.stage() or publication.commit()
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    target = Target(path=str(path))
    publish(target, b"%08d" % 0 * 4000)
    leftovers = 0
    for kill in range(12):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(kill * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=SAME_MODULES) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            # Whenever the file has changed a few times: in the middle of the next publish.
            began = path.stat().st_ino
            while path.stat().st_ino == began:
                pass
            time.sleep(0.0007 * kill)
            writer.kill()

        seen = path.read_bytes()
        assert seen == seen[:8] * 4000
        leftovers += len(os.listdir(tmp_path)) - 1
        removed = sweep([target], moment_s=0)
        assert all(os.path.basename(name).startswith(".a.") for name in removed)
        assert os.listdir(tmp_path) == ["a"]

    assert leftovers > 0, "no kill hit the middle of a publish, so nothing was tested"
