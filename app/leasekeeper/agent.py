"""The composition root: settings become parts, parts become root tasks, and all of them end.

`Agent.build` starts nothing; `Agent.run` starts the root tasks in one place. Nothing logs in
before the configuration, the templates and the destinations have been checked.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal, NoReturn
from urllib.parse import urlsplit

from leasekeeper import __version__
from leasekeeper.errors import (
    EXIT_DONE,
    AgentError,
    ConfigError,
    Problem,
    StartupDeadlineExceeded,
    VaultError,
)
from leasekeeper.files.attempt import Fence, no_fence
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.files.pid_file import pid_file
from leasekeeper.files.preflight import Section, preflight, sweep_leftovers
from leasekeeper.files.target import Target
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.runtime.backoff import Backoff
from leasekeeper.runtime.clock import now
from leasekeeper.runtime.clock_watch import ClockWatch
from leasekeeper.runtime.tasks import RootTask, run_root_tasks, unless_stopped
from leasekeeper.secrets.store import SecretStore
from leasekeeper.settings import task_paths
from leasekeeper.settings.durations import format_duration
from leasekeeper.settings.model import EnvSection, OutputSection, Settings
from leasekeeper.sinks.token_sinks import TokenSinks
from leasekeeper.telemetry.events import log
from leasekeeper.templates.source import Source
from leasekeeper.tokens.keeper import TokenKeeper
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient
from leasekeeper.web.report import Reporter

if TYPE_CHECKING:
    from leasekeeper.files.task_folders import TaskFolders
    from leasekeeper.membership import Membership
    from leasekeeper.secrets.memory import Memory
    from leasekeeper.supervise.supervisor import Supervisor
    from leasekeeper.web.listeners import Listeners
    from leasekeeper.web.report import View

_POLL_S = 0.25
# For connections, after everything else; what takes longer is left to the operating system.
_CLOSING_S = 1.0
# While starting, say what is being waited for.
_SAY_EVERY_S = 15.0


def _places(settings: Settings) -> list[Section]:
    """Return everything that is written to: a group's link stands for its outputs."""
    groups = settings.groups
    plain = [
        output
        for output in settings.outputs
        if not any(group.holds(output.destination) for group in groups)
    ]
    return [*plain, *groups, *settings.sinks]


def _missing_directories(files: Iterable[Section]) -> list[Path]:
    """Return the directories that the files would need to have made, the deepest first."""
    above = {parent for file in files for parent in Path(Target.of(file).path).parents}
    return sorted((path for path in above if not path.exists()), reverse=True)


def _remove_empty(directories: Iterable[Path]) -> None:
    """Leave no trace: a check that creates what it looks for changes what it finds next time."""
    for path in directories:
        with suppress(OSError):
            path.rmdir()


Sources = list[tuple[OutputSection, Source]]
Dialect = Literal["native", "vault_agent"]
"""What a template does about a secret that is not there yet: wait for it (native), or go on with
nil in a first pass, as Vault Agent does, and fail where that fails."""


def compile_sources(
    settings: Settings, dialect: Dialect = "native"
) -> list[tuple[OutputSection, Source]]:
    """Return each output with its compiled template or format.

    :raises ConfigError: with every template that cannot be read or does not parse.
    """
    problems: list[str] = []
    found = [
        (output, source)
        for index, output in enumerate(settings.outputs)
        if (source := _compiled(f"outputs[{index}]", output, dialect, problems)) is not None
    ]
    if problems:
        raise ConfigError(*problems)
    return found


def compile_environment(settings: Settings, dialect: Dialect = "native") -> Source | None:
    """Return what the environment of the application is made from, if there is such a thing.

    :raises ConfigError: with every template that cannot be read or does not parse.
    """
    if settings.exec is None or not settings.exec.env:
        return None
    from leasekeeper.supervise.environment import EnvironmentSource

    problems: list[str] = []
    found = [
        (variable.name, source)
        for index, variable in enumerate(settings.exec.env)
        if (source := _compiled(f"exec.env[{index}]", variable, dialect, problems)) is not None
    ]
    if problems:
        raise ConfigError(*problems)
    return EnvironmentSource(found)


