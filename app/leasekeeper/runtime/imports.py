"""Importing less than what is installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType


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


def import_no_plugins() -> None:
    """Let pydantic find no plugins; to be called before its first model is made.

    It looks for them in the metadata of all installed packages, with what reads archives and mail
    headers: 20 ms and 0.9 MiB. Code that is only installed has no business in our models, either.
    """
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = lambda: ()  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)
