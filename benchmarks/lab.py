"""What both programs work against: an OpenBao with a KV engine that an AppRole may read."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from leasekeeper.devstack.openbao import OpenBao
from leasekeeper.devstack.processes import Processes, free_port

POLICY = 'path "kv/*" { capabilities = ["read"] }'
_WRITES_AT_A_TIME = 16


class Lab:
    """OpenBao in memory, spoken to directly. ``async with`` starts and ends it.

    *role_id* and *secret_id* are files, as `bao agent` wants them.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="leasekeeper-bench-")
        self.folder = Path(self._folder.name)
        self._processes = Processes("benchmark")
        self.openbao = OpenBao(self._processes, self.folder, port=free_port())
        self.address = self.openbao.address
        self.role_id = self.folder / "role-id"
        self.secret_id = self.folder / "secret-id"
        self._secrets = 0

    async def __aenter__(self) -> Self:
        self._processes.open(self.folder)
        try:
            await self.openbao.start(cluster_port=free_port())
            await self._set_up()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the server and remove everything."""
        await self.openbao.close()
        await self._processes.close()
        self._folder.cleanup()

    async def _set_up(self) -> None:
        admin = self.openbao.admin
        await admin.enable("mounts", "kv", "kv", options={"version": "2"})
        await admin.write("sys/policies/acl/bench", policy=POLICY)
        await admin.enable("auth", "approle", "approle")
        await admin.write("auth/approle/role/bench", token_policies=["bench"], token_ttl="1h")
        role = await admin.read("auth/approle/role/bench/role-id")
        secret = await admin.write("auth/approle/role/bench/secret-id")
        self.role_id.write_text(role["role_id"])
        self.secret_id.write_text(secret["data"]["secret_id"])
        while (await admin.send("POST", "kv/data/ready", {"data": {}}))[0] >= 300:
            await asyncio.sleep(0.05)  # a new KV v2 mount needs a moment

    async def set(self, number: int, value: str) -> None:
        """Give secret *number* a new value."""
        data = {"value": value, "user": f"user-{number}", "port": 5432}
        await self.openbao.admin.write(f"kv/data/s{number}", data=data)

    async def have(self, count: int) -> None:
        """See to it that secrets 0 to *count* - 1 exist."""
        slots = asyncio.Semaphore(_WRITES_AT_A_TIME)

        async def one(number: int) -> None:
            async with slots:
                await self.set(number, f"first value of {number}")

        await asyncio.gather(*(one(number) for number in range(self._secrets, count)))
        self._secrets = max(self._secrets, count)
