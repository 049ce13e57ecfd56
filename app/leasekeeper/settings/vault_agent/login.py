"""What `auto_auth` means: how to log in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings import environment
from leasekeeper.settings.vault_agent import rules, schema
from leasekeeper.settings.vault_agent.target import AGENT_DEFAULT, Target

if TYPE_CHECKING:
    from leasekeeper.settings.draft import Path
    from leasekeeper.settings.vault_agent.stanzas import Written

_DEFAULT_REGION = "us-east-1"
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
# What the agent waits at most between two logins, and ours when nothing is said.
_LONGEST_BACKOFF_S, _OUR_LONGEST_BACKOFF_S = 300.0, 60.0
# What the agent removes after reading unless it is told not to, by the key of the file.
_REMOVED = {
    "secret_id_file_path": "remove_secret_id_file_after_reading",
    "path": "remove_jwt_after_reading",
    "password_file_path": "remove_password_after_reading",
}
_OF_SECRET_ID = ("remove_secret_id_file_after_reading", "secret_id_response_wrapping_path")
_OF_IAM = ("header_value", "access_key", "secret_key", "session_token")


def put_login(top: Written, target: Target) -> None:
    """Put the `auth` section."""
    method = rules.method_of(top)
    if method is None:
        return
    if method.type not in schema.METHODS:
        _refuse(method, target)
        return
    config = method.one("config")
    if config is None and method.type != "cert":
        text = "empty config data; a config { ... } with the keys of the method is needed"
        target.notes.problems.add(method.origin, text, ("auth",))
        return
    target.put(("auth", "method"), method.type, method.origin)
    target.put_plain(method, but=("type", "namespace"))
    _put_namespace(top, method, target)
    shortest = method.get("min_backoff")
    if isinstance(shortest, float) and shortest > _OUR_LONGEST_BACKOFF_S:
        longest = method.get("max_backoff") or _LONGEST_BACKOFF_S
        target.put(("auth", "max_backoff"), longest, AGENT_DEFAULT)
    if config is not None and method.type == "aws":
        _put_aws(config, target)
    elif config is not None:
        _put_config(method.type, config, target)


def _refuse(method: Written, target: Target) -> None:
    known = ", ".join(f'"{name}"' for name in schema.METHODS)
    if method.type in schema.OTHER_METHODS:
        text = f'auto_auth.method: "{method.type}" is not supported; known are {known}'
        target.notes.problems.add(method.origin, text)
    elif method.type:
        target.notes.problems.add(method.origin, f"unknown auth method; known are {known}")


def _put_namespace(top: Written, method: Written, target: Target) -> None:
    """The method's namespace is everybody's, because the agent has one client for all."""
    vault, namespace = top.one("vault"), method.text("namespace")
    if vault is not None and (one := vault.text("namespace")):
        if namespace.strip("/") not in ("", one.strip("/")):
            text = "auto_auth.method.namespace: has no effect, because vault.namespace is given"
            target.notes.warn(method.origin_of("namespace"), text)
    elif namespace:
        target.put(("vault", "namespace"), namespace, method.origin_of("namespace"))


def _put_config(kind: str, config: Written, target: Target) -> None:
    for file, removed in _REMOVED.items():
        if removed in config.schema.keys and config.text(file):
            target.put(("auth", removed), True, AGENT_DEFAULT)
    without_secret_id = kind == "approle" and not config.text("secret_id_file_path")
    target.put_plain(config, but=_OF_SECRET_ID if without_secret_id else ())
    if kind == "approle" and "role_id_file_path" not in config.values:
        text = f"{config.path}: missing 'role_id_file_path' value"
        target.notes.problems.add(config.origin, text)
        target.notes.problems.settle(("auth",))


def _put_aws(config: Written, target: Target) -> None:
    kind = config.text("type")
    if kind not in ("iam", "ec2"):
        text = "'type' value is invalid" if kind else "missing 'type' value"
        target.notes.problems.add(config.origin_of("type"), f"{config.path}: {text}")
        kind = "iam"
    target.put(("auth", "method"), f"aws_{kind}", config.origin_of("type"))
    if kind == "ec2":
        target.put_plain(config, but=("type", "region", *_OF_IAM))
    else:
        target.put_plain(config, but=("type", "region", "nonce"))
        _put_region(config, ("auth", "sts_region"), target)


def _put_region(config: Written, path: Path, target: Target) -> None:
    if region := config.text("region"):
        target.put(path, region, config.origin_of("region"))
    elif "region" in config.values and (found := target.variables.first(*_REGION_VARIABLES)):
        name, region = found
        target.put(path, region, environment.origin(name))
    else:
        target.put(path, _DEFAULT_REGION, AGENT_DEFAULT)
