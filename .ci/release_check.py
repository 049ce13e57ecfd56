"""Build what would be released, install it where nothing else is, and look at every part of it.

Run as ``make release-check``. What is committed is what is built; the files are left in ``dist/``:
wheel, sdist, SBOM (CycloneDX) and the table of licences. Exit code 1 with the reason at the first
thing that is not as it should be.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
# Permissive ones, and weak copyleft by file (MPL): none reaches what is deployed beside it.
ALLOWED = (
    "0BSD", "Apache", "BSD", "CNRI-Python", "ISC", "MIT", "MPL", "Mozilla Public License", "PSF",
    "Python Software Foundation", "The Unlicense", "Zlib",
)  # fmt: skip
PLACE_HOLDER_VAULT = "http://127.0.0.1:9"


def main() -> int:
    """Run every step; return 1 after the first that fails."""
    try:
        with tempfile.TemporaryDirectory(prefix="leasekeeper-release-") as scratch:
            check_release(Path(scratch))
    except Unreleasable as problem:
        print(f"release-check: {problem}", file=sys.stderr)
        return 1
    return 0


class Unreleasable(Exception):
    """Something about the release is not as it should be; the text says what and how to mend it."""


def check_release(scratch: Path) -> None:
    """Build in *scratch*, check, and leave the results in ``dist/``."""
    source = committed_files(scratch / "source")
    wheel, sdist = build(source, scratch / "first")
    step("the same bytes when built again")
    wheel_again, sdist_again = build(source, scratch / "again")
    require(digest(wheel) == digest(wheel_again), f"{wheel.name} differs when it is built again")
    require(files_of(sdist) == files_of(sdist_again), f"{sdist.name} differs when built again")
    check_contents(wheel, sdist)
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    metadata = check_metadata(wheel, source)
    python = install(wheel, scratch / "installed")
    check_commands(python, metadata["Version"])
    DIST.mkdir(exist_ok=True)
    for built in (wheel, sdist):
        (DIST / built.name).write_bytes(built.read_bytes())
    check_licences(python)
    write_sbom(python, source)
    step("good: " + ", ".join(sorted(path.name for path in DIST.iterdir())))


def committed_files(target: Path) -> Path:
    """Return a folder with the files of HEAD, and say if that is not all there is."""
    step("the committed files")
    if changed := run("git", "status", "--porcelain", cwd=ROOT).strip():
        print(f"  not committed, so not released:\n{changed}")
    target.mkdir(parents=True)
    archive = target.parent / "source.tar"
    run("git", "archive", "--output", archive, "HEAD", cwd=ROOT)
    with tarfile.open(archive) as files:
        files.extractall(target, filter="data")
    return target


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist; return the wheel and the sdist."""
    step("wheel and sdist")
    stamp = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    run(
        sys.executable, "-m", "build", "--outdir", target, source,
        env={**os.environ, "SOURCE_DATE_EPOCH": stamp},
    )  # fmt: skip
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


def check_contents(wheel: Path, sdist: Path) -> None:
    """What must be inside is inside, and nothing else of the repository."""
    step("contents")
    in_wheel = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as files:
        in_sdist = [name.partition("/")[2] for name in files.getnames()]
    for needed in ("leasekeeper/py.typed", "leasekeeper/__main__.py", "licenses/LICENSE"):
        require(any(name.endswith(needed) for name in in_wheel), f"{needed} is not in the wheel")
    for needed in ("LICENSE", "README.md", "pyproject.toml"):
        require(needed in in_sdist, f"{needed} is not in the sdist")
    strays = [name for name in in_wheel if not name.startswith(("leasekeeper/", "leasekeeper-"))]
    require(not strays, f"the wheel would put {strays[:3]} beside the package")
    compiled = [name for name in (*in_wheel, *in_sdist) if name.endswith((".pyc", ".so", ".key"))]
    require(not compiled, f"{compiled[:3]} should not be released")


