"""An application of the strictest kind: it logs in 20 times a second with what is on disk.

As a process (`python -m tests.chaos.application FILE LOG`) it writes one line of JSON per try; in
the suite `Application` starts it and reads the lines.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PERIOD_S = 0.05
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Try:
    """One try: when it began (`time.monotonic`, the same for all processes), who, and how it went.

    *how* is ``ok``, ``refused`` (PostgreSQL did not let it in), ``absent`` (there is no file) or
    ``torn`` (the file is not whole).
    """

    at: float
    user: str
    how: str


@dataclass(frozen=True, slots=True)
class Span:
    """A time without a successful login, from the first refused try to the next good one."""

    begin: float
    end: float
    users: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


class Application:
    """The tries of an application's process, as far as its log has come."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.all: list[Try] = []
        self._read = 0

    @property
    def tries(self) -> list[Try]:
        """Every try so far."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        self.all += [Try(*json.loads(line)) for line in whole.splitlines()]
        return self.all

    def since(self, at: float) -> list[Try]:
        """Return the tries that began at *at* (`time.monotonic`) or later."""
        return [one for one in self.tries if one.at >= at]

    def good_after(self, at: float, *, but: str = "") -> Try | None:
        """Return the first good login since *at*, by anybody but the user *but*."""
        found = (one for one in self.since(at) if one.how == "ok" and one.user != but)
        return next(found, None)

    def count(self, how: str, *, since: float = 0.0) -> int:
        """Return how many tries went like that."""
        return sum(one.how == how for one in self.since(since))

    def gaps(self, *, since: float = 0.0) -> list[Span]:
        """Return the times without a successful login; an unfinished one ends with the log."""
        return list(_gaps(self.since(since)))

    def users(self, *, since: float = 0.0) -> dict[str, float]:
        """Return whom it has found on disk, and when first."""
        found: dict[str, float] = {}
        for one in self.since(since):
            if one.user:
                found.setdefault(one.user, one.at)
        return found


def _gaps(tries: list[Try]) -> Iterator[Span]:
    bad: list[Try] = []
    for one in tries:
        if one.how != "ok":
            bad.append(one)
        elif bad:
            yield Span(bad[0].at, one.at, tuple(dict.fromkeys(x.user for x in bad)))
            bad = []
    if bad:
        yield Span(bad[0].at, tries[-1].at, tuple(dict.fromkeys(x.user for x in bad)))


# -- the process ------------------------------------------------------------------------------


def main(path: Path, log: Path) -> NoReturn:
    """Log in for ever, from the moment there is a file."""
    with log.open("a", encoding="utf-8") as out:
        while not path.exists():
            time.sleep(PERIOD_S / 5)
        while True:
            began = time.monotonic()
            user, how = log_in(path)
            out.write(json.dumps([round(began, 4), user, how]) + "\n")
            out.flush()
            time.sleep(max(PERIOD_S - (time.monotonic() - began), 0.0))


def log_in(path: Path) -> tuple[str, str]:
    """Read the file once and log in once; return the user and how it went."""
    import psycopg  # not needed by the suite's own process

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        dsn, user = content["dsn"], content["user"]
        if content["user_again"] != user:
            return "", "torn"
    except OSError:
        return "", "absent"
    except (ValueError, KeyError, TypeError):
        return "", "torn"
    try:
        psycopg.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.Error:
        return user, "refused"
    return user, "ok"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
