"""From what Vault Agent's files say to a draft of our settings.

Most keys mean one setting (`Key.to`); here and in `login` and `products` is what takes more than
that, and where the agent's defaults are not ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from leasekeeper.settings import environment
from leasekeeper.settings.draft import Draft, Origin, Path
from leasekeeper.settings.problems import Problems
from leasekeeper.settings.vault_agent import schema, values
from leasekeeper.settings.vault_agent.login import put_login
from leasekeeper.settings.vault_agent.products import put_exec, put_outputs, put_sinks
from leasekeeper.settings.vault_agent.target import AGENT_DEFAULT, Target
from leasekeeper.settings.vault_agent.tree import Literal, Node

if TYPE_CHECKING:
    from leasekeeper.settings.environment import Variables
    from leasekeeper.settings.vault_agent.stanzas import Notes, Written

_DEFAULT_LISTENER = "127.0.0.1:8200"
_LISTEN: Path = ("web", "listen")
# The agent's tries of a secret, unless `num_retries` says otherwise, and the pauses between them.
_TRIES = 12
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 60.0
# Who asked for an exit on failure waits no longer than a retry takes for one that time won't mend.
_GRACE_S = 1.0
# The last part of VAULT_... and BAO_..., which win over the file, and how they are read.
_LOG_VARIABLES: dict[str, Callable[[Node], str]] = {
    "LOG_LEVEL": values.level,
    "LOG_FORMAT": values.log_format,
}

# The last part of variables that mean something to Vault's tools.
_IDLE_VARIABLES = {
    "AGENT_ADDR": "the server's address is VAULT_ADDR or vault.address",
    "DISABLE_REDIRECTS": "redirects lead from a standby to the active server",
    "MAX_RETRIES": "requests are tried again for as long as it makes sense",
    "SRV_LOOKUP": "name the server and its port in vault.address",
    "WRAP_TTL": "wrap_ttl of a sink wraps the token",
}


class AgentProblems(Problems):
    """Calls what stands in the agent's files by the names it has there."""

    def name(self, origin: Origin, path: Path) -> str:
        """Return the key of Vault Agent that means *path*."""
        plain = ".".join(part for part in path if isinstance(part, str))
        found = _NAMES.get(plain) if origin.line is not None else None
        return found or super().name(origin, path)


def _names() -> dict[str, str]:
    """Return the key of the agent for each setting of ours that one means."""
    found: dict[str, str] = {}
    for path, stanza in schema.walk(schema.TOP):
        place = path.partition(" (")[0]
        for name, key in stanza.keys.items():
            if key.to:
                found.setdefault(key.to, f"{place}.{name}" if place else name)
    return {
        **found,
        "auth": "auto_auth.method",
        "outputs": "template",
        "sinks": "auto_auth.sink",
        "exec.env": "env_template",
    }


_NAMES = _names()


def draft_of(top: Written, variables: Variables, notes: Notes) -> Draft:
    """Return the settings that *top* means; the environment's own come on top of it later."""
    target = Target(Draft(top.origin), variables, notes)
    target.put_plain(top)
    for name in ("vault", "template_config"):
        if block := top.one(name):
            target.put_plain(block, but=("exit_on_retry_failure",))
    put_login(top, target)
    put_outputs(top, target)
    put_sinks(top, target)
    put_exec(top, target)
    _put_deadline(top, target)
    _put_listeners(top, target)
    _put_log_variables(target)
    _warn_of_variables(target)
    _put_state(top, target)
    target.settle("auth", "an auto_auth block is needed: nothing happens here without a login")
    if target.draft.get(("sinks",)) is None and not top.all("env_template"):
        target.settle("outputs", "a template or sink block is needed: there is nothing to write")
    return target.draft


def _put_deadline(top: Written, target: Target) -> None:
    """Wait for ever at start, as the agent does, unless it was told to give up."""
    target.put(("lifecycle", "startup_deadline"), 0.0, AGENT_DEFAULT)
    config, key = top.one("template_config"), "exit_on_retry_failure"
    if config is not None and config.get(key):
        target.put(("lifecycle", "retry_grace"), _patience_s(top), config.origin_of(key))
        target.put(("lifecycle", "failure_grace"), _GRACE_S, config.origin_of(key))