def check_metadata(wheel: Path, source: Path) -> dict[str, str]:
    """The metadata agree with pyproject.toml and the changelog."""
    step("metadata")
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        found = dict(Parser().parsestr(files.read(name).decode()).items())
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    for key, wanted in (
        ("Name", project["name"]),
        ("Summary", project["description"]),
        ("License-Expression", project["license"]),
        ("Requires-Python", project["requires-python"]),
    ):
        require(found.get(key) == wanted, f"{key} is {found.get(key)!r}, and should be {wanted!r}")
    changelog = (source / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[?([^\]\s]+)", changelog, flags=re.MULTILINE)
    require(
        bool({found["Version"], "Unreleased"} & set(headings[:2])),
        f"CHANGELOG.md has nothing for {found['Version']}: its first headings are {headings[:2]}",
    )
    return found


def install(wheel: Path, folder: Path) -> Path:
    """Install *wheel* where nothing else is; return that environment's Python."""
    step("installation into an empty environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    run(python, "-m", "pip", "--disable-pip-version-check", "check")
    return python


def check_commands(python: Path, version: str) -> None:
    """The installed program starts, says its version, and checks a configuration."""
    step("the installed program")
    program, elsewhere = python.parent / "leasekeeper", python.parent
    said = run(program, "--version", cwd=elsewhere).strip()
    require(said == f"leasekeeper {version}", f"--version says {said!r}, and the wheel {version}")
    for command in ("run", "check", "agent", "convert", "health"):
        run(program, command, "--help", cwd=elsewhere)
    probe = elsewhere / "probe.yaml"
    probe.write_text(
        f"vault: {{address: '{PLACE_HOLDER_VAULT}'}}\nauth: {{method: aws_iam, role: probe}}\n"
        f"outputs: [{{destination: '{elsewhere}/out.json', secret: secret/data/a, format: json}}]\n"
    )
    run(program, "check", "--config", probe, cwd=elsewhere)


def check_licences(python: Path) -> None:
    """Everything that is installed with Leasekeeper has a licence that it may have."""
    step("licences")
    listing = run(
        sys.executable, "-m", "piplicenses", "--python", python, "--format=json", "--from=mixed"
    )
    found = {entry["Name"]: entry["License"] for entry in json.loads(listing)}
    unknown = {name: text for name, text in found.items() if not is_allowed(text)}
    require(not unknown, f"licences to look at before a release: {unknown}")
    table = "".join(f"{name}: {text}\n" for name, text in sorted(found.items()))
    (DIST / "licences.txt").write_text(table)


def is_allowed(licence: str) -> bool:
    """Whether every part of *licence* (an expression or a list) is one of `ALLOWED`."""
    parts = re.split(r";| AND | OR ", licence)
    return all(any(word in part for word in ALLOWED) for part in parts)


def write_sbom(python: Path, source: Path) -> None:
    """Write the software bill of materials, and see that nothing installed is missing in it."""
    step("SBOM")
    target = DIST / "leasekeeper.cdx.json"
    run(
        sys.executable, "-m", "cyclonedx_py", "environment",
        "--pyproject", source / "pyproject.toml", "--output-reproducible",
        "--output-file", target, python,
    )  # fmt: skip
    listed = {part["name"].lower() for part in json.loads(target.read_text())["components"]}
    installed = json.loads(run(python, "-m", "pip", "list", "--format=json"))
    missing = {entry["name"].lower() for entry in installed} - listed - {"leasekeeper"}
    require(not missing, f"the SBOM does not name {sorted(missing)}")


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Return what *command* prints.

    :raises Unreleasable: if it fails, with the end of what it said.
    """
    texts: Iterable[str] = [str(word) for word in command]
    done = subprocess.run(
        list(texts), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise Unreleasable(f"{' '.join(texts)} ended with {done.returncode}:\n{said}")
    return done.stdout


def require(condition: bool, otherwise: str) -> None:
    """Go on, or say why not."""
    if not condition:
        raise Unreleasable(otherwise)


def digest(path: Path) -> str:
    """Return the SHA-256 of the file at *path*."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(sdist: Path) -> dict[str, bytes]:
    """Return what is in *sdist*; setuptools gives the times of the build to what it generates."""
    with tarfile.open(sdist) as files:
        members = [member for member in files.getmembers() if member.isfile()]
        return {member.name: content(files, member) for member in members}


def content(files: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the bytes of one file in an archive."""
    file = files.extractfile(member)
    return file.read() if file else b""


def step(name: str) -> None:
    """Say what comes next."""
    print(f"release-check: {name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
