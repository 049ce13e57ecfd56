"""The command line. Each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from leasekeeper import __version__
from leasekeeper.commands import COMMANDS
from leasekeeper.errors import EXIT_BUG, EXIT_DONE, AgentError, ConfigError, Problem

if TYPE_CHECKING:
    from leasekeeper.agent import Agent, Dialect
    from leasekeeper.settings.loading import LoadedSettings
    from leasekeeper.settings.process import LogSection
    from leasekeeper.telemetry.lines import LineWriter

_DESCRIPTION = """\
Keep Vault secrets on disk fresh for an application on Amazon ECS: log in with the task's IAM
role, keep the token and every lease alive, and publish the application's files atomically.
"""
_EPILOG = """\
commands in a few words:
  leasekeeper check --config leasekeeper.yaml   is this configuration right? (no Vault needed)
  leasekeeper check --online --config ...       and does Vault agree? login, policies, clock
  leasekeeper run --config leasekeeper.yaml     keep the files fresh until SIGTERM
  leasekeeper run --once --config ...           publish everything once and exit
  leasekeeper status                            what is held, until when, what comes next
  leasekeeper explain LK-AUTH-003               what an error code means; or a secret, an output
  leasekeeper health                            for the ECS health check of this container
  leasekeeper agent -config=agent.hcl           run with the files of `vault agent`, unchanged
  leasekeeper convert agent.hcl                 print such files as YAML of the same meaning

Without --config the configuration is read from LEASEKEEPER_CONFIG (YAML, plain or base64), or
made from VAULT_ADDR, VAULT_ROLE, VAULT_AGENT_TEMPLATE (base64) and TARGET_FILE_NAME. Every key
can be set by environment as well: LEASEKEEPER_<SECTION>__<KEY>, as in LEASEKEEPER_LOG__LEVEL.
Command line beats environment beats file beats default; `leasekeeper check --show` prints the
outcome.

exit codes: 0 done, 2 configuration, 3 login rejected, 4 secret, policy or template,
5 destination, 6 start-up deadline, 7 the application cannot be started, 70 a bug in Leasekeeper;
with `exec`, the application's own.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leasekeeper",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"leasekeeper {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run", help="keep the files fresh until SIGTERM", description="Keep the files fresh."
    )
    _add_configuration(run)
    run.add_argument(
        "--once", action="store_true", help="publish every output once and exit with code 0"
    )
    run.add_argument("--log-level", metavar="LEVEL", help="trace, debug, info, warning or error")
    run.add_argument("--log-format", metavar="FORMAT", help="auto, json or console")
    run.set_defaults(handler=_run)
    commands.add_parser("health", help="ask the running Leasekeeper how it is (0 good, 1 not)")
    for name, words in COMMANDS.items():
        commands.add_parser(name, help=words)
    _add_agent(commands)
    convert = commands.add_parser(
        "convert",
        help="print Vault Agent's files as YAML of the same meaning",
        description="Print the native configuration with the meaning of Vault Agent's files. Put "
        "secrets where the comments say; none is printed.",
    )
    convert.add_argument("paths", nargs="+", metavar="PATH", help="file or directory")
    convert.add_argument("-lenient", "--lenient", action="store_true", help=_LENIENT)
    convert.set_defaults(handler=_convert)
    return parser


_LENIENT = "warn about unknown keys instead of refusing them"
# Flags of `vault agent`, and the settings that they override.
_AGENT_FLAGS = {
    "address": "vault.address",
    "namespace": "vault.namespace",
    "ca-cert": "vault.ca_file",
    "ca-path": "vault.ca_path",
    "client-cert": "vault.client_cert_file",
    "client-key": "vault.client_key_file",
    "tls-server-name": "vault.tls_server_name",
    "tls-skip-verify": "vault.tls_skip_verify",
    "exit-after-auth": "lifecycle.exit_after_auth",
    "log-level": "log.level",
    "log-format": "log.format",
    "log-file": "log.file",
    "log-rotate-bytes": "log.rotate_bytes",
    "log-rotate-duration": "log.rotate_duration",
    "log-rotate-max-files": "log.rotate_max_files",
}
_SWITCHES = frozenset({"tls-skip-verify", "exit-after-auth"})
# Flags that all of Vault's commands have and that mean nothing to an agent.
_IDLE_FLAGS = ("agent-address", "header", "mfa", "unlock-key", "wrap-ttl")
_IDLE_SWITCHES = (
    *("combine-logs", "disable-redirects", "non-interactive", "output-curl-string"),
    *("output-policy", "policy-override"),
)
_AGENT_FILES = ("BAO_AGENT_CONFIG_PATH", "VAULT_AGENT_CONFIG_PATH")
_LOG_WORDS = {"warn": "warning", "err": "error", "standard": "auto"}


