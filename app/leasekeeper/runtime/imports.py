"""Importing less than what is installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def lacking(*names: str) -> Iterator[None]:
    """Let imports find no module called one of *names*, except those that are there already.

    For libraries that import others only because they are installed.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