def _compiled(
    place: str, section: OutputSection | EnvSection, dialect: Dialect, problems: list[str]
) -> Source | None:
    """Return the source of *section*, or add to *problems* why there is none."""
    place = f"{place} ({section.label})"
    try:
        return _source_of(section, dialect)
    except AgentError as error:
        problems.append(Problem(f"{place}: {error}", error.code))
    except OSError as error:
        file = f"template_file {section.template_file!r}"
        text = f"{place}: cannot read {file}: {error.strerror}"
        problems.append(Problem(text, "LK-TPL-005"))
    except UnicodeDecodeError:
        text = f"{place}: template_file {section.template_file!r} is not UTF-8"
        problems.append(Problem(text, "LK-TPL-005"))
    return None


def _source_of(output: OutputSection | EnvSection, dialect: Dialect) -> Source:
    if isinstance(output, OutputSection) and output.secret is not None and output.format:
        from leasekeeper.templates.formats import FormatSource

        return FormatSource(output.secret, output.format)
    from leasekeeper.templates.functions.library import library
    from leasekeeper.templates.template import Template

    drop_in = dialect == "vault_agent"
    text, name = output.template, output.label
    if text is None:
        name = str(output.template_file)
        # Vault Agent takes any bytes for a text.
        errors = "surrogateescape" if drop_in else "strict"
        with open(name, encoding="utf-8", errors=errors, newline="") as file:
            text = file.read()
    return Template.compile(
        text,
        name="" if drop_in else name,
        title=name if drop_in else "",
        left=output.left_delimiter,
        right=output.right_delimiter,
        functions=library(
            denylist=output.function_denylist, sandbox_path=output.sandbox_path or ""
        ),
        error_on_missing_key=output.error_on_missing_key,
        on_unresolved="nil" if drop_in else "pause",
    )


async def check(settings: Settings) -> None:
    """Find everything that is wrong without asking Vault: templates and destinations.

    :raises ConfigError: with every problem.
    """
    problems: list[str] = []
    looks: tuple[Callable[[], object], ...] = (
        lambda: compile_sources(settings),
        lambda: compile_environment(settings),
        lambda: _check_program(settings, os.environ),
        lambda: VaultClient(settings.vault),
    )
    for look in looks:
        try:
            look()
        except ConfigError as error:
            problems += error.problems
    files = _places(settings)
    missing = await asyncio.to_thread(_missing_directories, files)
    problems += [Problem(str(problem), problem.code) for problem in await preflight(files)]
    await asyncio.to_thread(_remove_empty, missing)
    if problems:
        raise ConfigError(*problems)