_SWITCH: dict[str, Any] = {"nargs": "?", "const": "true"}


def _both(flag: str) -> list[str]:
    return [f"-{flag}", f"--{flag}"]


def _add_agent(commands: Any) -> None:
    agent = commands.add_parser(
        "agent",
        help="run with the files and flags of `vault agent`",
        description="Run with the configuration files (HCL or JSON), flags, environment and "
        "template dialect of `vault agent`. docs/migrating-from-vault-agent.md says what becomes "
        "of every key.",
        allow_abbrev=False,
    )
    agent.add_argument(
        "-config", "--config", action="append", metavar="PATH", dest="paths",
        help="file or directory; can be given many times; or else BAO_AGENT_CONFIG_PATH",
    )  # fmt: skip
    agent.add_argument("-lenient", "--lenient", action="store_true", help=_LENIENT)
    for flag, key in _AGENT_FLAGS.items():
        names = ["-namespace", "--namespace", "-ns", "--ns"] if flag == "namespace" else []
        agent.add_argument(
            *(names or _both(flag)),
            metavar="VALUE",
            help=f"overrides {key}",
            **(_SWITCH if flag in _SWITCHES else {}),
        )
    agent.add_argument(*_both("test-verify-only"), help="only check the configuration", **_SWITCH)
    for flag in (*_IDLE_FLAGS, *_IDLE_SWITCHES):
        switch = _SWITCH if flag in _IDLE_SWITCHES else {"action": "append"}
        agent.add_argument(*_both(flag), help=argparse.SUPPRESS, **switch)
    agent.set_defaults(handler=_agent)


