"""What `check --online` finds once it is logged in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from leasekeeper.commands.check import Finding, bad, good, warn
from leasekeeper.commands.policy import Rule, own_rules, secret_rules
from leasekeeper.commands.running import span
from leasekeeper.errors import EXIT_SECRET, AgentError, Problem, VaultDenied, VaultError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.vault.client import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leasekeeper.commands.session import Drawn, Session
    from leasekeeper.settings.model import Settings, VaultSection

_CLOCK_TOLERANCE_S = 60.0
_CHECK = "sys/capabilities-self"


def login(settings: Settings, session: Session) -> Finding:
    """Say who we are to Vault."""
    auth = session.auth
    life = span(auth.lease_duration_s) if auth.lease_duration_s else "ever"
    policies = ", ".join(auth.token_policies or auth.policies) or "none"
    return good("login", f"{settings.auth.method}: a token for {life}, policies {policies}")


def clock(offset_s: float | None) -> Finding:
    """Say how far our clock is from Vault's."""
    if offset_s is None:
        return warn("clock", "Vault did not tell the time, so it could not be compared")
    text = f"{abs(offset_s):.0f} s {'behind' if offset_s > 0 else 'ahead of'} Vault's"
    if abs(offset_s) <= _CLOCK_TOLERANCE_S:
        return good("clock", f"agrees with Vault's to {max(abs(offset_s), 1):.0f} s")
    return warn("clock", Problem(text, "LK-AUTH-005").coded, "set the clock of the host by NTP")


async def policy_findings(
    session: Session, settings: Settings, drawn: Sequence[Drawn]
) -> list[Finding]:
    """Compare what the policies allow with what is needed; the HCL to add is in the findings."""
    users: dict[SecretRequest, list[str]] = {}
    for one in drawn:
        for request in one.used:
            users.setdefault(request, []).append(one.label)
    ordered = dict(sorted(users.items(), key=lambda item: item[0].name))
    mounts = {await session.mount_of(request) for request in ordered}
    known = [mount for mount in mounts if mount is not None and mount.engine in ("kv", "generic")]
    rules = [rule for rule in secret_rules(ordered, _longest_first(known)) if "+" not in rule.path]
    own = [rule for rule in own_rules(settings) if rule.path != _CHECK]
    try:
        allowed = await _capabilities(session, [rule.path for rule in (*rules, *own)])
    except VaultError as error:
        hint = f"the policy has to allow update on {_CHECK}, as Vault's policy `default` does"
        return [warn("policy", f"could not be asked: {error.message}", hint)]
    found = [_compared(rule, allowed) for rule in rules]
    lacking = [rule for rule in own if not _is_enough(rule, allowed)]
    if lacking:
        names = ", ".join(rule.path for rule in lacking)
        found.append(warn("policy", f"not allowed: {names}", _to_add(lacking)))
    return found


def _longest_first(mounts: list[Mount]) -> list[Mount]:
    return sorted(mounts, key=lambda mount: -len(mount.path))


async def _capabilities(session: Session, paths: list[str]) -> Mapping[str, frozenset[str]]:
    answer = await session.client.write(_CHECK, {"paths": paths})
    data: dict[str, Any] = answer.data or {}
    return {path: frozenset(map(str, data.get(path) or ())) for path in paths}


def _is_enough(rule: Rule, allowed: Mapping[str, frozenset[str]]) -> bool:
    # Of create and update a write needs one, and only Vault knows which.
    return bool(allowed[rule.path] & {*rule.capabilities, "root"})


def _compared(rule: Rule, allowed: Mapping[str, frozenset[str]]) -> Finding:
    needed = " or ".join(rule.capabilities)
    if _is_enough(rule, allowed):
        return good("policy", f"{rule.path}: {needed}")
    has = ", ".join(sorted(allowed[rule.path])) or "nothing"
    error = Problem(f"{rule.path}: needs {needed}, has {has}", VaultDenied.code)
    return Finding(
        word="FAIL",
        about="policy",
        text=error.coded,
        exit_code=EXIT_SECRET,
        more=_to_add([rule]),
    )


def _to_add(rules: Sequence[Rule]) -> str:
    return "add to a policy of the role:\n" + "".join(rule.hcl for rule in rules)


def drawn_findings(session: Session, drawn: Sequence[Drawn]) -> list[Finding]:
    """Say which secrets are not there, and which outputs cannot be rendered."""
    found = [
        bad("secret", error)
        for error in session.errors.values()
        if not isinstance(error, VaultDenied)  # the policy has been told above
    ]
    for one in drawn:
        if one.error is not None:
            found.append(bad("output", one.error, where=f"{one.label}: "))
        elif one.text is not None:
            made_up = sorted(r.name for r in one.used & session.not_asked)
            how = f", {', '.join(made_up)} with made-up values" if made_up else ""
            found.append(good("output", f"{one.label} renders{how}"))
    return found


def about_certificates(vault: VaultSection, error: AgentError) -> str:
    """Return what vault.ca_file itself says about a certificate that has ended."""
    if error.code != "LK-TLS-002" or vault.ca_file is None:
        return ""
    from cryptography import x509

    try:
        with open(vault.ca_file, "rb") as file:
            authorities = x509.load_pem_x509_certificates(file.read())
    except (OSError, ValueError):
        return ""
    now = datetime.now(UTC)
    return "".join(
        f"{vault.ca_file}: {one.subject.rfc4514_string()} ended at {one.not_valid_after_utc}\n"
        for one in authorities
        if one.not_valid_after_utc < now
    )
