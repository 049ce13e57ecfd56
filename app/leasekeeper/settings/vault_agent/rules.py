"""What Vault Agent refuses at start, in its words.

These are rules about several keys and blocks of the merged configuration. They hold whether or not
Leasekeeper supports what they are about.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leasekeeper.settings.draft import Origin
    from leasekeeper.settings.problems import Problems
    from leasekeeper.settings.vault_agent.stanzas import Written

_DEFAULT_MAX_BACKOFF_S = 300.0
# What is about a file, and means nothing for an environment variable.
_FOR_FILES = (
    "backup",
    "command",
    "command_timeout",
    "create_dest_dirs",
    "destination",
    "exec",
    "perms",
    "user",
    "uid",
    "group",
    "gid",
    "wait",
    "sandbox_path",
)


def check(top: Written, problems: Problems) -> None:
    """Add what *top* breaks."""
    _check_whole(top, problems)
    _check_proxy(top, problems)
    if auto_auth := top.one("auto_auth"):
        _check_method(auto_auth, problems)
        for sink in sinks(auto_auth):
            _check_sink(sink, problems)
    for template in top.all("template"):
        _check_source(template, problems)
    if top.all("env_template") or top.one("exec"):
        _check_exec_mode(top, problems)


def sinks(auto_auth: Written) -> list[Written]:
    """Return the token sinks, in either way to write them."""
    return [
        *auto_auth.all("sink"),
        *(sink for wrapper in auto_auth.all("sinks") for sink in wrapper.all("sink")),
    ]


def method_of(top: Written) -> Written | None:
    """Return the method of the login, if there is one."""
    auto_auth = top.one("auto_auth")
    return auto_auth.one("method") if auto_auth else None


def _check_whole(top: Written, problems: Problems) -> None:
    auto_auth, cache = top.one("auto_auth"), top.one("cache")
    if not (auto_auth or cache or top.all("listener")):
        problems.add(top.origin, "no auto_auth, cache, or listener block found in config")
    outputs = top.all("template") or top.all("env_template")
    # What the cache says of the token counts where no proxy says it.
    if auto_auth and not (
        outputs or sinks(auto_auth) or _uses_token(top.one("api_proxy") or cache)
    ):
        text = (
            "auto_auth requires at least one sink or at least one template or "
            "api_proxy.use_auto_auth_token=true"
        )
        problems.add(auto_auth.origin, text)
    if cache and not (outputs or top.all("listener")):
        text = "enabling the cache requires at least 1 template or 1 listener to be defined"
        problems.add(cache.origin, text)
    for persist in cache.all("persist") if cache else ():
        if not persist.type:
            problems.add(persist.origin, "error parsing persist: persist type must be specified")
        elif not persist.text("path"):
            problems.add(persist.origin, "must specify persistent cache path")
    for listener in top.all("listener"):
        if "type" not in listener.values and listener.type not in ("tcp", "unix"):
            problems.add(
                listener.origin, "error parsing 'listener': listener type must be specified"
            )


def _check_proxy(top: Written, problems: Problems) -> None:
    cache, proxy = top.one("cache"), top.one("api_proxy")
    if cache and proxy and all("use_auto_auth_token" in one.values for one in (cache, proxy)):
        text = (
            "use_auto_auth_token defined in both api_proxy and cache config. "
            "Please remove this configuration from the cache block"
        )
        problems.add(cache.origin_of("use_auto_auth_token"), text)
    # Said of the cache, it makes a proxy, unless there is one that says otherwise.
    asking = proxy or (cache if _uses_token(cache) else None)
    if asking and not top.all("listener"):
        text = "configuring the api_proxy requires at least 1 listener to be defined"
        problems.add(asking.origin, text)
    method = method_of(top)
    for one in (cache, proxy):
        if one is None or not _uses_token(one):
            continue
        origin = one.origin_of("use_auto_auth_token")
        if not top.one("auto_auth"):
            text = f"{one.path}.use_auto_auth_token is true but auto_auth not configured"
            problems.add(origin, text)
        elif method and method.get("wrap_ttl"):
            text = f"{one.path}.use_auto_auth_token is true and auto_auth uses wrapping"
            problems.add(origin, text)


def _uses_token(block: Written | None) -> bool:
    return block is not None and bool(block.get("use_auto_auth_token"))


def _check_method(auto_auth: Written, problems: Problems) -> None:
    method, found = auto_auth.one("method"), sinks(auto_auth)
    if method is None:
        text = "error parsing 'method': one and only one \"method\" block is required"
        problems.add(auto_auth.origin, text)
        return
    if not method.type:
        problems.add(method.origin, "error parsing 'method': method type must be specified")
    if method.get("wrap_ttl"):
        origin, prefix = method.origin_of("wrap_ttl"), "error parsing auto_auth: wrapping enabled"
        if len(found) != 1:
            problems.add(origin, f"{prefix} on auth method and 0 or many sinks defined")
        elif found[0].get("wrap_ttl"):
            problems.add(origin, f"{prefix} both on auth method and sink")
    shortest, longest = method.get("min_backoff"), method.get("max_backoff")
    longest = longest or _DEFAULT_MAX_BACKOFF_S
    if isinstance(shortest, float) and isinstance(longest, float) and shortest > longest:
        origin = method.origin_of("min_backoff")
        problems.add(origin, "auth handler: min_backoff cannot be greater than max_backoff")
        problems.settle(("auth", "min_backoff"))


def sink_is_sound(sink: Written) -> bool:
    """Tell whether `check` has nothing to say about *sink*."""
    return not any(_sink_faults(sink))


def _check_sink(sink: Written, problems: Problems) -> None:
    for origin, text in _sink_faults(sink):
        problems.add(origin, text)


def _sink_faults(sink: Written) -> Iterator[tuple[Origin, str]]:
    if not sink.type:
        yield sink.origin, "error parsing 'sink' stanzas: sink type must be specified"
        return
    name = f"sink.{sink.type}"
    if sink.type != "file":
        yield sink.origin, 'unknown sink type; known is "file"'
    if sink.text("dh_type") not in ("", "curve25519"):
        yield sink.origin_of("dh_type"), f"{name} invalid value for 'dh_type'"
    if bool(sink.get("dh_type")) != bool(sink.get("dh_path")):
        yield sink.origin, f"{name} 'dh_type' and 'dh_path' must be specified together"
    elif not sink.get("dh_type"):
        for key, what in (("aad", "AAD"), ("derive_key", "'derive_key'")):
            if sink.get(key):
                text = f"{name} specifying {what} data without 'dh_type' does not make sense"
                yield sink.origin_of(key), text


def _check_source(template: Written, problems: Problems) -> None:
    given = [key for key in ("source", "contents") if key in template.values]
    if len(given) == 2:
        text = "template: cannot specify both 'source' and 'contents'"
        problems.add(template.origin_of("contents"), text)
    elif not given:
        text = "template: must specify exactly one of 'source' or 'contents'"
        problems.add(template.origin, text)


def _check_exec_mode(top: Written, problems: Problems) -> None:
    execute, templates = top.one("exec"), top.all("env_template")
    if execute is None:
        text = "a top-level 'exec' element must be specified with 'env_template' entries"
        problems.add(templates[0].origin, text)
        return
    if not templates:
        text = "must specify at least one 'env_template' element with a top-level 'exec' element"
        problems.add(execute.origin, text)
        return
    for name in ("api_proxy", "template"):
        if top.all(name):
            text = f"'{name}' cannot be specified with 'env_template' entries"
            problems.add(top.all(name)[0].origin, text)
    if "command" not in execute.values or execute.get("command") == []:
        problems.add(execute.origin, "'exec' requires a non-empty 'command' field")
    if execute.text("restart_on_secret_changes") not in ("", "always", "never"):
        origin = execute.origin_of("restart_on_secret_changes")
        problems.add(origin, '\'exec.restart_on_secret_changes\' needs to be "always" or "never"')
    for template in templates:
        _check_env_template(template, problems)
    _check_names(templates, problems)


def _check_env_template(template: Written, problems: Problems) -> None:
    name, origin = f"env_template[{_shown(template.label)}]", template.origin
    if not template.label:
        problems.add(origin, "env_template: an environment variable name is required")
        return
    given = [key for key in ("source", "contents") if key in template.values]
    if not given:
        problems.add(origin, f"{name}: either 'contents' or 'source' must be specified")
    elif len(given) == 2:
        text = f"{name}: 'contents' and 'source' cannot be specified together"
        problems.add(origin, text)
    for key in _FOR_FILES:
        if key in template.values or key in template.blocks:
            _not_allowed(name, key, template.origin_of(key), problems)


def _not_allowed(name: str, key: str, origin: Origin, problems: Problems) -> None:
    problems.add(origin, f"{name}: '{key}' is not allowed")


def _check_names(templates: list[Written], problems: Problems) -> None:
    counts = Counter(template.label for template in templates)
    for template in templates[::-1]:
        if template.label and counts[template.label] > 1:
            counts[template.label] -= 1
            text = f'env_template: duplicate environment variable name: "{_shown(template.label)}"'
            problems.add(template.origin, text)


def _shown(name: str) -> str:
    """Return the name of a variable, unless it looks like something else."""
    return name if name.isidentifier() and len(name) <= 60 else "?"
