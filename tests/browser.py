"""A headless Chromium, driven by its own protocol: nothing to install besides the browser."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

START_DEADLINE_S = 60.0
ANSWER_DEADLINE_S = 60.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-extensions", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "about:blank",
)  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of the browser, or None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def needs_chromium() -> str:
    """Return the path of the browser, or skip the test."""
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium (Debian and Ubuntu: package chromium)")
    return path


class Browser:
    """One browser with one page. ``async with`` starts and ends it.

    `complaints` collects what the browser objects to: errors of scripts, blocked content.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()
        self.complaints: list[str] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        folder = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
            )
        )
        process = await asyncio.create_subprocess_exec(
            self._program,
            *_FLAGS[:-1],
            f"--user-data-dir={folder}",
            _FLAGS[-1],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._stack.push_async_callback(_end, process)
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        async with asyncio.timeout(START_DEADLINE_S):
            address = await _page_of(session, folder / "DevToolsActivePort")
        socket = await session.ws_connect(address, max_msg_size=0)
        self._socket = await self._stack.enter_async_context(socket)
        reader = asyncio.get_running_loop().create_task(self._read(), name="browser")
        self._stack.push_async_callback(_cancelled, reader)
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method of the protocol and return its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            told = await answer
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def look_like(self, *, width: int, height: int, dark: bool = False) -> None:
        """Set the size of the window, in pixels, and which colours are preferred."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        """Open *url* and wait until it is loaded."""
        self._loaded.clear()
        told = await self.call("Page.navigate", url=url)
        assert "errorText" not in told, told
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            await self._loaded.wait()

    async def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str, *, within_s: float = 30.0) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := await self.ask(expression)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = await self.ask("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{shown}") from None
        return found

    async def key(self, name: str, code: int) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code
            )

    async def picture(self, *, whole: bool = False) -> bytes:
        """Return what is to be seen, or the whole page, as PNG."""
        told = await self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=whole,
            optimizeForSpeed=False,
        )  # fmt: skip
        return base64.b64decode(told["data"])


async def _page_of(session: aiohttp.ClientSession, file: Path) -> str:
    while not (file.exists() and file.read_text().count("\n")):
        await asyncio.sleep(0.05)
    port = file.read_text().partition("\n")[0]
    while True:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [each for each in await answer.json() if each["type"] == "page"]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
