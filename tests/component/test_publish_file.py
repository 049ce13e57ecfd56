"""Publishing one file: what a reader sees, and what becomes of what stands in the way."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasekeeper.errors import PublishError
from leasekeeper.files import directory as directory_module
from leasekeeper.files.publish import Fingerprint, Publication, PublishedFile, is_as_published
from leasekeeper.files.target import Target

ROOT = os.geteuid() == 0


def publish(target: Target, content: bytes) -> PublishedFile:
    publication = Publication(target, content)
    return publication.stage() or publication.commit()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_new_file_has_content_and_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "conf.json"
    before = os.umask(0o077)
    try:
        file = publish(Target(path=str(path), mode=0o644), b"one")
    finally:
        os.umask(before)

    assert path.read_bytes() == b"one"
    assert mode_of(path) == 0o644
    assert file.rewritten
    assert not file.forced
    assert names_in(tmp_path) == ["conf.json"]


def test_the_staged_file_is_complete_hidden_and_for_us_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        publication = Publication(Target(path=str(tmp_path / "a"), mode=0o666), b"secret")
        assert publication.stage() is None
    finally:
        os.umask(before)

    staged = Path(publication.temp_path)
    assert staged.read_bytes() == b"secret"
    assert mode_of(staged) == 0o600
    assert staged.parent == tmp_path
    assert staged.name.startswith(".a.")
    publication.discard()
    assert names_in(tmp_path) == []


def test_unchanged_content_is_not_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    target = Target(path=str(path))
    first = publish(target, b"same")

    second = publish(target, b"same")

    assert not second.rewritten
    assert not second.mended
    assert second.fingerprint == first.fingerprint == Fingerprint.of(path.lstat())


@pytest.mark.parametrize("other", [b"", b"longer than before", b"sane"])
def test_other_content_replaces_the_file(tmp_path: Path, other: bytes) -> None:
    target = Target(path=str(tmp_path / "a"))
    publish(target, b"same")

    assert publish(target, other).rewritten
    assert (tmp_path / "a").read_bytes() == other


def test_a_wrong_mode_is_mended_without_rewriting(tmp_path: Path) -> None:
    path = tmp_path / "a"
    target = Target(path=str(path), mode=0o640)
    inode = publish(target, b"x").fingerprint.inode
    path.chmod(0o666)

    file = publish(target, b"x")

    assert file.mended
    assert not file.rewritten
    assert file.fingerprint.inode == inode
    assert mode_of(path) == 0o640


@pytest.mark.skipif(not ROOT, reason="only root can give files away")
def test_owner_and_group_are_set_before_the_file_appears_and_mended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    target = Target(path=str(path), mode=0o400, user=12345, group="54321")
    seen: list[tuple[int, int, int]] = []
    rename = os.rename

    def look_then_rename(source: str, name: str, **fds: int) -> None:
        status = os.stat(source, dir_fd=fds["src_dir_fd"])
        seen.append((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))
        rename(source, name, **fds)

    monkeypatch.setattr(os, "rename", look_then_rename)
    publish(target, b"x")
    assert seen == [(12345, 54321, 0o400)]

    os.chown(path, 0, 0)
    file = publish(target, b"x")
    assert file.mended
    assert not file.rewritten
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_an_unknown_user_is_named_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"'nobody-of-that-name'.*use the number"):
        publish(Target(path=str(tmp_path / "a"), user="nobody-of-that-name"), b"x")
    with pytest.raises(PublishError, match="group 'no-such-group'"):
        publish(Target(path=str(tmp_path / "a"), group="no-such-group"), b"x")
    assert names_in(tmp_path) == []


def test_missing_directories_are_made_for_everybody_to_pass(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        publish(Target(path=str(tmp_path / "x" / "y" / "a")), b"1")
    finally:
        os.umask(before)

    assert (tmp_path / "x" / "y" / "a").read_bytes() == b"1"
    assert mode_of(tmp_path / "x") == mode_of(tmp_path / "x" / "y") == 0o755


def test_directories_that_exist_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir(mode=0o700)

    publish(Target(path=str(tmp_path / "x" / "y" / "a")), b"1")

    assert mode_of(tmp_path / "x") == 0o700


def test_a_missing_directory_is_an_error_when_it_may_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="create_dest_dirs") as caught:
        publish(Target(path=str(tmp_path / "x" / "a"), create_dirs=False), b"1")

    assert caught.value.errno == errno.ENOENT
    assert caught.value.path == str(tmp_path / "x" / "a")


def test_a_symbolic_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"same")
    victim.chmod(0o600)
    path = tmp_path / "a"
    path.symlink_to(victim)

    file = publish(Target(path=str(path), mode=0o644), b"same")

    assert file.rewritten
    assert not path.is_symlink()
    assert path.read_bytes() == b"same"
    assert mode_of(victim) == 0o600


def test_a_link_planted_at_the_last_moment_is_not_followed_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"same")
    victim.chmod(0o600)
    path = tmp_path / "a"
    path.symlink_to(victim)
    # What stood there when we looked was a file.
    monkeypatch.setattr(directory_module, "lstat", lambda _name, _fd: victim.stat())

    publish(Target(path=str(path), mode=0o666), b"same")

    assert not path.is_symlink()
    assert mode_of(victim) == 0o600


def test_a_pipe_in_the_way_is_replaced_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")

    publish(Target(path=str(tmp_path / "a")), b"1")

    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_huge_file_in_the_way_is_replaced_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 1 << 40)  # sparse
    monkeypatch.setattr(os, "read", None)

    publish(Target(path=str(path)), b"1")

    assert path.read_bytes() == b"1"


def test_a_directory_in_the_way_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(PublishError, match="directory has this name") as caught:
        publish(Target(path=str(tmp_path / "a")), b"1")

    assert caught.value.errno == errno.EISDIR
    assert names_in(tmp_path) == ["a"]


def test_a_file_that_has_changed_since_it_held_something_else_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    old = publish(Target(path=str(path)), b"old")
    path.write_bytes(b"new")

    publication = Publication(Target(path=str(path)), b"new", other=old.fingerprint)

    assert not publication.commit().rewritten


def test_a_device_is_never_replaced() -> None:
    before = os.lstat("/dev/null")

    with pytest.raises(PublishError, match="device has this name"):
        publish(Target(path="/dev/null"), b"1")

    assert os.lstat("/dev/null").st_ino == before.st_ino


def test_a_name_planted_for_our_temporary_file_is_neither_used_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".a.{'0' * 16}.tmp").symlink_to(victim)
    guesses = iter(["0" * 16, "0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda _n: next(guesses))

    publish(Target(path=str(tmp_path / "a")), b"1")

    assert victim.read_bytes() == b"precious"
    assert names_in(tmp_path) == [f".a.{'0' * 16}.tmp", "a", "victim"]


def test_a_directory_that_is_swapped_meanwhile_gets_the_file_in_its_new_place(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "config"
    directory.mkdir()
    publication = Publication(Target(path=str(directory / "a")), b"1")
    assert publication.stage() is None
    directory.rename(tmp_path / "moved")
    directory.mkdir()

    file = publication.commit()

    assert (directory / "a").read_bytes() == b"1"
    assert names_in(directory) == ["a"]
    assert file.rewritten


def test_a_directory_that_is_replaced_by_a_link_elsewhere_is_written_by_path(
    tmp_path: Path,
) -> None:
    """What counts is what a reader finds at the path."""
    directory, elsewhere = tmp_path / "config", tmp_path / "elsewhere"
    directory.mkdir()
    elsewhere.mkdir()
    publication = Publication(Target(path=str(directory / "a")), b"1")
    assert publication.stage() is None
    directory.rename(tmp_path / "moved")
    directory.symlink_to(elsewhere)

    publication.commit()

    assert (directory / "a").read_bytes() == b"1"
    assert not [name for name in names_in(elsewhere) if name.endswith(".tmp")]


@pytest.mark.parametrize("length", [1, 232, 233, 254, 255])
def test_names_up_to_the_longest_are_published(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("n" * length)

    publish(Target(path=str(path)), b"1")

    assert path.read_bytes() == b"1"
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("path", "number"),
    [("n" * 256, errno.ENAMETOOLONG), ("n\0l", errno.EINVAL), ("half\ud800", errno.EINVAL)],
)
def test_impossible_names_are_clear_errors(tmp_path: Path, path: str, number: int) -> None:
    with pytest.raises(PublishError) as caught:
        publish(Target(path=f"{tmp_path}/{path}"), b"1")

    assert caught.value.errno == number
    assert caught.value.hint
    assert names_in(tmp_path) == []


def test_a_file_as_a_directory_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x").touch()

    with pytest.raises(PublishError, match="should be a directory") as caught:
        publish(Target(path=str(tmp_path / "x" / "a")), b"1")

    assert caught.value.errno == errno.ENOTDIR


def test_a_fingerprint_tells_every_kind_of_meddling(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def meddled(change: object) -> bool:
        path.unlink(missing_ok=True)
        mark = publish(Target(path=str(path)), b"1").fingerprint
        assert is_as_published(str(path), mark)
        assert callable(change)
        change()
        return not is_as_published(str(path), mark)

    def write_and_forge_the_time() -> None:
        status = path.stat()
        path.write_bytes(b"2")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert meddled(path.unlink)
    assert meddled(write_and_forge_the_time)
    assert meddled(lambda: path.chmod(0o600))
    assert meddled(lambda: path.write_bytes(b"22"))
    assert not meddled(path.read_bytes)


def test_a_revoked_attempt_renames_nothing_and_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    publication = Publication(Target(path=str(path)), b"new")
    assert publication.stage() is None

    publication.revoke()
    with pytest.raises(PublishError, match="given up"):
        publication.commit()

    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_an_attempt_that_is_revoked_while_it_hangs_never_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    hanging, release = threading.Event(), threading.Event()
    fsync = os.fsync

    def hang(fd: int) -> None:
        hanging.set()
        release.wait()
        fsync(fd)

    monkeypatch.setattr(os, "fsync", hang)
    publication = Publication(Target(path=str(path)), b"new")
    publication.stage()
    errors: list[PublishError] = []

    def commit() -> None:
        try:
            publication.commit()
        except PublishError as error:
            errors.append(error)

    thread = threading.Thread(target=commit)
    thread.start()
    hanging.wait()
    publication.revoke()
    assert not publication.in_doubt
    release.set()
    thread.join()

    assert len(errors) == 1
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


@given(contents=st.lists(st.binary(max_size=50), min_size=1, max_size=6))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_reader_has_the_last_content_after_any_sequence(
    tmp_path: Path, contents: list[bytes]
) -> None:
    target = Target(path=str(tmp_path / "a"))
    for content in contents:
        before = (tmp_path / "a").read_bytes() if (tmp_path / "a").exists() else None
        assert publish(target, content).rewritten == (content != before)

    assert (tmp_path / "a").read_bytes() == contents[-1]
    assert names_in(tmp_path) == ["a"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        publish(Target(path=str(tmp_path / "a")), str(number % 3).encode())
        publication = Publication(Target(path=str(tmp_path / "b")), b"1")
        publication.stage()
        publication.discard()

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_mode_that_is_kept_is_0644_at_first(tmp_path: Path) -> None:
    path = tmp_path / "a"
    target = Target(path=str(path), mode=None)
    publish(target, b"one")
    first = mode_of(path)
    path.chmod(0o600)
    same = publish(target, b"one")
    publish(target, b"two")

    assert first == 0o644
    assert not same.mended
    assert (path.read_bytes(), mode_of(path)) == (b"two", 0o600)


def test_the_file_before_stays_as_a_backup(tmp_path: Path) -> None:
    path, backup = tmp_path / "a", tmp_path / "a.bak"
    target = Target(path=str(path), mode=0o640, backup=True)
    publish(target, b"one")
    alone = backup.exists()
    path.chmod(0o600)
    publish(target, b"two")
    second = (backup.read_bytes(), mode_of(backup))
    publish(target, b"two")
    unchanged = backup.read_bytes()
    publish(target, b"three")

    assert not alone
    assert second == (b"one", 0o600)
    assert unchanged == b"one"
    assert (path.read_bytes(), backup.read_bytes()) == (b"three", b"two")
    assert names_in(tmp_path) == ["a", "a.bak"]


def test_a_backup_that_cannot_be_made_keeps_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / "a.bak").mkdir()
    target = Target(path=str(path), backup=True)
    publish(target, b"one")
    file = publish(target, b"two")

    assert path.read_bytes() == b"two"
    assert file.backup_errno == errno.EISDIR
    assert names_in(tmp_path) == ["a", "a.bak"]
