"""Every stanza and key of Vault Agent, and what becomes of it here: the one place that says so.

A key that Leasekeeper learns moves from `error` or `warning` to `same` or `better`, and `mapping`
gets what it needs; the table of `docs/migrating-from-vault-agent.md` follows.

*about* continues the name of the key in a message and in the table, and says what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from leasekeeper.settings.vault_agent import values
from leasekeeper.settings.vault_agent.kinds import (
    Stanza,
    Verdict,
    better,
    error,
    every,
    same,
    unused,
    warning,
)
from leasekeeper.settings.vault_agent.tree import Node


def _use_token(node: Node) -> bool:
    try:
        return str(values.text(node)).lower() == "force" or values.flag(node)
    except ValueError:
        return values.flag(node)


# -- vault ----------------------------------------------------------------------------------------

VAULT = Stanza(
    once='one and only one "vault" block is required',
    keys={
        "address": same("vault.address"),
        "namespace": same("vault.namespace"),
        "ca_cert": same("vault.ca_file"),
        "ca_path": same("vault.ca_path"),
        "client_cert": same("vault.client_cert_file"),
        "client_key": same("vault.client_key_file"),
        "tls_skip_verify": same("vault.tls_skip_verify", values.flag),
        "tls_server_name": same("vault.tls_server_name"),
    },
    stanzas={
        "retry": Stanza(
            once='one and only one "retry" block is required',
            keys={
                "num_retries": better(
                    "says for how long a start with exit_on_retry_failure goes on trying; otherwise"
                    " requests are tried again for as long as it makes sense, and what is valid"
                    " stays on disk meanwhile",
                    read=values.number,
                )
            },
        )
    },
)

# -- auto_auth ------------------------------------------------------------------------------------

_READ_AT_LOGIN = unused("is not needed: files and credentials are read when a login needs them")
_REMOVED = "is true when not given, as in Vault Agent"
METHODS: Mapping[str, Stanza] = {
    "aws": Stanza(
        keys={
            "type": same("auth.method", about="is `iam` or `ec2`"),
            "role": same("auth.role"),
            "region": replace(
                same(
                    "auth.sts_region",
                    about="is `us-east-1` (sts.amazonaws.com) when not given, as in Vault Agent;"
                    ' `""` means AWS_REGION or AWS_DEFAULT_REGION',
                ),
                keeps_empty=True,
            ),
            "header_value": same("auth.server_id"),
            "credential_poll_interval": _READ_AT_LOGIN,
            "access_key": same("auth.access_key"),
            "secret_key": same("auth.secret_key"),
            "session_token": same("auth.session_token"),
            "nonce": same("auth.nonce", about="belongs to type `ec2`"),
        }
    ),
    "approle": Stanza(
        keys={
            "role_id_file_path": same("auth.role_id_file"),
            "secret_id_file_path": same("auth.secret_id_file"),
            "remove_secret_id_file_after_reading": same(
                "auth.remove_secret_id_file_after_reading", values.flag, _REMOVED
            ),
            "secret_id_response_wrapping_path": same("auth.secret_id_response_wrapping_path"),
        }
    ),
    "cert": Stanza(
        keys={
            "name": same("auth.name"),
            "ca_cert": same("auth.ca_cert"),
            "client_cert": same("auth.client_cert"),
            "client_key": same("auth.client_key"),
            "reload": better(
                "is true when not given, so that a renewed certificate counts",
                "auth.reload",
                values.flag,
            ),
        }
    ),
    "jwt": Stanza(
        keys={
            "path": same("auth.path"),
            "role": same("auth.role"),
            "remove_jwt_after_reading": same(
                "auth.remove_jwt_after_reading", values.flag, _REMOVED
            ),
            "remove_jwt_follows_symlinks": same("auth.remove_jwt_follows_symlinks", values.flag),
            "jwt_read_period": _READ_AT_LOGIN,
        }
    ),
    "kubernetes": Stanza(
        keys={"role": same("auth.role"), "token_path": same("auth.token_path")},
    ),
    "ldap": Stanza(
        keys={
            "username": same("auth.username"),
            "password_file_path": same("auth.password_file_path"),
            "remove_password_after_reading": same(
                "auth.remove_password_after_reading", values.flag, _REMOVED
            ),
            "remove_password_follows_symlinks": same(
                "auth.remove_password_follows_symlinks", values.flag
            ),
            "password_read_period": _READ_AT_LOGIN,
        }
    ),
    "token_file": Stanza(keys={"token_file_path": same("auth.token_file")}),
}
# What Vault Agent has beyond that.
OTHER_METHODS = ("alicloud", "azure", "cf", "gcp", "kerberos", "oci", "pcf", "tpm")

_METHOD = Stanza(
    once='one and only one "method" block is required',
    labelled=True,
    keys={
        "type": same("auth.method"),
        "mount_path": same("auth.mount"),
        "namespace": same(
            "vault.namespace",
            about="counts for everything, as in Vault Agent, unless `vault.namespace` is given",
        ),
        "wrap_ttl": same(
            "auth.wrap_ttl",
            values.seconds,
            about="works without templates, and not with `cert`, `ldap` and `token_file`",
        ),
        "min_backoff": same("auth.min_backoff", values.seconds),
        "max_backoff": better(
            "is 1 minute when not given, not 5", "auth.max_backoff", values.seconds
        ),
        "exit_on_err": same("auth.exit_on_err", values.flag),
    },
    stanzas={
        "config": Stanza(
            merged=True,
            any_keys=True,
            by_type={**METHODS, **dict.fromkeys(OTHER_METHODS, Stanza(any_keys=True))},
        )
    },
)

_SINK_CONFIG = Stanza(
    merged=True,
    keys={
        "path": same("sinks.path", about="has its missing directories made"),
        "mode": same(
            "sinks.mode",
            values.mode,
            about="is exact: the umask takes no bits away. 0640 if not given",
        ),
        **every("owner uid", same("sinks.user", values.number)),
        **every("group gid", same("sinks.group", values.number)),
    },
)
SINK = Stanza(
    about="is written again when somebody deletes or changes the file",
    labelled=True,
    keys={
        "type": same(about="is `file`"),
        "wrap_ttl": same(
            "sinks.wrap_ttl", values.seconds, about="makes a new wrapping if the file is deleted"
        ),
        "dh_type": same("sinks.dh_type"),
        "dh_path": same(
            "sinks.dh_path", about="is read once; every envelope has a new key of the sender"
        ),
        "derive_key": same("sinks.derive_key", values.flag),
        "aad": same("sinks.aad"),
        "aad_env_var": same("sinks.aad_env_var", about="goes before `aad`"),
    },
    stanzas={"config": _SINK_CONFIG},
)
AUTO_AUTH = Stanza(
    once='at most one "auto_auth" block is allowed',
    keys={
        "enable_reauth_on_new_credentials": unused(
            "is not needed: every login asks for credentials"
        )
    },
    stanzas={
        "method": _METHOD,
        "sink": SINK,
        "sinks": Stanza(stanzas={"sink": SINK}, about="is another way to write `sink`"),
    },
)

# -- template -------------------------------------------------------------------------------------

_COMMANDS = {
    "command": same(
        "outputs.notify.command.command",
        values.command,
        about="runs after a new file; one text with blanks is for `sh -c`. A failure is tried"
        " again and costs nothing else",
    ),
}
_NO_SIGNALS = error("is not supported; Vault Agent cannot read it here either")
TEMPLATE_EXEC = Stanza(
    last_wins=True,
    strict=True,
    keys={
        **_COMMANDS,
        "timeout": same("outputs.notify.timeout", values.timeout, about="is 30s when not given"),
        "enabled": warning("has no effect; without `command` nothing runs"),
        "kill_timeout": warning("has no effect: a command that takes too long is killed at once"),
        "splay": warning("has no effect: commands run when the file is there"),
        "kill_signal": _NO_SIGNALS,
        "reload_signal": _NO_SIGNALS,
    },
    stanzas={
        "env": Stanza(
            verdict=Verdict.ERROR,
            about="is not supported, and Vault Agent cannot read it here either; begin the"
            " command with `env NAME=value`",
            any_keys=True,
        )
    },
)
_WAIT = "counts once everything has been rendered, as in Vault Agent; `max` is 4 times `min`"
TEMPLATE = Stanza(
    strict=True,
    keys={
        "source": same("outputs.template_file", about="is read once at start, as in Vault Agent"),
        "contents": same("outputs.template"),
        "destination": better(
            "is needed, and only one template can have it; Vault Agent fails while it runs",
            "outputs.destination",
            values.text,
        ),
        "create_dest_dirs": same("outputs.create_dest_dirs", values.flag),
        **_COMMANDS,
        "command_timeout": same("outputs.notify.timeout", values.timeout),
        "perms": better(
            "is restored when somebody changes it; a number that is not octal is an error. When not"
            " given, a file keeps its mode, and a new one has 0644, as in Vault Agent",
            "outputs.mode",
            values.perms,
        ),
        "user": better("is set before the file appears, not after", "outputs.user", values.text),
        "group": better("is set before the file appears, not after", "outputs.group", values.text),
        "uid": same("outputs.user", values.number),
        "gid": same("outputs.group", values.number),
        "backup": same(
            "outputs.backup",
            values.flag,
            about="the file before stays as `.bak`",
        ),
        "error_on_missing_key": same(
            "outputs.error_on_missing_key",
            values.flag,
            about="is false when not given, as in Vault Agent, with a warning; natively it is true",
        ),
        "error_fatal": better(
            "makes no difference: an error costs its own file and nothing else", read=values.flag
        ),
        "left_delimiter": same("outputs.left_delimiter"),
        "right_delimiter": same("outputs.right_delimiter"),
        "function_denylist": same("outputs.function_denylist", values.words),
        "function_blacklist": same("outputs.function_denylist", values.words),
        "sandbox_path": same("outputs.sandbox_path"),
        "wait": same("outputs.wait", values.wait, about=_WAIT),
    },
    stanzas={
        "exec": TEMPLATE_EXEC,
        "wait": Stanza(
            last_wins=True,
            strict=True,
            about=_WAIT,
            keys={
                "min": same("outputs.wait.min", values.timeout),
                "max": same("outputs.wait.max", values.timeout),
            },
        ),
    },
)
TEMPLATE_CONFIG = Stanza(
    once='at most one "template_config" block is allowed',
    keys={
        "exit_on_retry_failure": better(
            "ends a start that fails: after a second if time will not mend it, otherwise when the"
            " agent's tries would be over (5 minutes by default); later a failure costs its own"
            " file and turns health unhealthy when that expires",
            "lifecycle.retry_grace",
            values.flag,
        ),
        "static_secret_render_interval": better(
            "counts for KV v1 as well",
            "secrets.static_secret_render_interval",
            values.seconds,
        ),
        "max_connections_per_host": same("vault.max_connections", values.number),
        "lease_renewal_threshold": warning(
            "has no effect: leases that cannot be renewed are replaced after 85 to 95 % of their"
            " time"
        ),
    },
)

# -- process supervisor ---------------------------------------------------------------------------

_FOR_FILES = same(read=values.anything, about="is about files, and refused as by Vault Agent")
ENV_TEMPLATE = Stanza(
    about="is labelled with the name of the variable, which may not hold `=` or blanks here",
    labelled=True,
    strict=True,
    keys={
        "source": same("exec.env.template_file", about="is read once at start, as in Vault Agent"),
        "contents": same("exec.env.template"),
        "error_on_missing_key": same(
            "exec.env.error_on_missing_key",
            values.flag,
            about="is false when not given, as in Vault Agent, with a warning; natively it is true",
        ),
        "error_fatal": better(
            "makes no difference: a failing template is not tried again without a change, and the"
            " application goes on with the values that it has",
            read=values.flag,
        ),
        "left_delimiter": same("exec.env.left_delimiter"),
        "right_delimiter": same("exec.env.right_delimiter"),
        "function_denylist": same("exec.env.function_denylist", values.words),
        "function_blacklist": same("exec.env.function_denylist", values.words),
        **every(
            "backup command command_timeout create_dest_dirs destination gid group perms"
            " sandbox_path uid user wait",
            _FOR_FILES,
        ),
    },
    stanzas={name: Stanza(about=_FOR_FILES.about, any_keys=True) for name in ("exec", "wait")},
)
EXEC = Stanza(
    once='at most one "exec" block is allowed',
    strict=True,
    keys={
        "command": same(
            "exec.command",
            values.program,
            about="is a list; a single text with blanks in it is for `sh -c`",
        ),
        "restart_on_secret_changes": same("exec.restart_on_secret_changes"),
        "restart_stop_signal": same("exec.restart_stop_signal"),
        "child_process_stdout": same("exec.child_process_stdout"),
        "child_process_stderr": same("exec.child_process_stderr"),
    },
)

# -- cache, proxy, listener, telemetry ------------------------------------------------------------

CACHE = Stanza(
    once='one and only one "cache" block is required',
    about="is not needed: requests are shared here without it. It makes no proxy",
    keys={
        "use_auto_auth_token": unused("belongs to the proxy", _use_token),
        **every(
            "enforce_consistency when_inconsistent force_auto_auth_token"
            " disable_caching_dynamic_secrets cache_static_secrets",
            unused("belongs to the proxy"),
        ),
    },
    stanzas={
        "persist": Stanza(
            once='only one "persist" block is required',
            labelled=True,
            keys={
                "type": unused("the directory is all that counts", values.text),
                "path": better(
                    "is the directory of the state, which needs a key from the environment:"
                    " without `LEASEKEEPER_STATE__ENCRYPTION__KEY`, `..._KMS_KEY_ID` or `..._NONE`"
                    " it has no effect, with a warning",
                    to="state.path",
                    read=values.text,
                ),
                **every(
                    "keep_after_import exit_on_err service_account_token_file",
                    unused("belongs to Kubernetes"),
                ),
            },
        )
    },
)
API_PROXY = Stanza(
    verdict=Verdict.ERROR,
    about="is not supported: Leasekeeper is no proxy; use Vault Proxy",
    once='one and only one "api_proxy" block is required',
    keys={
        "use_auto_auth_token": same(read=_use_token),
        **every(
            "enforce_consistency when_inconsistent prepend_configured_namespace",
            unused("belongs to the proxy"),
        ),
    },
)
_OF_PROXIES = unused("belongs to listeners that proxy")
LISTENER = Stanza(
    labelled=True,
    about='needs `role = "metrics_only"`; without it the listener is a proxy for Vault\'s API,'
    " which is an error",
    keys={
        "type": same(read=values.one_of("tcp", "unix"), about="is `tcp` or `unix`"),
        "role": same(read=values.one_of("default", "metrics_only")),
        "address": better(
            "serves `/agent/v1/metrics`, `/metrics` and `/health`; without a plain TCP listener"
            " these are at `127.0.0.1:8210`",
            "web.listen",
            values.text,
        ),
        "tls_disable": same(
            read=values.flag, about="is needed where there is no certificate, as in Vault"
        ),
        "tls_cert_file": same("web.listeners.tls_cert_file"),
        "tls_key_file": same("web.listeners.tls_key_file"),
        **every(
            "tls_min_version tls_max_version tls_cipher_suites tls_disable_client_certs"
            " tls_require_and_verify_client_cert tls_client_ca_file tls_prefer_server_cipher_suites"
            " require_request_header socket_mode socket_user socket_group purpose"
            " cluster_address max_request_size max_request_duration"
            " proxy_protocol_behavior proxy_protocol_authorized_addrs"
            " x_forwarded_for_authorized_addrs x_forwarded_for_hop_skips"
            " x_forwarded_for_reject_not_present x_forwarded_for_reject_not_authorized"
            " http_read_timeout http_read_header_timeout http_write_timeout http_idle_timeout"
            " cors_enabled cors_allowed_origins cors_allowed_headers cors_allow_credentials",
            _OF_PROXIES,
        ),
    },
    stanzas={
        "agent_api": Stanza(
            last_wins=True,
            keys={
                "enable_quit": better(
                    "counts with this role too, where Vault Agent has no `/agent/v1/quit`",
                    "web.enable_quit",
                    values.flag,
                )
            },
        ),
        **dict.fromkeys(
            ("telemetry", "profiling", "inflight_requests_logging", "custom_response_headers"),
            Stanza(any_keys=True, verdict=Verdict.UNUSED, about="belongs to listeners that proxy"),
        ),
    },
)
_NOT_PUSHED = warning("has no effect: metrics are not sent anywhere; scrape `/metrics`")
TELEMETRY = Stanza(
    once="only one 'telemetry' block is permitted",
    keys={
        **every(
            "prometheus_retention_time disable_hostname enable_hostname_label metrics_prefix"
            " usage_gauge_period maximum_gauge_cardinality filter_default prefix_filter"
            " lease_metrics_epsilon num_lease_metrics_buckets add_lease_metrics_namespace_labels",
            unused("is not needed: `/metrics` is always there, with names of its own"),
        ),
        **every(
            "statsite_address statsd_address dogstatsd_addr circonus_api_token"
            " circonus_submission_url stackdriver_project_id",
            _NOT_PUSHED,
        ),
        **every(
            "dogstatsd_tags stackdriver_location stackdriver_namespace stackdriver_debug_logs"
            " circonus_api_app circonus_api_url circonus_submission_interval circonus_check_id"
            " circonus_check_force_metric_activation circonus_check_instance_id"
            " circonus_check_search_tag circonus_check_tags circonus_check_display_name"
            " circonus_broker_id circonus_broker_select_tag",
            unused("belongs to metrics that are sent somewhere"),
        ),
    },
)

# -- top level ------------------------------------------------------------------------------------

_CONNECTIONS = "is not needed: a handful of connections is all there is"
TOP = Stanza(
    keys={
        "exit_after_auth": same("lifecycle.exit_after_auth", values.flag),
        "pid_file": same("lifecycle.pid_file"),
        "log_level": same("log.level", values.level),
        "log_format": same(
            "log.format",
            values.log_format,
            about="is JSON when not given and no terminal is there to read it",
        ),
        "log_file": same(
            "log.file", about="gets a copy of the log; with a `/` at its end it is a directory"
        ),
        "log_rotate_duration": same("log.rotate_duration", values.seconds),
        "log_rotate_bytes": same("log.rotate_bytes", values.number),
        "log_rotate_max_files": same("log.rotate_max_files", values.number),
        "disable_idle_connections": unused(
            _CONNECTIONS, values.subsystems("disable_idle_connections")
        ),
        "disable_keep_alives": unused(_CONNECTIONS, values.subsystems("disable_keep_alives")),
        "cluster_name": unused("is not needed: metrics are told apart by who is asked for them"),
        "disable_mlock": unused("belongs to the server"),
        "default_max_request_duration": unused("belongs to the server"),
    },
    stanzas={
        "vault": VAULT,
        "auto_auth": AUTO_AUTH,
        "template": TEMPLATE,
        "template_config": TEMPLATE_CONFIG,
        "env_template": ENV_TEMPLATE,
        "exec": EXEC,
        "cache": CACHE,
        "api_proxy": API_PROXY,
        "listener": LISTENER,
        "telemetry": TELEMETRY,
        "pki_external_ca": Stanza(
            verdict=Verdict.ERROR, about="is not supported", labelled=True, any_keys=True
        ),
        "tpm_cert": Stanza(
            verdict=Verdict.ERROR, about="is not supported", labelled=True, any_keys=True
        ),
    },
)


def owners(key: str) -> Iterator[str]:
    """Yield the names of the blocks that have *key*."""
    for path, stanza in walk(TOP):
        if key in stanza.keys and path:
            yield path


def walk(stanza: Stanza, path: str = "") -> Iterator[tuple[str, Stanza]]:
    """Yield *stanza* and all below it, each with its path."""
    yield path, stanza
    for name, inner in stanza.stanzas.items():
        yield from walk(inner, f"{path}.{name}" if path else name)
        for kind, variant in inner.by_type.items():
            if not variant.any_keys:
                yield f"{path}.{name} ({kind})", variant
