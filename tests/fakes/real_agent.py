"""The real agent as an oracle for templates: hundreds of them in one process."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from leasekeeper.devstack.openbao import find_bao

_TOKEN = {"id": "t", "ttl": 0, "renewable": False, "policies": ["default"], "type": "service"}
_FAULT = re.compile(r"\(runner\) (t\d{5}): (?:parse|execute): (template: .*)")
_DEADLINE_S = 120


class _Vault(BaseHTTPRequestHandler):
    """Knows one token, which is all that templates without secrets need."""

    def do_GET(self) -> None:
        body = json.dumps({"data": _TOKEN}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextmanager
def _vault() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Vault)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def render_all(templates: Sequence[str], folder: Path, *, strict: bool) -> list[bytes | str]:
    """Return what the agent makes of each template, in the empty *folder*.

    A text is the error message. *strict* is ``error_on_missing_key``.
    """
    texts = [*templates, "the last one"]
    stanzas = [_stanza(at, text, folder, strict=strict) for at, text in enumerate(texts)]
    (folder / "token").write_text("t", encoding="utf-8")
    last = folder / f"o{len(templates):05}"
    with _vault() as address:
        said = _run(folder, _configuration(address, stanzas), last)
    faults: dict[str, str] = {}
    for match in _FAULT.finditer(said):
        faults.setdefault(match[1], match[2])
    return [_outcome(folder / f"o{at:05}", faults.get(f"t{at:05}")) for at in range(len(templates))]


def _stanza(at: int, text: str, folder: Path, *, strict: bool) -> str:
    (folder / f"t{at:05}").write_bytes(text.encode("utf-8", "surrogateescape"))
    return (
        f'template {{\n source = "t{at:05}"\n destination = "o{at:05}"\n error_fatal = false\n'
        f" error_on_missing_key = {json.dumps(strict)}\n}}\n"
    )


def _configuration(address: str, stanzas: Sequence[str]) -> str:
    method = 'method { type = "token_file"\n config = { token_file_path = "token" } }'
    return f'vault {{ address = "{address}" }}\nauto_auth {{\n{method}\n}}\n' + "".join(stanzas)


def _run(folder: Path, configuration: str, last: Path) -> str:
    """Run the agent until *last* is there; templates are rendered one after the other."""
    (folder / "agent.hcl").write_text(configuration, encoding="utf-8")
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TZ": "UTC"}
    log = folder / "log"
    with log.open("wb") as output:
        command = [find_bao(), "agent", "-config=agent.hcl"]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)
        try:
            ends_at = time.monotonic() + _DEADLINE_S
            while not last.exists() and process.poll() is None:
                assert time.monotonic() < ends_at, "a template keeps the agent busy for ever"
                time.sleep(0.02)
        finally:
            process.terminate()
            process.wait()
    said = log.read_text(encoding="utf-8", errors="surrogateescape")
    assert last.exists(), said[-2000:]
    return said


def _outcome(output: Path, fault: str | None) -> bytes | str:
    if output.exists():
        return output.read_bytes()
    assert fault is not None, f"{output.name} is neither rendered nor refused"
    return fault