def _patience_s(top: Written) -> float:
    """Return for how long the agent tries again to get a secret."""
    vault = top.one("vault")
    retry = vault.one("retry") if vault is not None else None
    wanted = retry.get("num_retries") if retry is not None else None
    tries = int(wanted) if isinstance(wanted, int) and wanted else _TRIES
    pauses = [min(_PAUSE_S * 2.0**each, _LONGEST_PAUSE_S) for each in range(min(tries, 100))]
    return max(sum(pauses), _GRACE_S)


def _put_listeners(top: Written, target: Target) -> None:
    """Put listeners for metrics: the first plain one is `web.listen`, where health is asked."""
    for listener in top.all("listener"):
        if reason := _refusal(listener):
            target.notes.problems.add(listener.origin, f"listener: {reason}")
            continue
        api = listener.one("agent_api")
        quits = bool(api and api.get("enable_quit"))
        plain = listener.type != "unix" and bool(listener.get("tls_disable"))
        if plain and target.draft.get(_LISTEN) is None:
            address = listener.text("address") or _DEFAULT_LISTENER
            target.put(_LISTEN, address, listener.origin_of("address"))
            if api and quits:
                target.put(("web", "enable_quit"), True, api.origin_of("enable_quit"))
        else:
            _put_listener(listener, target, quits=quits)


def _refusal(listener: Written) -> str:
    """Return why *listener* cannot be had here, or nothing."""
    certified = listener.get("tls_cert_file") and listener.get("tls_key_file")
    if listener.text("role") != "metrics_only":
        return listener.schema.about
    if listener.type == "unix" and not listener.text("address"):
        return "needs an address: the path of the socket"
    if not (listener.get("tls_disable") or certified):
        return "needs tls_cert_file and tls_key_file, or tls_disable = true"
    return ""


def _put_listener(listener: Written, target: Target, *, quits: bool) -> None:
    found = target.draft.get(("web", "listeners"))
    path: Path = ("web", "listeners", len(found) if isinstance(found, list) else 0)
    target.put(path, {}, listener.origin)
    address = listener.text("address") or _DEFAULT_LISTENER
    if listener.type == "unix":
        address = f"unix:{os.path.abspath(address)}"
    target.put((*path, "address"), address, listener.origin_of("address"))
    if not listener.get("tls_disable"):
        for key in ("tls_cert_file", "tls_key_file"):
            target.put((*path, key), listener.get(key), listener.origin_of(key))
    if quits:
        target.put((*path, "enable_quit"), quits, listener.origin)


def _warn_of_variables(target: Target) -> None:
    for last, why in _IDLE_VARIABLES.items():
        if found := target.variables.first(f"BAO_{last}", f"VAULT_{last}"):
            target.notes.warn(environment.origin(found[0]), f"has no effect: {why}")


def _put_log_variables(target: Target) -> None:
    for last, read in _LOG_VARIABLES.items():
        found = target.variables.first(f"BAO_{last}", f"VAULT_{last}")
        if found is None:
            continue
        name, text = found
        path: Path = ("log", last.removeprefix("LOG_").lower())
        try:
            target.put(path, read(Literal(text, 0)), environment.origin(name))
        except ValueError as error:
            target.notes.problems.add(environment.origin(name), str(error), path)


def _put_state(top: Written, target: Target) -> None:
    """Take the directory of the agent's persistent cache for our state, if there is a key."""
    cache = top.one("cache")
    persist = cache.one("persist") if cache is not None else None
    if persist is None or not persist.text("path"):
        return
    variable = environment.variable_for(("state", "encryption"))
    if any(name.startswith(variable) for name, _ in target.variables.settings()):
        target.put_absolute(persist, "path", ())
        text = "cache.persist: its directory keeps our state; the agent's own file is not read"
    else:
        text = f"cache.persist: has no effect without a key; set {variable}__KEY or __KMS_KEY_ID"
    target.notes.warn(persist.origin, text)
