"""Make an installed environment small: compile it, and drop what a sidecar never reads.

``python3 strip.py SITE_PACKAGES``. botocore brings the description of every service of AWS
(23 MB packed); Leasekeeper talks to STS, KMS and SSM, and to the container's credentials endpoint.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

SERVICES = frozenset({"kms", "ssm", "sts"})
# Tests, C sources and typing aids inside packages; licences and metadata stay.
UNREAD_FOLDERS = ("tests", "test", "testing")
UNREAD_FILES = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h", "*.cpp")
KEPT = frozenset({"leasekeeper", "pydantic"})


def main() -> int:
    """Strip, compile, and say what is left."""
    root = Path(sys.argv[1])
    for folder in (root / "botocore" / "data").iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    for name in UNREAD_FOLDERS:
        for folder in [path for path in root.glob(f"*/**/{name}") if path.is_dir()]:
            if folder.relative_to(root).parts[0] not in KEPT:
                shutil.rmtree(folder)
    for pattern in UNREAD_FILES:
        for file in root.rglob(pattern):
            file.unlink()
    shutil.rmtree(root / "leasekeeper" / "devstack")
    # Wheels come with symbols for debuggers: 9 of uvloop's 13 MB.
    subprocess.run(["strip", "--strip-unneeded", *root.rglob("*.so")], check=True)
    # Compiled by hash and not checked again: the bytes do not depend on when the image was built.
    ok = compileall.compile_dir(
        root, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    sizes = {folder.name: size(folder) for folder in root.iterdir()}
    for name, taken in sorted(sizes.items(), key=lambda item: -item[1])[:12]:
        print(f"{taken / 2**20:8.1f} MiB  {name}")
    print(f"{sum(sizes.values()) / 2**20:8.1f} MiB  together")
    return 0 if ok else 1


def size(path: Path) -> int:
    """Return how many bytes are below *path*."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