def _check_program(settings: Settings, environ: Mapping[str, str]) -> None:
    if settings.exec is not None:
        from leasekeeper.supervise.supervisor import check_program

        check_program(settings.exec, environ)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that `Agent.run` starts and stops."""

    client: VaultClient
    tokens: TokenKeeper
    secrets: SecretStore
    outputs: OutputLoop
    sinks: TokenSinks
    reporter: Reporter
    memory: Memory | None


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
        self._client: VaultClient | None = None
        self._listeners: Listeners | None = None
        self._environ = dict(os.environ if environ is None else environ)
        self._app: Supervisor | None = None
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
        settings = self._settings
        sources = compile_sources(settings, self._dialect)
        environment = compile_environment(settings, self._dialect)
        _check_program(settings, self._environ)
        if not await unless_stopped(self._check_destinations(), self.stop):
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
            await self._work(sources, environment)
        else:
            await self._share(sources)

    async def _share(self, sources: Sources) -> None:
        """Work only while we lead the tasks that share our volume."""
        from leasekeeper.membership import Membership, for_many_readers

        self._settings = for_many_readers(self._settings)
        async with Membership(self._settings, self.stop, Random()) as member:  # noqa: S311
            self._shown = member.view
            web = self._web(member.view)
            try:
                if web is not None:
                    await self._start(web)
                while await member.wait_to_lead():
                    if await member.led(lambda: self._work(sources, None, member)):
                        return
            finally:
                if web is not None:
                    await web.close()

    async def _work(
        self, sources: Sources, environment: Source | None, member: Membership | None = None
    ) -> None:
        memory = None
        if self._settings.state.path is not None:
            from leasekeeper.secrets.memory import open_memory

            memory = await open_memory(self._settings)
        fence = member.fence if member else no_fence
        parts = self._build(sources, environment, fence, memory)
        self._client = parts.client
        if member is None:
            self._shown = parts.reporter
        web = self._web(parts.reporter) if member is None else None
        try:
            if web is not None:
                await self._start(web)
            with pid_file(self._settings.lifecycle.pid_file):
                await self._serve(parts, member)
        finally:
            try:
                await self._shut_down(parts)
            finally:
                if web is not None:
                    await web.close()

    def _web(self, view: View) -> Listeners | None:
        settings = self._settings.web
        if not settings.listen and not settings.listeners:
            return None
        from leasekeeper.web.listeners import Listeners

        self._listeners = Listeners(settings, view, self._quit)
        return self._listeners

    def _quit(self) -> None:
        log.info("agent.stopping", because="POST /agent/v1/quit")
        self.stop.set()

    async def reload(self) -> None:
        """Read files again that may change while we run: certificates of both sides."""
        if self._client is not None:
            self._client.renew_connections()
        if self._listeners is not None:
            await self._listeners.reload()

    async def _start(self, web: Listeners) -> None:
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

    async def _check_destinations(self) -> None:
        """Look at the destinations, which takes long when a volume hangs."""
        files = _places(self._settings)
        if problems := await preflight(files):
            raise problems[0] if len(problems) == 1 else _all_of(problems)
        await sweep_leftovers(files)

    def _build(
        self,
        sources: Sources,
        environment: Source | None,
        fence: Fence,
        memory: Memory | None = None,
    ) -> Parts:
        settings = self._settings
        # The metadata address holds the container's id: the same task draws the same jitter, and
        # every task of a fleet another one. Elsewhere the operating system's randomness does it.
        rng = Random(self._environ.get("ECS_CONTAINER_METADATA_URI_V4"))  # noqa: S311
        client = VaultClient(settings.vault, rng)
        tokens = TokenKeeper(
            client,
            create_method(settings.auth, settings.vault),
            backoff=Backoff(
                minimum_s=settings.auth.min_backoff, maximum_s=settings.auth.max_backoff
            ),
            overlap_s=settings.secrets.overlap,
            probe_interval_s=settings.probe.interval,
            rng=rng,
            exit_on_error=settings.auth.exit_on_err,
            saved=memory.saved_token if memory else None,
        )
        secrets = SecretStore(
            settings,
            client,
            tokens,
            rng=rng,
            on_error=_report_bug,
            memory=memory,
            empty_versions=self._dialect == "vault_agent",
        )
        workers = FileWorkers()
        app = self._app = self._build_app(environment, workers)
        outputs = OutputLoop(
            settings.lifecycle,
            sources,
            secrets,
            rng=rng,
            environ=self._environ,
            groups=settings.groups,
            workers=workers,
            in_memory=None if app is None else app.output,
            tell_application=None if app is None else app.tell,
            fence=fence,
        )
        sinks = TokenSinks(
            settings.sinks,
            tokens,
            client,
            lifecycle=settings.lifecycle,
            workers=workers,
            rng=rng,
            environ=self._environ,
        )
        client.reachability.on_return(sinks.wake)
        reporter = Reporter(
            client=client,
            tokens=tokens,
            secrets=secrets,
            outputs=outputs,
            sinks=sinks,
            expiry_grace_s=settings.lifecycle.expiry_grace,
            app=app,
            memory=memory,
        )
        return Parts(
            client=client,
            tokens=tokens,
            secrets=secrets,
            outputs=outputs,
            sinks=sinks,
            reporter=reporter,
            memory=memory,
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
            "clock watch": _clock_watch(parts).watch,
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

    # -- start ----------------------------------------------------------------------------------

    async def _start_up(self, parts: Parts, member: Membership | None = None) -> NoReturn:
        """Wait for the first complete publish, and give up on one that cannot come.

        That it cannot come is no reason to end while what another leader has left is still good.
        """
        began = said = now()
        blocked_since = failing_since = math.inf
        deadline_s = self._settings.lifecycle.startup_deadline
        grace_s = self._settings.lifecycle.failure_grace
        retry_grace_s = self._settings.lifecycle.retry_grace or math.inf
        while not (parts.outputs.settled.released and parts.sinks.settled.released):
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await parts.outputs.settled.wait()
                    await parts.sinks.settled.wait()
            waited = now() - began
            error = _blocking(parts, final=True)
            blocked_since = math.inf if error is None else min(blocked_since, now())
            patient = member is not None and member.inherited
            if error is not None and now() - blocked_since >= grace_s and not patient:
                raise error
            failure = _blocking(parts, final=False) if parts.tokens.lease is not None else None
            failing_since = math.inf if failure is None else min(failing_since, now())
            if failure is not None and now() - failing_since >= retry_grace_s and not patient:
                raise failure
            if deadline_s and waited >= deadline_s and not patient:
                raise _blocking(parts, final=False) or _too_late(parts, deadline_s)
            if now() - said >= _SAY_EVERY_S:
                said = now()
                log.warning("agent.still_starting", reasons=parts.reporter.reasons())
        if member is not None:
            member.show(parts.reporter)
        log.info("agent.ready", after_s=round(now() - began, 2))
        if self._settings.lifecycle.exit_after_auth:
            self.stop.set()
        # What start-up made lives as long as the process: later collections need not look at it.
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
            return False
        return True


def _clock_watch(parts: Parts) -> ClockWatch:
    """Return what tells everybody that time has passed while the machine was suspended."""
    watch = ClockWatch()
    watch.on_change(lambda seconds: log.warning("clock.changed", missed_s=round(seconds, 1)))
    watch.on_change(parts.tokens.aged)
    watch.on_change(parts.secrets.aged)
    return watch


def _warn_if_exposed(settings: Settings) -> None:
    vault = settings.vault
    host = urlsplit(vault.address).hostname or ""
    local = host in ("localhost", "::1") or host.startswith("127.")
    if vault.address.startswith("http:") and not local:
        log.warning("vault.not_protected", because="plain HTTP: the token travels in the clear")
    elif vault.tls_skip_verify:
        log.warning("vault.not_protected", because="tls_skip_verify: anybody can pose as Vault")


def _all_of(problems: list[AgentError]) -> AgentError:
    """Return one error that says everything; its class, and so the exit code, is the first's."""
    first = problems[0]
    first.message = "\n".join(str(problem) for problem in problems)
    first.hint = None
    return first