def _add_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", help="configuration in YAML")


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors are printed with the fix in them."""
    try:
        code = _command(arguments)
    except ConfigError as error:
        for problem in error.problems:
            print(f"leasekeeper: {problem.coded}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except AgentError as error:
        print(f"leasekeeper: {error.coded}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except BrokenPipeError:
        return EXIT_DONE
    return code


def _command(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        module = importlib.import_module(f"leasekeeper.commands.{arguments[0]}")
        code: int = module.main(list(arguments[1:]))
    else:
        options = _parser().parse_args(arguments)
        code = options.handler(options)
    return code


def _load(options: argparse.Namespace) -> LoadedSettings:
    from leasekeeper.settings.loading import load_settings

    overrides: dict[str, object] = {}
    if getattr(options, "once", False):
        overrides["lifecycle.exit_after_auth"] = True
    for key in ("log_level", "log_format"):
        if getattr(options, key, None) is not None:
            overrides[key.replace("_", ".", 1)] = getattr(options, key)
    return load_settings(config_file=options.config, environ=os.environ, overrides=overrides)


def _checked(loaded: LoadedSettings) -> int:
    from leasekeeper.checking import check

    asyncio.run(check(loaded.settings, "vault_agent"))
    sys.stdout.write("The configuration is good.\n")
    return EXIT_DONE


def _load_vault_agent(options: argparse.Namespace) -> LoadedSettings:
    from leasekeeper.settings.loading import load_vault_agent

    overrides: dict[str, object] = {}
    for flag, key in _AGENT_FLAGS.items():
        value = getattr(options, flag.replace("-", "_"), None)
        if value is not None:
            overrides[key] = _LOG_WORDS.get(value, value) if flag.startswith("log-") else value
    if (seconds := overrides.get("log.rotate_duration", "")) and str(seconds).isdecimal():
        overrides["log.rotate_duration"] = f"{seconds}s"
    loaded = load_vault_agent(_agent_files(options), os.environ, overrides, lenient=options.lenient)
    idle = tuple(
        f"command line: -{flag} has no effect"
        for flag in (*_IDLE_FLAGS, *_IDLE_SWITCHES)
        if getattr(options, flag.replace("-", "_"), None)
    )
    return replace(loaded, warnings=(*idle, *loaded.warnings))


def _agent_files(options: argparse.Namespace) -> list[str]:
    if options.paths:
        return list(options.paths)
    for name in _AGENT_FILES:
        if path := os.environ.get(name):
            return [path]
    msg = f"no configuration: name a file or directory with -config, or set {_AGENT_FILES[0]}"
    raise ConfigError(Problem(msg, "LK-CONF-006"))


def _convert(options: argparse.Namespace) -> int:
    from leasekeeper.settings.vault_agent.convert import to_yaml

    sys.stdout.write(to_yaml(_load_vault_agent(options)))
    return EXIT_DONE


def _agent(options: argparse.Namespace) -> int:
    if options.test_verify_only not in (None, "false"):
        return _checked(_load_vault_agent(options))
    return _serve(partial(_load_vault_agent, options), dialect="vault_agent")


def _run(options: argparse.Namespace) -> int:
    return _serve(partial(_load, options), dialect="native")


Load = Callable[[], "LoadedSettings"]
"""Reads the configuration, now or again."""


def _serve(load: Load, *, dialect: Dialect) -> int:
    loaded = load()
    import uvloop

    from leasekeeper.runtime.http import import_aiohttp
    from leasekeeper.telemetry import events

    import_aiohttp()
    settings = loaded.settings.log
    with _log_copy(settings) as copy:
        lines = events.configure(settings.level, settings.format, copy=copy)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run_agent(loaded, dialect, load, lines))


@contextmanager
def _log_copy(settings: LogSection) -> Iterator[Callable[[bytes], None] | None]:
    """Yield what writes lines to the log file, if there is one; in the end they are all there."""
    if settings.file is None:
        yield None
        return
    from leasekeeper.telemetry.log_file import LogFile, Rotation

    rotation = Rotation(
        size_bytes=settings.rotate_bytes,
        age_s=settings.rotate_duration,
        max_files=settings.rotate_max_files,
    )
    try:
        file = LogFile(settings.file, rotation)
    except OSError as error:
        msg = f"log.file: cannot open {settings.file!r}: {error.strerror}"
        raise ConfigError(msg) from error
    try:
        yield file.write
    finally:
        file.close()


async def _run_agent(
    loaded: LoadedSettings, dialect: Dialect, load: Load, lines: LineWriter
) -> int:
    from leasekeeper.agent import Agent
    from leasekeeper.runtime.tasks import Nursery
    from leasekeeper.telemetry.events import log

    if loaded.ignored:
        log.warning("settings.ignored", variables=list(loaded.ignored), because="there is a file")
    for warning in loaded.warnings:
        log.warning("settings.doubtful", because=warning)
    agent = Agent(loaded.settings, dialect=dialect)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, agent, number)
    # Unhandled, these two would end the process, and operators send them to Vault Agent.
    reloads = Nursery(_report_bug)
    loop.add_signal_handler(
        signal.SIGHUP, lambda: reloads.start("reload", agent.reload(lambda: load().settings))
    )
    loop.add_signal_handler(signal.SIGUSR1, agent.log_state)
    # Not before there are handlers: until then a signal ends the process with what still waits.
    with lines.together():
        try:
            await agent.run()
        except Exception as raised:  # noqa: BLE001 - a bug has an exit code, too
            return _report(raised)
        finally:
            await reloads.close(grace_s=0.0)
        return agent.exit_code


def _report_bug(name: str, error: BaseException) -> None:
    from leasekeeper.telemetry.events import log

    log.error("agent.bug", task=name, exc_info=error)


def _report(raised: Exception) -> int:
    """Log why the process ends, with the fix, and return the exit code."""
    from leasekeeper.telemetry.events import log

    error: BaseException = raised
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, AgentError):
        log.error("agent.crashed", exit_code=EXIT_BUG, exc_info=raised)
        return EXIT_BUG
    hint = {"hint": error.hint} if error.hint else {}
    for problem in getattr(error, "problems", ()) or (Problem(error.message, error.code),):
        log.error(
            "agent.failed", error=problem, code=problem.code, exit_code=error.exit_code, **hint
        )
    return error.exit_code


def _stop(agent: Agent, number: signal.Signals) -> None:
    from leasekeeper.telemetry.events import log

    if agent.stop.is_set():
        agent.abandon()
        log.flush()
        # The second signal means now: files are whole at every moment, so nothing is lost.
        os._exit(128 + number)
    log.info("agent.stopping", signal=number.name)
    agent.stop.set()
