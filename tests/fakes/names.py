"""DNS by a table, in the place of `socket.getaddrinfo`: everything above it is real.

In a test `NameTable` is filled by hand. For the whole program `python -m tests.fakes.names FILE
ARGUMENTS...` runs Leasekeeper with the table in FILE (JSON), read anew for each question.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Instead of a list of addresses: the name is unknown, and a question is not answered.
UNKNOWN, SILENT = "unknown", "silent"
Answer = list[str] | str
_system = socket.getaddrinfo


class NameTable:
    """Answers by host name, and what has been asked. Other names are left to the system."""

    def __init__(self, names: Mapping[str, Answer] | None = None) -> None:
        self.names: dict[str, Answer] = dict(names or {})
        self.asked: list[str] = []

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **more: Any) -> list[Any]:
        if self._answer(host) is None:
            return _system(host, port, *args, **more)
        self.asked.append(host)
        while (answer := self._answer(host)) == SILENT:
            time.sleep(0.02)
        if answer is None or answer == UNKNOWN:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in answer]

    def _answer(self, host: object) -> Answer | None:
        return self.names.get(str(host))


class _FileTable(NameTable):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def _answer(self, host: object) -> Answer | None:
        self.names = json.loads(self._file.read_text(encoding="utf-8"))
        return super()._answer(host)


if __name__ == "__main__":
    from leasekeeper.__main__ import main

    table = _FileTable(Path(sys.argv.pop(1)))
    socket.getaddrinfo = table.getaddrinfo
    sys.exit(main())
