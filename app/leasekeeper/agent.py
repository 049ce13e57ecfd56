"""The composition root: settings become parts, parts become root tasks, and all of them end.

`Agent.run` starts the root tasks in one place. Nothing logs in before the configuration, the
templates and the destinations have been checked.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from leasekeeper import __version__
from leasekeeper.checking import check_destinations, check_new_places, check_program
from leasekeeper.errors import EXIT_DONE, AgentError, ConfigError, VaultError
from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.pid_file import pid_file
from leasekeeper.parts import Parts, build, clock_watch
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.tasks import Nursery, RootTask, run_root_tasks, unless_stopped
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.settings import task_paths
from leasekeeper.settings.model import Settings
from leasekeeper.sources import Dialect as Dialect
from leasekeeper.sources import Sources, compile_environment, compile_sources, reused
from leasekeeper.starting import first_publish
from leasekeeper.telemetry.events import log, set_level
from leasekeeper.telemetry.metrics import RELOADS
from leasekeeper.templates.source import Source
from leasekeeper.web.report import Reporter

if TYPE_CHECKING:
    from leasekeeper.files.task_folders import TaskFolders
    from leasekeeper.membership import Membership
    from leasekeeper.secrets.memory import Memory
    from leasekeeper.secrets.saved import SavedSecret
    from leasekeeper.supervise.supervisor import Supervisor
    from leasekeeper.web.control import Control, TokenFile
    from leasekeeper.web.listeners import Listeners
    from leasekeeper.web.opening import Opening
    from leasekeeper.web.report import View

# For connections, after everything else; what takes longer is left to the operating system.
_CLOSING_S = 1.0


class Agent:
    """One running Leasekeeper. *stop* is set by signals; `run` returns after a clean stop."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] | None = None,
        *,
        dialect: Dialect = "native",
    ) -> None:
        self._settings = settings
        self._dialect = dialect
        self._shown: View | None = None
        self._listeners: Listeners | None = None
        self._parts: Parts | None = None
        self._member: Membership | None = None
        self._sources: Sources = []
        self._reloading = asyncio.Lock()
        self._releases = Nursery(_report_bug)
        self._notes: list[str] = []
        self._environ = dict(os.environ if environ is None else environ)
        self._app: Supervisor | None = None
        self._memory: Memory | None = None
        self._kept: dict[SecretRequest, SavedSecret] = {}
        self._folders: TaskFolders | None = None
        self.stop = asyncio.Event()

    @property
    def exit_code(self) -> int:
        """What the process should end with after a `run` that returned."""
        return EXIT_DONE if self._app is None else self._app.exit_code

    async def run(self) -> None:
        """Check, log in, publish, and keep doing so until `stop` is set.

        :raises AgentError: if the start cannot succeed; its class has the exit code.
        """
        if task_paths.names_in(self._settings):
            from leasekeeper.aws.task_paths import resolve

            self._settings, self._folders = await resolve(self._settings)
        async with self._traced():
            await self._run()

    @asynccontextmanager
    async def _traced(self) -> AsyncIterator[None]:
        if not self._settings.traces.enabled:
            yield
            return
        from leasekeeper.telemetry.traces import Traces

        traces = Traces.to_collector(self._environ)
        try:
            yield
        finally:
            await traces.close()

    async def _run(self) -> None:
        settings = self._settings
        self._sources = compile_sources(settings, self._dialect)
        environment = compile_environment(settings, self._dialect)
        check_program(settings, self._environ)
        _begin_collecting()
        if not await unless_stopped(check_destinations(settings), self.stop):
            return
        log.info(
            "agent.starting",
            version=__version__,
            vault=settings.vault.address,
            auth=settings.auth.method,
            outputs=[output.label for output in settings.outputs],
        )
        _warn_if_exposed(settings)
        if settings.shared.directory is None:
            await self._work(environment)
        else:
            await self._share()

    async def _share(self) -> None:
        """Work only while we lead the tasks that share our volume."""
        from leasekeeper.membership import Membership, for_many_readers

        self._settings = for_many_readers(self._settings)
        async with (
            Membership(self._settings, self.stop, Random()) as member,  # noqa: S311
            AsyncExitStack() as ending,
        ):
            self._member = member
            await self._start(self._web(member.view, ending))
            with pid_file(self._settings.lifecycle.pid_file):
                while await member.wait_to_lead():
                    if await member.led(lambda: self._work(None, member)):
                        return

    async def _work(self, environment: Source | None, member: Membership | None = None) -> None:
        """Work until we are to stop; for *member*, who answers for health already."""
        early: Opening | None = None
        async with AsyncExitStack() as ending:
            if member is None and self._settings.state.path is not None:
                from leasekeeper.web.opening import Opening

                early = Opening()
                await self._start(self._web(early, ending))
            # It may wait for a process that is being replaced, or for KMS.
            if not await unless_stopped(self._recall(), self.stop):
                return
            memory, self._memory = self._memory, None
            fence = member.fence if member else no_fence
            parts = self._parts = self._build(environment, fence, memory)
            web = None
            if early is not None:
                early.work = parts.reporter
            elif member is None:
                web = self._web(parts.reporter, ending)
            ending.push_async_callback(self._end, parts)
            await self._start(web)
            with pid_file(self._settings.lifecycle.pid_file if member is None else None):
                await self._serve(parts, member)

    async def _end(self, parts: Parts) -> None:
        self._parts = None
        await self._releases.close()
        await self._shut_down(parts)

    async def _recall(self) -> None:
        if self._settings.state.path is not None:
            from leasekeeper.secrets.memory import open_memory

            self._memory = await open_memory(self._settings)
        self._kept = await self._read_back()

    async def _read_back(self) -> dict[SecretRequest, SavedSecret]:
        """Return the certificates that outputs of the last run still hold."""
        places = [
            (request, section.destination)
            for section, source in self._sources
            for request in source.static_requests()
            if request.kept_in_output
        ]
        if not places:
            return {}
        from leasekeeper.secrets.certificates import certificates_on_disk

        return await certificates_on_disk(places)

    def _web(self, view: View, ending: AsyncExitStack) -> Listeners | None:
        """Return what is to tell of *view*, if anything does; *ending* closes it."""
        self._shown, settings = view, self._settings.web
        if not settings.listen and not settings.listeners:
            return None
        from leasekeeper.web.listeners import Listeners

        control, file = self._control()
        web = self._listeners = Listeners(settings, view, self._quit, control=control, file=file)
        ending.push_async_callback(web.close)
        return web

    def _control(self) -> tuple[Control, TokenFile] | tuple[None, None]:
        """Return what operators may ask for, and the file with the token for it, if any."""
        if (path := self._settings.control_token_file) is None:
            return None, None
        from leasekeeper.web.control import Control, TokenFile

        def reporter() -> Reporter | None:
            return None if self._parts is None else self._parts.reporter

        file = TokenFile(path)
        return Control(file, reporter=reporter, on_quit=self._quit), file

    def _quit(self) -> None:
        log.info("agent.stopping", because="a request to quit")
        self.stop.set()

    async def reload(self, load: Callable[[], Settings]) -> None:
        """Go on with the settings that *load* returns, and with the files that they name.

        Token and leases stay. *load* runs in a thread. A configuration that is not good is told,
        and changes nothing; so is what only a restart can change.
        """
        async with self._reloading:
            try:
                applied = await self._apply(await asyncio.to_thread(load))
            except AgentError as error:
                RELOADS.inc("failed")
                problems = getattr(error, "problems", None) or (str(error),)
                hint = "the old configuration stays in use"
                self._notes[:] = [f"the new configuration is not used: {each}" for each in problems]
                log.warning(
                    "agent.reload_failed", problems=list(problems), code=error.code, hint=hint
                )
            else:
                RELOADS.inc("ok")
                self._notes.clear()
                log.info("agent.reloaded", log_level=self._settings.log.level, **applied)

    async def _apply(self, wanted: Settings) -> dict[str, list[str]]:
        """Let *wanted* have what effect it can; return what has changed.

        :raises AgentError: with everything that is wrong; then nothing has changed.
        """
        from leasekeeper.reload import merge

        wanted = await self._resolved(wanted)
        merged = merge(self._settings, wanted)
        settings = merged.settings
        compiled = await asyncio.to_thread(compile_sources, settings, self._dialect)
        sources = reused(self._sources, compiled)
        await check_new_places(self._settings, settings)
        self._settings, self._sources = settings, sources
        set_level(settings.log.level)
        if merged.waiting:
            hint = "restart to have them in effect"
            log.warning("agent.restart_needed", keys=list(merged.waiting), hint=hint)
        if self._listeners is not None:
            await self._listeners.reload()
        if self._member is not None:
            self._member.reloaded(settings)
        return {} if self._parts is None else await self._apply_to(self._parts)

    async def _apply_to(self, parts: Parts) -> dict[str, list[str]]:
        from leasekeeper.reload import Releases

        settings = self._settings
        parts.client.renew_connections()
        parts.secrets.apply(settings)
        applied = await parts.outputs.apply(settings.lifecycle, self._sources, settings.groups)
        overlap_s = settings.secrets.overlap
        releases = Releases(parts.outputs, parts.secrets, overlap_s=overlap_s)
        self._releases.start("release secrets", releases.run())
        return {
            "added": list(applied.added),
            "changed": list(applied.changed),
            "removed": list(applied.removed),
        }

    async def _resolved(self, wanted: Settings) -> Settings:
        """Return *wanted* as `run` would use it."""
        if task_paths.names_in(wanted):
            from leasekeeper.aws.task_paths import resolve

            wanted, _ = await resolve(wanted)
        if wanted.shared.directory is not None:
            from leasekeeper.membership import for_many_readers

            wanted = for_many_readers(wanted)
        return wanted

    async def _start(self, web: Listeners | None) -> None:
        if web is None:
            return
        try:
            await web.start()
        except ConfigError as error:
            asked_for = self._settings.web.model_fields_set & {"listen", "listeners"}
            if self._dialect == "native" or asked_for:
                raise
            # Two Vault Agents share a machine without a word about ports.
            log.warning("web.not_listening", error=error.message, code=error.code)

    def abandon(self) -> None:
        """Kill the application, for an end of the process without any delay."""
        if self._app is not None:
            self._app.kill()

    def log_state(self) -> None:
        """Log what /health tells; it holds no secret."""
        state = self._shown.health_json() if self._shown else {"state": "starting"}
        log.info("agent.state", **state)

    def _build(self, environment: Source | None, fence: Fence, memory: Memory | None) -> Parts:
        workers = FileWorkers()
        self._app = self._build_app(environment, workers)
        return build(
            self._settings,
            self._sources,
            dialect=self._dialect,
            environ=self._environ,
            workers=workers,
            fence=fence,
            memory=memory,
            kept=self._kept,
            app=self._app,
            notes=self._notes,
            on_bug=_report_bug,
        )

    def _build_app(self, environment: Source | None, workers: FileWorkers) -> Supervisor | None:
        if self._settings.exec is None:
            return None
        from leasekeeper.supervise.supervisor import Supervisor

        return Supervisor(
            self._settings.exec,
            self._settings.lifecycle,
            environment,
            environ=self._environ,
            stop=self.stop,
            workers=workers,
        )

    async def _serve(self, parts: Parts, member: Membership | None) -> None:
        roots: dict[str, RootTask] = {
            "outputs": parts.outputs.run,
            "secrets": parts.secrets.run,
            "sinks": parts.sinks.run,
            "token": parts.tokens.run,
            "vault watch": parts.client.reachability.watch,
            "clock watch": clock_watch(parts).watch,
            "start-up": lambda: self._start_up(parts, member),
        }
        if self._folders is not None:
            roots["task folders"] = self._folders.run
        if member is not None:
            roots["leadership"] = lambda: member.keep_leading(parts.reporter)
        if (memory := parts.memory) is not None:
            overlap_s = self._settings.secrets.overlap
            roots["state"] = lambda: memory.run(parts.outputs.settled, overlap_s)
        stop = self.stop
        if (app := self._app) is not None:
            roots["application"] = lambda: app.run(
                lambda: self._application_due(parts), lambda: parts.outputs.busy
            )
            # Its credentials are kept alive until it has ended.
            stop = app.ended
            if os.getpid() == 1:
                from leasekeeper.supervise.orphans import reap_orphans

                roots["orphans"] = reap_orphans
        await run_root_tasks(roots, stop=stop)

    async def _application_due(self, parts: Parts) -> None:
        """Return when the application may start: everything that it could need is in place."""
        await parts.outputs.settled.wait()
        await parts.sinks.settled.wait()
        if self._settings.lifecycle.exit_after_auth:
            await asyncio.Event().wait()  # it does not run then, as with Vault Agent

    async def _start_up(self, parts: Parts, member: Membership | None) -> NoReturn:
        took_s = await first_publish(
            parts, self._settings.lifecycle, lambda: member is not None and member.inherited
        )
        if member is not None:
            member.show(parts.reporter)
        log.info("agent.ready", after_s=round(took_s, 2))
        if self._settings.lifecycle.exit_after_auth:
            self.stop.set()
        # What is left then lives as long as the process: later collections need not look at it.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        await asyncio.Event().wait()
        raise AssertionError

    # -- stop -----------------------------------------------------------------------------------

    async def _shut_down(self, parts: Parts) -> None:
        """End everything, in this order, within lifecycle.shutdown_deadline.

        1. The root tasks have ended already; no new work starts. So has the application, unless
           one of them failed.
        2. A publish that is under way is finished, notifications get what time is left.
        3. If that was asked for, and nobody in the task goes on: the files are removed, and then
           the token is revoked, so that no reader finds a credential that has ended.
        4. The state is written a last time, or removed if there is nothing left to come back to.
        5. Connections are closed. The web server answers until after the end of all this.
        """
        lifecycle = self._settings.lifecycle
        began, revoked = now(), False
        if self._app is not None:
            await self._app.close()
        try:
            async with asyncio.timeout(lifecycle.shutdown_deadline):
                final = await self._is_final()
                remove_s = (
                    lifecycle.shutdown_deadline / 4 if final and lifecycle.remove_files else 0
                )
                if remove_s:
                    await parts.sinks.remove(deadline_s=remove_s / 2)
                await parts.outputs.close(
                    deadline_s=lifecycle.shutdown_deadline / 2, remove_s=remove_s
                )
                if final and lifecycle.on_exit == "revoke":
                    revoked = await self._revoke(parts)
        except TimeoutError:
            log.warning("agent.stop_deadline_passed", deadline_s=lifecycle.shutdown_deadline)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                if parts.memory is not None:
                    await parts.memory.close(keep=not revoked)
                await parts.tokens.close()
                await parts.client.close()
        log.info("agent.stopped", after_s=round(now() - began, 2))

    async def _is_final(self) -> bool:
        """Whether to end what was asked to be ended: the task stops, and not just we."""
        lifecycle = self._settings.lifecycle
        if lifecycle.on_exit == "keep" and not lifecycle.remove_files:
            return False
        if self._app is not None and not (self._settings.outputs or self._settings.sinks):
            return True  # the one who had the credentials has ended with us
        from leasekeeper.aws.ecs import is_end_of_task

        if await is_end_of_task(timeout_s=min(1.0, lifecycle.shutdown_deadline / 8)):
            return True
        log.info("agent.left_in_place", because="ECS does not stop the task, or does not say so")
        return False

    async def _revoke(self, parts: Parts) -> bool:
        try:
            await parts.tokens.revoke()
        except VaultError as error:
            log.warning("token.revocation_failed", error=error.message, code=error.code)
            if not error.retryable:  # a batch token, or a policy without auth/token/revoke-self
                await parts.secrets.revoke_leases()
            return False
        return True


def _begin_collecting() -> None:
    """Let garbage be collected, which was put off while everything was imported and compiled."""
    gc.freeze()  # that is here to stay; what of it is garbage is collected after start-up
    gc.enable()
    # Nearly all that a busy start makes stays: looking through it every 700 objects (the default)
    # costs a twentieth of a start with 1,000 templates.
    gc.set_threshold(10_000)


def _warn_if_exposed(settings: Settings) -> None:
    vault = settings.vault
    host = urlsplit(vault.address).hostname or ""
    local = host in ("localhost", "::1") or host.startswith("127.")
    if vault.address.startswith("http:") and not local:
        log.warning("vault.not_protected", because="plain HTTP: the token travels in the clear")
    elif vault.tls_skip_verify:
        log.warning("vault.not_protected", because="tls_skip_verify: anybody can pose as Vault")


def _report_bug(name: str, error: BaseException) -> None:
    log.error("agent.bug", task=name, exc_info=error)