def _blocking(parts: Parts, *, final: bool) -> AgentError | None:
    """Return what keeps the first publish from happening; only what time won't mend if *final*."""
    token_error = parts.tokens.error
    if parts.tokens.lease is None and token_error is not None:
        return None if final and token_error.retryable else token_error
    for sink in parts.sinks.sinks:
        if not sink.settled and sink.error is not None and not (final and sink.error.retryable):
            return sink.error
    for output in parts.outputs.outputs:
        if output.settled:
            continue
        found = [output.error] if output.error is not None else []
        for request in output.missing_requests:
            keeper = parts.secrets.keepers.get(request)
            if keeper is not None and keeper.error is not None:
                found.append(keeper.error)
        found += parts.outputs.unreadable(output)
        for error in found:
            if not (final and error.retryable):
                return error
    return None


def _too_late(parts: Parts, deadline_s: float) -> StartupDeadlineExceeded:
    reasons = "; ".join(parts.reporter.reasons()) or "nothing has failed, but it takes too long"
    return StartupDeadlineExceeded(
        f"not every output was published within {format_duration(deadline_s)}: {reasons}",
        hint="lifecycle.startup_deadline sets the time allowed",
    )


def _report_bug(name: str, error: BaseException) -> None:
    log.error("agent.bug", task=name, exc_info=error)
