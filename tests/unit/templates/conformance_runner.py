"""Runs the cases of `conformance/corpus.json` as Vault Agent would: pass after pass.

Templates and functions are the real ones. Vault is replaced by recordings, and the loop that keeps
secrets by asking once.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from leasekeeper.errors import (
    OutputError,
    SecretNotFound,
    TemplateRenderError,
    TemplateSyntaxError,
)
from leasekeeper.secrets.asking import check_deletion, destroyed
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.secrets.snapshot import SecretKind, Snapshot
from leasekeeper.templates.functions.library import library
from leasekeeper.templates.source import FileRequest, RenderContext
from leasekeeper.templates.template import Template
from leasekeeper.vault.decoding import BadAnswer, check_keys, decode, secret_of
from leasekeeper.vault.response import VaultResponse

CORPUS = Path(__file__).parent / "conformance" / "corpus.json"
MAX_PASSES = 20

Case = dict[str, Any]
Outcome = dict[str, Any]


def load() -> tuple[list[Case], list[dict[str, Any]]]:
    """Return the cases, and the recorded answers of the server they assume."""
    corpus = json.loads(CORPUS.read_text(encoding="utf-8"))
    return corpus["cases"], corpus["recordings"]


@dataclass
class FailedError(Exception):
    """Something that a template asked for cannot be had."""

    kind: str
    message: str


class RecordedVault:
    """A server of recordings; what it has no answer to is not there."""

    def __init__(self, recordings: list[dict[str, Any]]) -> None:
        self._answers = {_key(entry): entry for entry in recordings}

    def answer(self, request: SecretRequest) -> VaultResponse:
        """Return the answer to *request*.

        :raises FailedError: if it is a refusal.
        """
        path, kv2 = self._api_path(request)
        if request.operation is Operation.WRITE:
            arguments = dict(request.arguments)
            return self._ask("PUT", path, {"data": arguments} if kv2 else arguments)
        if request.operation is Operation.READ:
            return self._read(path, kv2=kv2)
        try:
            response = self._ask("GET", f"{path}?list=true")
            check_keys(response, path)
            return response
        except BadAnswer as error:
            raise FailedError("bad_response", error.message) from None
        except FailedError as error:
            if error.kind != "secret_missing":
                raise
            return VaultResponse(data={"keys": []})

    def _read(self, path: str, *, kv2: bool) -> VaultResponse:
        response = self._ask("GET", path)
        if (response.data, response.auth, response.wrap_info) == (None, None, None):
            raise FailedError("secret_missing", f"{path}: empty")
        try:
            if kv2:
                check_deletion(response, path)
        except SecretNotFound as error:
            raise FailedError("secret_missing", error.message) from None
        return response

    def _api_path(self, request: SecretRequest) -> tuple[str, bool]:
        """Return the path with what KV version 2 wants inserted, and whether it is that."""
        bare, mark, query = request.path.partition("?")
        try:
            mount = self._ask("GET", f"sys/internal/ui/mounts/{bare}").data or {}
        except FailedError:
            mount = {}
        if mount.get("type") != "kv" or (mount.get("options") or {}).get("version") != "2":
            return request.path, False
        rest = f"{bare}/".removeprefix(mount["path"]).strip("/")
        listing = request.operation is Operation.LIST
        if not f"{rest}/".startswith("metadata/" if listing else ("data/", "metadata/")):
            rest = f"{'metadata' if listing else 'data'}/{rest}".rstrip("/")
        return f"{mount['path']}{rest}{mark}{query}", True

    def _ask(self, method: str, path: str, body: object = None) -> VaultResponse:
        request = unquote(f"{method} /v1/{path}")
        entry = self._answers.get((request, _canonical(body)))
        entry = entry or self._answers.get((request, _canonical(None))) or {"status": 404}
        status, text = entry["status"], entry.get("response", entry.get("body", ""))
        if status == 404 and text:
            data = (decode(text.encode()) or {}).get("data") or {}
            if (kept := destroyed(data.get("metadata"))) is not None:
                return kept
        if status >= 400:
            kind = {403: "permission_denied", 404: "secret_missing"}.get(status, "api_error")
            raise FailedError(kind, f"{path}: {status}")
        return _response(text)


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    """Return the request that a recording answers: in those of a case, a body is the answer's."""
    body = entry.get("body") if "response" in entry else None
    if isinstance(body, str):
        body = json.loads(body) if body else None
    return unquote(entry["request"]), _canonical(body)


def _canonical(body: object) -> str:
    return json.dumps(body, sort_keys=True)


def _response(text: str) -> VaultResponse:
    body = decode(text.encode()) if text else {}
    if body is None:
        raise FailedError("bad_response", "not JSON")
    try:
        return secret_of(body)
    except BadAnswer as error:
        raise FailedError("bad_response", error.message) from None


