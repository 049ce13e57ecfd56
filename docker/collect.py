"""Gather what the program needs to run, and nothing else, into a folder that becomes the image.

``python3 collect.py ROOT``: copies the virtual environment at /opt/leasekeeper, the interpreter
with its library, every shared object that any of them asks for, certificates, time zones, a shell
for health checks of the CMD-SHELL kind, and Debian's record of the packages that the files came
from, so that scanners see them. No package manager, no pip, no compiler.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

ENVIRONMENT = Path("/opt/leasekeeper")
TOOLS = ("sh", "cat", "ls", "id")
DATA = (
    "/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates", "/usr/share/zoneinfo",
    "/etc/os-release", "/usr/lib/os-release", "/etc/debian_version", "/etc/nsswitch.conf",
    "/etc/ca-certificates.conf",
)  # fmt: skip
# Found by name at run time, so that no program names them: how host names are resolved.
BY_NAME = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
UNREAD = (
    "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter", "turtledemo",
    "turtle.py", "distutils", "site-packages", "dist-packages", "__pycache__", "_tkinter*",
    "config-*", "__phello__", "EXTERNALLY-MANAGED",
)  # fmt: skip


def main() -> int:
    """Gather everything, and say where it weighs."""
    root = Path(sys.argv[1])
    for folder in ("proc", "sys", "dev", "tmp", "etc", "usr/bin", "usr/lib", "usr/local/bin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (root / "usr" / name).mkdir(exist_ok=True)
            (root / name).symlink_to(f"usr/{name}")
    library = Path(sysconfig.get_path("stdlib"))
    copy_tree(library, root, without=UNREAD)
    copy_tree(ENVIRONMENT, root)
    for place in DATA:
        if Path(place).is_dir() and not Path(place).is_symlink():
            copy_tree(Path(place), root)
        elif Path(place).exists():
            copy(Path(place), root)
    programs = [Path(sys.executable).resolve(), *(found(name) for name in TOOLS)]
    for program in programs:
        copy(program, root)
    copy_links_to_python(root)
    objects = [*programs, *root.rglob("*.so"), *root.rglob("*.so.*")]
    for shared in needed_by(objects):
        copy(shared, root)
    compileall.compile_dir(
        inside(root, library), quiet=1, stripdir=str(root),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    record_packages(root)
    for place in (library, ENVIRONMENT, Path("/usr/share"), Path("/usr/bin"), Path("/")):
        taken = sum(p.lstat().st_size for p in inside(root, place).rglob("*") if p.is_file())
        print(f"{taken / 2**20:8.1f} MiB  {place}")
    return 0


def inside(root: Path, path: Path) -> Path:
    """Return where *path* goes below *root*."""
    return root / path.relative_to("/")


def found(name: str) -> Path:
    """Return the path of a program.

    :raises SystemExit: if the base image does not have it.
    """
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"the base image has no {name}")
    return Path(path)


def copy(path: Path, root: Path) -> None:
    """Copy a file under its name, and the file behind it if that name is a link."""
    target = inside(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() and not target.is_symlink():
        shutil.copy2(path, target, follow_symlinks=False)
    if path.is_symlink():
        copy(Path(os.path.normpath(path.parent / os.readlink(path))), root)


def copy_tree(folder: Path, root: Path, *, without: Iterable[str] = ()) -> None:
    """Copy *folder* with its links as links, without the names that match a pattern."""
    ignore = shutil.ignore_patterns(*without)
    shutil.copytree(folder, inside(root, folder), symlinks=True, ignore=ignore, dirs_exist_ok=True)


def copy_links_to_python(root: Path) -> None:
    """Make the names by which the environment's links call the interpreter."""
    for link in (ENVIRONMENT / "bin").glob("python*"):
        target = Path(os.readlink(link))
        if target.is_absolute():
            copy(target, root)


def needed_by(objects: Iterable[Path]) -> set[Path]:
    """Return every shared object that the loader would look for, and those found by name."""
    needed: set[Path] = set()
    for start in range(0, len(paths := [str(path) for path in objects]), 200):
        listed = subprocess.run(
            ["ldd", *paths[start : start + 200]], capture_output=True, text=True, check=False
        )
        needed |= {Path(path) for path in re.findall(r"(?:=> |\t)(/\S+) \(0x", listed.stdout)}
    folder = next(path.parent for path in needed if path.name == "libc.so.6")
    return {path for path in needed if path.exists()} | {
        folder / name for name in BY_NAME if (folder / name).exists()
    }


def record_packages(root: Path) -> None:
    """Keep Debian's entries of the packages that something was taken from."""
    files = [str(Path("/") / path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    names: set[str] = set()
    for start in range(0, len(files), 500):
        some = files[start : start + 500]
        some += [name.removeprefix("/usr") for name in some if name.startswith("/usr/lib")]
        listed = subprocess.run(["dpkg", "-S", *some], capture_output=True, text=True, check=False)
        names |= {line.partition(":")[0] for line in listed.stdout.splitlines()}
    entries = Path("/var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n")
    kept = [
        entry for entry in entries if entry.partition("\n")[0].removeprefix("Package: ") in names
    ]
    status = inside(root, Path("/var/lib/dpkg/status"))
    status.parent.mkdir(parents=True)
    status.write_text("\n\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
