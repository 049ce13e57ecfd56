"""Volumes that fill up, turn to stone, fail, vanish and come back, under files and groups."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files.attempt import TRANSIENT
from leasekeeper.files.generations import (
    GenerationSwitch,
    Member,
    PublishedGeneration,
    is_as_switched,
    remove_generations,
    superseded,
)
from leasekeeper.files.publish import Publication, PublishedFile
from leasekeeper.files.target import Target

SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, with EXT4_GOING_FLAGS_NOLOGFLUSH
_NO_LOG_FLUSH = 2


def publish(path: Path, content: bytes) -> PublishedFile:
    publication = Publication(Target(path=str(path)), content)
    return publication.stage() or publication.commit()


def switch(link: Path, content: bytes) -> PublishedGeneration:
    members = [Member(target=Target(path=f"{link}/{name}"), content=content) for name in "ab"]
    generation = GenerationSwitch(str(link), members)
    return generation.stage() or generation.commit()


def shown(link: Path) -> set[bytes]:
    return {(link / name).read_bytes() for name in "ab"}


def root_command(*command: str) -> None:
    """Run something that needs root, or skip the test."""
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        pytest.skip(f"needs root and {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")


class Fault:
    """A system call that fails with *number*."""

    def __init__(self, real: Callable[..., Any], number: int) -> None:
        self.real, self.number, self.on = real, number, True

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.on:
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*args, **options)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO],
                         ids=errno.errorcode.get)  # fmt: skip
@pytest.mark.parametrize(
    "call", ["mkdir", "write", "fchmod", "fsync", "chmod", "rename", "symlink"]
)
def test_the_old_generation_survives_any_error_of_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    link = tmp_path / "group"
    before = switch(link, b"old")
    fault = Fault(getattr(os, call), number)
    monkeypatch.setattr(os, call, fault)

    with pytest.raises(PublishError) as caught:
        switch(link, b"new content")

    assert caught.value.errno == number
    assert caught.value.retryable
    assert "new content" not in str(caught.value)
    assert shown(link) == {b"old"}
    assert is_as_switched(str(link), ["a", "b"], before.fingerprint)
    assert sorted(os.listdir(tmp_path)) == [".group.generations", "group"]
    assert superseded(str(link)) == []

    fault.on = False
    switch(link, b"new content")
    assert shown(link) == {b"new content"}


@pytest.mark.parametrize("call", ["symlink", "rename", "mkdir"])
def test_a_transient_error_of_a_switch_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    assert errno.ESTALE in TRANSIENT
    link = tmp_path / "group"
    switch(link, b"old")
    real, left = getattr(os, call), [1]

    def stale_once(*args: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(*args, **options)

    monkeypatch.setattr(os, call, stale_once)
    switch(link, b"new")

    assert shown(link) == {b"new"}
    assert len(superseded(str(link))) == 1


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Callable[[Path, str], None]]:
    """``immutable(path, "+")`` makes a path immutable, ``"-"`` ends that."""
    touched: set[Path] = set()

    def change(path: Path, sign: str) -> None:
        touched.add(path)
        root_command("chattr", f"{sign}i", str(path))

    yield change
    for path in touched:
        subprocess.run(["chattr", "-i", str(path)], check=False, capture_output=True)


def test_a_file_made_immutable_stays_and_is_replaced_once_it_is_not(
    tmp_path: Path, immutable: Callable[[Path, str], None]
) -> None:
    path, link = tmp_path / "a", tmp_path / "group"
    publish(path, b"old")
    switch(link, b"old")
    immutable(path, "+")
    immutable(tmp_path / ".group.generations", "+")

    for attempt in (lambda: publish(path, b"new"), lambda: switch(link, b"new")):
        with pytest.raises(PublishError, match="immutable") as caught:
            attempt()
        assert caught.value.errno == errno.EPERM
    assert path.read_bytes() == b"old"
    assert shown(link) == {b"old"}

    immutable(path, "-")
    immutable(tmp_path / ".group.generations", "-")
    publish(path, b"new")
    switch(link, b"new")
    assert sorted(os.listdir(tmp_path)) == [".group.generations", "a", "group"]
    assert shown(link) == {b"new"}


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A real ext4 of 2 MiB on a loop device."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(2 << 20)
    root_command("mke2fs", "-q", "-t", "ext4", "-F", str(image))
    root_command("mount", "-o", "loop", str(image), str(mount))
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_disk_that_fails_is_told_as_such(ext4: Path) -> None:
    path, link = ext4 / "a", ext4 / "group"
    publish(path, b"old")
    switch(link, b"old")
    fd = os.open(ext4, os.O_RDONLY)
    fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    os.close(fd)

    for attempt in (lambda: publish(path, b"new"), lambda: switch(link, b"new")):
        with pytest.raises(PublishError, match="fails") as caught:
            attempt()
        assert caught.value.errno == errno.EIO


def test_a_full_volume_keeps_the_old_generation_and_works_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    mount = tmp_path / "tiny"
    mount.mkdir()
    root_command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount))
    try:
        link, filler = mount / "group", mount / "filler"
        switch(link, b"old")
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        for _ in range(3):
            with pytest.raises(PublishError, match="no inode, left"):
                switch(link, b"n" * 9000)
        assert shown(link) == {b"old"}
        assert superseded(str(link)) == []
        filler.unlink()
        switch(link, b"n" * 9000)
        assert shown(link) == {b"n" * 9000}
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_directory_that_vanishes_and_returns_gets_its_files_again(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    path, link = folder / "a", folder / "group"
    publish(path, b"old")
    switch(link, b"old")
    folder.rename(tmp_path / "away")
    publish(path, b"new")
    switch(link, b"new")
    assert (path.read_bytes(), shown(link)) == (b"new", {b"new"})

    shutil.rmtree(folder)
    (tmp_path / "away").rename(folder)
    assert (path.read_bytes(), shown(link)) == (b"old", {b"old"})
    publish(path, b"new")
    switch(link, b"new")
    assert (path.read_bytes(), shown(link)) == (b"new", {b"new"})
    remove_generations(str(link), superseded(str(link)))
    assert len(os.listdir(folder / ".group.generations")) == 2


KILLED_AGAIN_AND_AGAIN = """
    import json, os, random, signal, sys, time
    from leasekeeper.files.generations import GenerationSwitch, Member
    from leasekeeper.files.generations import remove_generations, superseded
    from leasekeeper.files.preflight import sweep
    from leasekeeper.files.publish import Publication
    from leasekeeper.files.target import Target

    folder, kills, rng = sys.argv[1], int(sys.argv[2]), random.Random(7)
    file, link = Target(path=f"{folder}/a"), f"{folder}/group"
    targets = [Target(path=f"{link}/{name}") for name in "bc"]

    def write(number):
        content = (b"%08d" % number) * 2000
        publication = Publication(file, content)
        publication.stage() or publication.commit()
        switch = GenerationSwitch(link, [Member(target=t, content=content) for t in targets])
        switch.stage() or switch.commit()

    def start():
        sweep([file], moment_s=0)
        write(0)
        remove_generations(link, superseded(link))

    start()
    leftovers, broken = 0, []
    for kill in range(kills):
        child = os.fork()
        if child == 0:
            number = kill * 1_000_000
            while True:
                number += 1
                write(number)
        time.sleep(rng.uniform(0.002, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        leftovers += len(os.listdir(folder)) - 3
        store = os.listdir(f"{folder}/.group.generations")
        leftovers += sum(name.endswith(".tmp") for name in store)
        seen = [open(path, "rb").read() for path in (file.path, f"{link}/b", f"{link}/c")]
        if any(data != data[:8] * 2000 for data in seen) or seen[1] != seen[2]:
            broken.append(kill)
        start()
        if len(os.listdir(folder)) != 3 or len(os.listdir(f"{folder}/.group.generations")) != 2:
            broken.append([os.listdir(folder), os.listdir(f"{folder}/.group.generations")])
    print(json.dumps({"leftovers": leftovers, "broken": broken}))
"""


def test_sixty_kills_in_the_middle_of_writing_leave_whole_files_and_no_garbage(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED_AGAIN_AND_AGAIN), str(tmp_path), "60"]
    done = subprocess.run(command, env=SAME_MODULES, capture_output=True, check=True)
    told = json.loads(done.stdout)

    assert told["broken"] == []
    assert told["leftovers"] > 0, "no kill hit the middle of a write, so nothing was tested"
