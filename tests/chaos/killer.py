"""Kills a process the moment a new name appears in a directory: `killer.py DIRECTORY PID SECONDS`.

A program of its own, because it looks without a pause. Exit code 0: killed; 1: nothing appeared.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main(directory: str, pid: int, seconds: float) -> int:
    """Watch *directory* and kill *pid*."""
    known = set(os.listdir(directory)) | {"large"}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not known.issuperset(os.listdir(directory)):
            os.kill(pid, signal.SIGKILL)
            return 0
        time.sleep(0.0001)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
