"""One leader among the tasks that share a volume: real locks, real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leasekeeper.errors import PublishError
from leasekeeper.files.election import Election, Replaced
from leasekeeper.files.publish import Publication
from leasekeeper.files.target import Target

SAME_MODULES = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
NEVER_S = 3600.0


def candidate(path: Path, me: str, takeover_after_s: float = NEVER_S) -> Election:
    return Election(str(path / "shared"), me, takeover_after_s=takeover_after_s)


@pytest.fixture
def elections(tmp_path: Path) -> Iterator[tuple[Election, Election]]:
    """Two tasks; the first leads."""
    one, two = candidate(tmp_path, "one"), candidate(tmp_path, "two")
    assert one.stand()
    assert not two.stand()
    yield one, two
    one.resign()()
    two.resign()()


Pair = tuple[Election, Election]


def test_the_leader_goes_on_leading_and_the_other_hears_of_it(elections: Pair) -> None:
    one, two = elections
    one.renew({"state": "healthy"})

    assert one.stand()
    assert not two.stand()
    assert two.manifest is not None
    assert (two.manifest.leader, two.manifest.term) == ("one", 1)
    assert two.manifest.report == {"state": "healthy"}
    one.fence()
    with pytest.raises(Replaced):
        two.fence()


def test_a_leader_that_ends_is_followed_by_another_with_a_later_term(
    elections: Pair, tmp_path: Path
) -> None:
    one, two = elections
    one.renew({"state": "healthy"})
    one.resign()()

    assert two.stand()
    assert two.manifest is not None
    assert two.manifest.term == 2
    assert two.manifest.report == {"state": "healthy"}
    with pytest.raises(Replaced, match="another task leads"):
        one.fence()
    assert sorted(os.listdir(tmp_path / "shared")) == [
        "election.lock",
        "manifest.json",
        "term-2.lock",
    ]


def test_a_leader_that_hangs_is_replaced_and_writes_nothing_when_it_wakes(tmp_path: Path) -> None:
    """Its lock is still held, as that of a stopped process or a lost host is."""
    one, two = candidate(tmp_path, "one"), candidate(tmp_path, "two", 0.1)
    target = Target(path=str(tmp_path / "file"))
    assert one.stand()
    asleep = Publication(target, b"of one", fence=one.fence)
    asleep.stage()
    deadline = time.monotonic() + 20
    while not two.stand():
        assert time.monotonic() < deadline

    Publication(target, b"of two", fence=two.fence).commit()
    with pytest.raises(Replaced):
        asleep.commit()
    with pytest.raises(Replaced):
        one.renew({})
    assert (tmp_path / "file").read_bytes() == b"of two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "shared"]
    one.resign()()
    assert not one.stand()
    two.resign()()


def test_a_manifest_that_a_replaced_leader_has_written_late_replaces_nobody(
    elections: Pair, tmp_path: Path
) -> None:
    """It had looked before it fell asleep, and writes after it woke up."""
    one, two = elections
    late = (tmp_path / "shared" / "manifest.json").read_bytes()
    one.resign()()
    assert two.stand()
    (tmp_path / "shared" / "manifest.json").write_bytes(late)

    two.fence()
    two.renew({})
    assert not one.stand()
    assert one.manifest is not None
    assert one.manifest.leader == "two"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": 2, "term": 9, "leader": "x", "beat": 1, "report": {}}',
        b'{"version": 1, "term": "9", "leader": "x", "beat": 1, "report": {}}',
        b'{"version": 1, "term": -9, "leader": "x", "beat": 1, "report": {}}',
        b'{"version": 1, "term": 9, "leader": "x", "beat": 1, "report": 3}',
        None,
    ],
)
def test_a_manifest_that_makes_no_sense_deposes_nobody_and_is_written_anew(
    elections: Pair, tmp_path: Path, content: bytes | None
) -> None:
    one, two = elections
    manifest = tmp_path / "shared" / "manifest.json"
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content)

    assert not two.stand()
    assert two.manifest is None
    one.fence()
    one.renew({})
    assert not two.stand()
    assert two.manifest is not None
    one.resign()()
    manifest.write_bytes(content or b"")
    assert two.stand()
    assert json.loads(manifest.read_bytes())["term"] == 2


def test_a_link_in_the_place_of_the_manifest_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "precious").write_text("{}")
    (tmp_path / "shared" / "manifest.json").symlink_to(tmp_path / "precious")

    with pytest.raises(PublishError, match="looking for the leader"):
        candidate(tmp_path, "one").stand()
    assert (tmp_path / "precious").read_text() == "{}"


def test_a_folder_that_vanishes_does_not_make_two_leaders(elections: Pair, tmp_path: Path) -> None:
    one, two = elections
    (tmp_path / "shared").rename(tmp_path / "away")

    assert two.stand()
    with pytest.raises(Replaced):
        one.fence()


CANDIDATE = """
    import os, sys, time
    from leasekeeper.files.election import Election
    from leasekeeper.files.publish import Publication
    from leasekeeper.files.target import Target

    folder, me = sys.argv[1:]
    election = Election(f"{folder}/shared", me, takeover_after_s=3600)
    target = Target(path=f"{folder}/file")
    while not election.stand():
        time.sleep(0.01)
    term = election.manifest.term
    os.write(1, f"{me} {term}\\n".encode())
    number = 0
    while True:
        number += 1
        election.renew({})
        publication = Publication(target, f"{term} {number}".encode(), fence=election.fence)
        publication.stage() or publication.commit()
"""


def test_leaders_that_are_killed_follow_one_another_and_never_lead_together(
    tmp_path: Path,
) -> None:
    read, write = os.pipe()
    with ExitStack() as stack:
        tasks: dict[str, subprocess.Popen[bytes]] = {}

        def start(me: str) -> None:
            command = [sys.executable, "-c", textwrap.dedent(CANDIDATE), str(tmp_path), me]
            task = stack.enter_context(subprocess.Popen(command, stdout=write, env=SAME_MODULES))
            tasks[me] = task
            stack.callback(task.kill)

        for number in range(4):
            start(f"task-{number}")
        news = stack.enter_context(os.fdopen(read, "rb"))
        terms = []
        for life in range(12):
            leader, term = news.readline().decode().split()
            terms.append(int(term))
            began = (tmp_path / "file").stat().st_ino if (tmp_path / "file").exists() else 0
            while not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_ino == began:
                assert tasks[leader].poll() is None
            # Nobody else has written since it leads.
            assert (tmp_path / "file").read_text().split()[0] == term
            tasks[leader].send_signal(signal.SIGKILL)
            tasks[leader].wait()
            start(f"task-{life + 4}")
        os.close(write)

    assert terms == list(range(1, 13))
    locks = [name for name in os.listdir(tmp_path / "shared") if name.startswith("term-")]
    assert len(locks) <= 2
