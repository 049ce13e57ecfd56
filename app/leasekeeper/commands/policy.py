"""``leasekeeper policy``: the least that Vault has to allow for this configuration, as HCL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leasekeeper.commands.configuration import add_configuration, command_parser, configured
from leasekeeper.commands.pretending import MADE_UP, Pretence, pretend_all, users_of
from leasekeeper.errors import EXIT_DONE
from leasekeeper.secrets.mounts import api_path
from leasekeeper.secrets.request import Operation, SecretRequest
from leasekeeper.settings.model import Settings
from leasekeeper.vault.client import Mount

_DESCRIPTION = """\
Print a policy with exactly what this configuration needs of Vault. Templates are read, and rendered
with made-up values to find the paths that they build; Vault is not asked.

A path without data/ may be one of KV version 2, which only Vault knows: both forms are printed
then. --kv2 and --kv1 say which mount is what.
"""
_EXAMPLES = """\
  leasekeeper policy -c leasekeeper.yaml | vault policy write product -
  leasekeeper policy --kv2 secret -c leasekeeper.yaml
  leasekeeper policy --vault-agent agent.hcl
"""
_CAPABILITIES = {
    Operation.READ: ("read",),
    # Which of the two depends on whether Vault sees something new.
    Operation.WRITE: ("create", "update"),
    Operation.LIST: ("list",),
}
_BUILT_IN = frozenset({"auth", "cubbyhole", "identity", "sys"})
# What stands behind the mount in paths of engines that are not KV.
_NOT_KV = frozenset(
    (
        *("creds", "static-creds", "issue", "sign", "data", "metadata", "subkeys", "sts", "cert"),
        *("encrypt", "decrypt", "hmac", "export", "code", "token"),
    )
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One path, what is needed on it, and why."""

    path: str
    capabilities: tuple[str, ...]
    why: str = ""

    @property
    def hcl(self) -> str:
        """The rule as it stands in a policy."""
        listed = ", ".join(f'"{name}"' for name in self.capabilities)
        # Vault's own escapes: a quote or a backslash would end the text, ${ begins another.
        path = self.path.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
        why = "".join(f"# {line}\n" for line in self.why.splitlines())
        return f'{why}path "{path}" {{\n  capabilities = [{listed}]\n}}\n'


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("policy", _DESCRIPTION, _EXAMPLES)
    add_configuration(parser)
    for flag, words in (("--kv1", "version 1"), ("--kv2", "version 2")):
        parser.add_argument(
            flag, action="append", default=[], metavar="MOUNT", help=f"a mount of KV {words}"
        )
    return parser


def main(arguments: list[str]) -> int:
    """Print the policy."""
    options = parser().parse_args(arguments)
    chosen = configured(options)
    pretences = pretend_all(chosen.settings, chosen.dialect)
    sys.stdout.write(policy(chosen.settings, pretences, _mounts(options)))
    for one in pretences:
        if one.error is not None:
            sys.stderr.write(
                f"leasekeeper: {one.label}: rendering it with made-up values failed, so paths that "
                f"it builds may be missing: {one.error.coded}\n"
            )
    return EXIT_DONE


def _mounts(options: argparse.Namespace) -> list[Mount]:
    return [
        Mount(f"{name.strip('/')}/", "kv", version)
        for version, names in ((1, options.kv1), (2, options.kv2))
        for name in names
    ]


def policy(settings: Settings, pretences: list[Pretence], mounts: Iterable[Mount] = ()) -> str:
    """Return the whole policy."""
    head = "# What Leasekeeper needs for this configuration; made by `leasekeeper policy`.\n"
    if settings.vault.namespace:
        head += f"# Write it in the namespace {settings.vault.namespace!r}.\n"
    rules = merged(secret_rules(users_of(pretences), list(mounts)))
    common = "# Token and leases. Vault's policy `default` allows most of these already.\n"
    own = "".join(rule.hcl for rule in own_rules(settings))
    return "\n".join([head, *(rule.hcl for rule in rules), common + own])


def secret_rules(users: Mapping[SecretRequest, list[str]], mounts: list[Mount]) -> list[Rule]:
    """Return a rule for each path that templates ask for; where that is unsure, for both forms."""
    rules = []
    for request, labels in users.items():
        capabilities = _CAPABILITIES[request.operation]
        why = f"for {', '.join(labels)}"
        for path, note in _paths(request, mounts):
            rules.append(Rule(path, capabilities, f"{why}{note}"))
    return rules


def _paths(request: SecretRequest, mounts: list[Mount]) -> Iterable[tuple[str, str]]:
    """Yield the paths of *request* in the API, each with what has to be said about it."""
    plain = request.path.partition("?")[0]
    path, note = _with_wildcards(plain)
    mount = next((mount for mount in mounts if f"{plain}/".startswith(mount.path)), None)
    if mount is not None:
        yield _with_wildcards(api_path(mount, request.operation, plain))[0], note
        return
    yield path, note
    first, _, rest = plain.partition("/")
    folders = rest.split("/")[: -1 if "/" in rest else None]
    if rest and first not in _BUILT_IN and _NOT_KV.isdisjoint(folders):
        guess = api_path(Mount(f"{first}/", "kv", 2), request.operation, plain)
        yield _with_wildcards(guess)[0], f"{note}\nonly if {first}/ is KV version 2"


def _with_wildcards(path: str) -> tuple[str, str]:
    """Return *path* with `+` for segments that a secret decides, and a remark about that."""
    segments = ["+" if MADE_UP in segment else segment for segment in path.split("/")]
    changed = "+" in segments and MADE_UP in path
    note = "\na secret decides what stands for each +: name the paths if you can" if changed else ""
    return "/".join(segments), note


def merged(rules: Iterable[Rule]) -> list[Rule]:
    """Return *rules* with one for each path, in order: of two for one path Vault takes the last."""
    found: dict[str, Rule] = {}
    for rule in rules:
        known = found.get(rule.path)
        if known is None:
            found[rule.path] = rule
            continue
        both = tuple(sorted({*known.capabilities, *rule.capabilities}))
        whys = dict.fromkeys((*known.why.splitlines(), *rule.why.splitlines()))
        found[rule.path] = Rule(rule.path, both, "\n".join(whys))
    return list(found.values())


def own_rules(settings: Settings) -> list[Rule]:
    """Return what is needed besides the secrets: for the token, the leases and the sinks."""
    rules = [
        Rule("auth/token/lookup-self", ("read",), "is the token still good?"),
        Rule("auth/token/renew-self", ("update",), "keep it alive"),
        Rule("sys/leases/lookup", ("update",), "was a lease revoked behind our back?"),
        Rule("sys/leases/renew", ("update",), "keep leases alive"),
        Rule("sys/capabilities-self", ("update",), "for `leasekeeper check --online`"),
        Rule("auth/token/revoke-self", ("update",), _why_revoke(settings)),
    ]
    if settings.state.path is not None:
        why = "end leases of the last run that nothing uses any more"
        rules.append(Rule("sys/leases/revoke", ("update",), why))
    if any(sink.wrap_ttl for sink in settings.sinks):
        rules.append(Rule("sys/wrapping/wrap", ("update",), "wrap the token for its reader"))
    return rules


def _why_revoke(settings: Settings) -> str:
    if settings.lifecycle.on_exit == "revoke":
        return "lifecycle.on_exit: revoke, and `check --online`"
    return "`check --online` revokes its own token"
