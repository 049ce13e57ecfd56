"""Run other programs, and say what went wrong with them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


class Broken(Exception):
    """Something that is deployed is not as it should be; the text says what."""


class Missing(Exception):
    """A program that a step needs is not there."""


def program(name: str) -> str:
    """Return the path of a program.

    :raises Missing: if it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise Missing(name)
    return path


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Return what *command* prints.

    :raises Broken: if it fails, with the end of what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=env, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        said = "\n".join(lines_of(done.stdout))[-3000:]
        raise Broken(
            f"{Path(words[0]).name} {' '.join(words[1:4])} ended with {done.returncode}:\n{said}"
        )
    return done.stdout


def output(*command: str | Path, cwd: Path) -> str:
    """Return the standard output of *command* alone, which has to succeed."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, text=True, check=True, stdout=subprocess.PIPE).stdout


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of *text* that are not empty, without colours."""
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if line.strip():
            yield f"  {line.rstrip()}"
