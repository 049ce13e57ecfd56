"""file: the content of a watched file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leasekeeper.templates.golang.functions import Function, FunctionTable, GoError
from leasekeeper.templates.source import FileRequest

if TYPE_CHECKING:
    from leasekeeper.templates.golang.machine import Run

functions = FunctionTable()


@functions.add("file", "string", run=True)
def file(run: Run, path: str) -> str:
    """Return the content of the file at *path*."""
    return (run.file(FileRequest(path)) or "") if path else ""


def sandboxed_file(sandbox: str) -> Function:
    """Return ``file`` for paths inside the directory *sandbox* only, symbolic links followed."""

    def confined(run: Run, path: str) -> str:
        return file(run, _inside(sandbox, path)) if path else ""

    return Function.declare("file", confined, "string", run=True)


def _inside(sandbox: str, path: str) -> str:
    try:
        target = os.path.realpath(path, strict=True)
    except OSError as error:
        msg = f"lstat {path}: {(error.strerror or 'error').lower()}"
        raise GoError(msg) from None
    root = os.path.realpath(sandbox)
    if os.path.commonpath([root, target]) != root:
        msg = f"'{path}' is outside of sandbox"
        raise GoError(msg)
    return target
