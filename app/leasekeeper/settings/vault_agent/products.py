"""What `template`, `sink`, `env_template` and `exec` mean: what is made of the secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings.vault_agent import rules
from leasekeeper.settings.vault_agent.target import AGENT_DEFAULT, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leasekeeper.settings.draft import Origin, Path
    from leasekeeper.settings.vault_agent.stanzas import Given, Written

_DEFAULT_MODE = "keep"
_DEFAULT_COMMAND_TIMEOUT_S = 30.0
_KILL_TIMEOUT_S = 30.0
# Our name, and the agent's for a number: Vault's and OpenBao's.
_OWNERS = (("user", "owner"), ("user", "uid"), ("group", "group"), ("group", "gid"))
_STREAMS = ("child_process_stdout", "child_process_stderr")
_SPECIAL = (
    "uid",
    "gid",
    "source",
    "destination",
    "sandbox_path",
    "function_denylist",
    "function_blacklist",
    "command",
    "command_timeout",
    "wait",
)


def put_outputs(top: Written, target: Target) -> None:
    """Put one of `outputs` for each template."""
    for index, template in enumerate(top.all("template")):
        target.put(("outputs", index), {}, template.origin)
        _put_output(template, ("outputs", index), target)
    _warn_of_missing_keys(top.all("template"), target)


def _put_output(template: Written, path: Path, target: Target) -> None:
    target.put((*path, "mode"), _DEFAULT_MODE, AGENT_DEFAULT)
    target.put((*path, "error_on_missing_key"), False, AGENT_DEFAULT)
    target.put_plain(template, path, but=_SPECIAL)
    names = [("user", "uid"), ("group", "gid")]
    unnamed = [pair for pair in names if pair[0] not in template.values]
    _put_owner(template, path, unnamed, target)
    for key in ("source", "destination", "sandbox_path"):
        target.put_absolute(template, key, path)
    _put_denylist(template, path, target)
    _put_command(template, path, target)
    _put_wait(template, (*path, "wait"), target)
    if ("source" in template.values) == ("contents" in template.values):
        target.notes.problems.settle(path)  # a rule has spoken


def _put_owner(
    written: Written, path: Path, names: Iterable[tuple[str, str]], target: Target
) -> None:
    """Put ids; 0 is one, and -1 means that nothing is changed."""
    for ours, theirs in names:
        number = written.get(theirs)
        if number is not None and number != -1:
            target.put((*path, ours), number, written.origin_of(theirs))


def _put_denylist(template: Written, path: Path, target: Target) -> None:
    denied: list[str] = []
    for key in ("function_denylist", "function_blacklist"):
        value = template.get(key)
        if isinstance(value, list) and value:
            denied += value
            target.put((*path, "function_denylist"), denied, template.origin_of(key))


def _put_command(template: Written, path: Path, target: Target) -> None:
    """Put what to run after a new file; what `exec` says goes before the old keys."""
    execute = template.one("exec")
    inner = execute.values if execute else {}
    command = inner.get("command") or template.values.get("command")
    if command is None or not command.value:
        return
    target.put((*path, "notify", "command", "command"), command.value, command.origin)
    seconds, origin = _timeout(inner.get("timeout") or template.values.get("command_timeout"))
    target.put((*path, "notify", "timeout"), seconds, origin)


def _put_wait(template: Written, path: Path, target: Target) -> None:
    """Put how long changes are collected; a `min` of nothing is no wait."""
    block, text = template.one("wait"), template.get("wait")
    if block is not None:
        shortest, longest, origin = block.get("min"), block.get("max"), block.origin
    else:
        shortest, longest = text if isinstance(text, tuple) else (None, None)
        origin = template.origin_of("wait")
    if shortest:
        target.put((*path, "min"), shortest, origin)
        if longest:
            target.put((*path, "max"), longest, origin)


def _timeout(given: Given | None) -> tuple[float, Origin]:
    """Return how long a command may take, and who says so; 0 says nothing."""
    if given is None or not isinstance(given.value, float) or given.value == 0:
        return _DEFAULT_COMMAND_TIMEOUT_S, AGENT_DEFAULT
    return given.value, given.origin


def _warn_of_missing_keys(templates: list[Written], target: Target) -> None:
    found = [one for one in templates if not one.get("error_on_missing_key")]
    if found:
        these = "a template writes" if len(found) == 1 else f"{len(found)} templates write"
        text = (
            f"{these} `<no value>` where a key is missing, as in Vault Agent; "
            "error_on_missing_key = true keeps the last good content instead"
        )
        target.notes.warn(found[0].origin, text)


def put_sinks(top: Written, target: Target) -> None:
    """Put one of `sinks` for each sink."""
    auto_auth = top.one("auto_auth")
    for index, sink in enumerate(rules.sinks(auto_auth) if auto_auth else ()):
        _put_sink(sink, ("sinks", index), target)


def _put_sink(sink: Written, path: Path, target: Target) -> None:
    target.put(path, {}, sink.origin)
    if rules.sink_is_sound(sink):
        target.put_plain(sink, path)
    else:
        target.notes.problems.settle(path)
    config = sink.one("config")
    if config is None or "path" not in config.values:
        text = f"{sink.path}: 'path' not specified for file sink"
        target.notes.problems.add(sink.origin, text)
        target.notes.problems.settle((*path, "path"))
        return
    target.put_plain(config, path, but=("path", *(theirs for _, theirs in _OWNERS)))
    target.put_absolute(config, "path", path)
    _put_owner(config, path, _OWNERS, target)


def put_exec(top: Written, target: Target) -> None:
    """Put `exec`, with one of its variables for each `env_template`."""
    execute, templates = top.one("exec"), top.all("env_template")
    if execute is None or not templates:
        if execute or templates:
            target.notes.problems.settle(("outputs",))  # a rule has spoken
        return
    target.put(("exec", "kill_timeout"), _KILL_TIMEOUT_S, AGENT_DEFAULT)
    target.put_plain(execute, but=_STREAMS)
    for name in _STREAMS:
        target.put_absolute(execute, name, ("exec",))
    if not execute.get("command"):
        target.notes.problems.settle(("exec", "command"))
    # A rule has spoken where two have the same name.
    for index, template in enumerate({one.label: one for one in templates}.values()):
        _put_variable(template, ("exec", "env", index), target)
    _warn_of_missing_keys(templates, target)


def _put_variable(template: Written, path: Path, target: Target) -> None:
    target.put((*path, "name"), template.label, template.origin)
    target.put((*path, "error_on_missing_key"), False, AGENT_DEFAULT)
    target.put_plain(template, path, but=_SPECIAL)
    target.put_absolute(template, "source", path)
    _put_denylist(template, path, target)
    if not template.label:
        target.notes.problems.settle((*path, "name"))  # a rule has spoken
    if ("source" in template.values) == ("contents" in template.values):
        target.notes.problems.settle(path)
