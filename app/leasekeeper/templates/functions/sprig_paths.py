"""sprig's functions on paths."""

from __future__ import annotations

import posixpath

from leasekeeper.templates.golang.functions import FunctionTable

functions = FunctionTable()


@functions.add("sprig_base", "string")
@functions.add("sprig_osBase", "string")
def base(path: str) -> str:
    """Return the last part of *path*."""
    if not path:
        return "."
    return posixpath.basename(path.rstrip("/")) or "/"


@functions.add("sprig_dir", "string")
@functions.add("sprig_osDir", "string")
def directory(path: str) -> str:
    """Return everything but the last part of *path*."""
    return clean(path[: path.rfind("/") + 1])


@functions.add("sprig_clean", "string")
@functions.add("sprig_osClean", "string")
def clean(path: str) -> str:
    """Return the shortest path that means the same."""
    # POSIX leaves two leading slashes alone; Go does not.
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)


@functions.add("sprig_ext", "string")
@functions.add("sprig_osExt", "string")
def extension(path: str) -> str:
    """Return what follows the last dot of the last part of *path*, with the dot."""
    name = path[path.rfind("/") + 1 :]
    return name[name.rfind(".") :] if "." in name else ""


@functions.add("sprig_isAbs", "string")
@functions.add("sprig_osIsAbs", "string")
def is_absolute(path: str) -> bool:
    """Whether *path* starts at the root."""
    return path.startswith("/")
