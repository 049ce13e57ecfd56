"""Leasekeeper that is suspended (SIGSTOP) at the worst moment: between the last check and a rename.

`python -m tests.fakes.suspended FLAG NAME ARGUMENTS...`: while the file FLAG exists, the next
rename to NAME stops the whole process first. After SIGCONT the rename is done, and FLAG removed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_rename = os.rename


def _stop_before(flag: Path, name: str) -> Any:
    def rename(source: Any, target: Any, **more: Any) -> None:
        wanted = os.path.basename(os.fspath(target)) == name and flag.exists()
        if wanted:
            # To this very thread, which does not return from here before; then all others stop.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        _rename(source, target, **more)
        if wanted:
            flag.unlink()

    return rename


if __name__ == "__main__":
    from leasekeeper.__main__ import main

    os.rename = _stop_before(Path(sys.argv.pop(1)), sys.argv.pop(1))
    sys.exit(main())