class World:
    """What one case's template can ask for; it is fetched between passes, as by the agent."""

    def __init__(self, case: Case, recordings: list[dict[str, Any]], folder: Path) -> None:
        self._vault = RecordedVault(case.get("http", recordings))
        self._folder = folder
        self._snapshots: dict[SecretRequest, Snapshot] = {}
        self._files: dict[FileRequest, str] = {}
        self.context = RenderContext(
            secret=self._snapshots.get,
            file=self._files.get,
            environ=case.get("env", {}),
            program=_run_program,
        )

    def fetch(self, dependency: SecretRequest | FileRequest) -> None:
        """Fetch what a pass missed.

        :raises FailedError: if there is nothing.
        """
        if isinstance(dependency, FileRequest):
            self._files[dependency] = self._read(dependency.path)
            return
        self._snapshots[dependency] = Snapshot(
            request=dependency,
            kind=SecretKind.STATIC,
            response=self._vault.answer(dependency),
            generation=1,
            issued_at=0,
        )

    def _read(self, path: str) -> str:
        try:
            data = (self._folder / path).read_bytes()
        except OSError as error:
            raise FailedError("file", f"file({path}): {str(error.strerror).lower()}") from None
        return data.decode("utf-8", "surrogateescape")


def _run_program(arguments: tuple[str, ...]) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()


def run(
    case: Case,
    recordings: list[dict[str, Any]],
    folder: Path,
    *,
    on_unresolved: Literal["nil", "pause"] = "nil",
) -> Outcome:
    """Run *case* in *folder*, which is the working directory, and return what came of it."""
    _populate(case, folder)
    try:
        return _render(case, World(case, recordings, folder), folder, on_unresolved)
    except TemplateSyntaxError as error:
        return _failure("parse", error.message, line=error.line)
    except TemplateRenderError as error:
        return _failure("execute", error.message, line=error.line, column=error.column)
    except OutputError as error:
        place = re.match(r"template: :(\d+):(\d+): ", error.message)
        line, column = map(int, place.groups()) if place else (None, None)
        return _failure("execute", error.message, line=line, column=column)
    except FailedError as error:
        return _failure(error.kind, error.message)


def _populate(case: Case, folder: Path) -> None:
    for name, content in case.get("files", {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
    for name, target in case.get("symlinks", {}).items():
        (folder / name).symlink_to(target)


def _render(
    case: Case, world: World, folder: Path, on_unresolved: Literal["nil", "pause"]
) -> Outcome:
    options, delimiters = case.get("options", {}), case.get("delimiters", {})
    template = Template.compile(
        _text(case),
        name="",
        functions=library(
            denylist=options.get("function_denylist", ()),
            sandbox_path=options.get("sandbox_path", ""),
        ),
        left=delimiters.get("left", "{{"),
        right=delimiters.get("right", "}}"),
        error_on_missing_key=options.get("error_on_missing_key", False),
        on_unresolved=on_unresolved,
    )
    before = set(_files(folder))
    for _ in range(MAX_PASSES):
        rendered = template.render(world.context)
        for effect in rendered.effects:  # of every pass, where secrets are nil; a pause has none
            effect.apply()
        if rendered.text is not None:
            return _success(rendered.text, folder, before)
        for dependency in sorted(rendered.missing, key=lambda missing: missing.name):
            world.fetch(dependency)
    raise AssertionError("the template never comes to an end")


def _text(case: Case) -> str:
    if "template" in case:
        return str(case["template"])
    return base64.b64decode(case["template_base64"]).decode("utf-8", "surrogateescape")


def _success(text: str, folder: Path, before: set[Path]) -> Outcome:
    data = text.encode("utf-8", "surrogateescape")
    written = {
        str(path.relative_to(folder)): {
            "content": path.read_text(encoding="utf-8"),
            "mode": f"{path.stat().st_mode & 0o7777:04o}",
        }
        for path in sorted(_files(folder))
        if path not in before
    }
    try:
        outcome: Outcome = {"output": data.decode("utf-8")}
    except UnicodeDecodeError:
        outcome = {"output_base64": base64.b64encode(data).decode()}
    return outcome | ({"written_files": written} if written else {})


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _failure(kind: str, message: str, **place: int | None) -> Outcome:
    return {"error": {"kind": kind, "message": message, **place}}


def difference(case: Case, outcome: Outcome) -> str | None:
    """Return how *outcome* is not what the case expects, or None if it is."""
    expected = case["expect"]
    if ("error" in expected) != ("error" in outcome):
        return f"{outcome} instead of {expected}"
    if "error" in expected:
        return _error_difference(expected["error"], outcome["error"])
    for key in ("output", "output_base64", "written_files"):
        if expected.get(key) != outcome.get(key):
            return f"{key} {outcome.get(key)!r} instead of {expected.get(key)!r}"
    return None


def _error_difference(expected: dict[str, Any], error: dict[str, Any]) -> str | None:
    if error["kind"] != expected["kind"]:
        return f"{error} instead of {expected}"
    for text in expected["message_contains"] if expected["kind"] in ("parse", "execute") else ():
        if text not in error["message"]:
            return f"{error['message']!r} lacks {text!r}"
    for key in ("line", "column"):
        if key in expected and error.get(key) != expected[key]:
            return f"{key} {error.get(key)} instead of {expected[key]}: {error['message']}"
    return None
