"""What Vault's refusals of a login mean, and how to mend them.

Vault answers a refused login with a sentence, and for AWS with what STS said to it. Most of these
sentences name the symptom only. `explain` finds the cause in the tables of `known_refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from leasekeeper.errors import LoginDenied, VaultError, VaultUnavailable
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.known_refusals import ANY, METHODS

if TYPE_CHECKING:
    from leasekeeper.tokens.method import LoginClient


MethodName = Literal[
    "aws_iam", "aws_ec2", "approle", "jwt", "kubernetes", "cert", "ldap", "token_file"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginContext:
    """What was tried; nothing of it is secret. *login* reads ``login of role "web" at "auth/aws"``.

    *caller* is the ARN that the credentials belong to, where known. *clock_offset_s* is Vault's
    clock minus ours.
    """

    method: MethodName
    login: str
    mount: str
    namespace: str | None = None
    role: str = ""
    sts_region: str = ""
    sts_host: str = ""
    server_id: str = ""
    caller: str = ""
    clock_offset_s: float | None = None


def explain(error: VaultError, context: LoginContext) -> LoginDenied | VaultUnavailable:
    """Return what to raise for *error*, which Vault answered to a login: the cause and the fix.

    VaultUnavailable is for refusals in which nobody was judged: Vault did not get an answer from
    STS. Neither holds a signature, token or secret id, whatever Vault quotes in its answer.
    """
    said = "; ".join(error.errors)
    for known in (*METHODS[context.method], *ANY):
        if match := re.search(known.pattern, said):
            words = _words(context) | {k: v for k, v in match.groupdict().items() if v}
            meaning, mend = known.meaning.format_map(words), known.mend.format_map(words)
            if known.passing:
                passing = VaultUnavailable(
                    f"the {context.login} failed: {meaning}",
                    hint=mend,
                    operation="login",
                    path=f"auth/{context.mount}/login",
                    status=error.status,
                )
                passing.code = known.code
                return passing
            denied = _denied(context, error, meaning, mend)
            denied.code = known.code
            return denied
    quoted = f'"{without_secrets(said)}"' if said else "it does not say why"
    return _denied(context, error, quoted, "the server's log and audit log may say more")


@contextmanager
def refusals_explained(client: LoginClient, context: LoginContext) -> Iterator[None]:
    """Raise what `explain` says for a refusal in the block; VaultUnavailable passes, with what
    Vault said about what is behind it: Kubernetes, STS or an LDAP server.
    """
    try:
        yield
    except VaultUnavailable as error:
        said = without_secrets("; ".join(error.errors))
        if said and said not in error.message:
            error.message = f"{error.message} {said}"
        raise
    except VaultError as error:
        measured = replace(context, clock_offset_s=client.clock_offset_s)
        # Without the cause: it quotes Vault, which may quote a secret id or a signature.
        raise explain(error, measured) from None


def _denied(context: LoginContext, error: VaultError, meaning: str, mend: str) -> LoginDenied:
    who = f" as {context.caller}" if context.caller else ""
    return LoginDenied(
        f"Vault refused the {context.login}{who} ({error.status}): {meaning}",
        hint=mend,
        status=error.status,
    )


def _words(context: LoginContext) -> dict[str, str]:
    namespace = f' in namespace "{context.namespace}"' if context.namespace else ""
    return {
        "mount": context.mount,
        "role": context.role,
        "at": context.role,
        "sts_region": context.sts_region,
        "sts_host": context.sts_host,
        "server_id": context.server_id,
        "namespace_too": namespace or " and the namespace",
        "clock": _clock(context.clock_offset_s),
    }


def _clock(offset_s: float | None) -> str:
    if offset_s is None:
        return "Vault did not tell the time, so the clock could not be compared"
    side = "behind" if offset_s > 0 else "ahead of"
    return f"by Vault's Date header this task's clock is {abs(offset_s):.0f} s {side} Vault's"


# STS shows the whole request, session token included, when it cannot verify it.
_FROM_HERE_ON = re.compile(r"\s*(?:The Canonical String|The String-to-Sign).*", re.DOTALL)
_LONG_RUNS = re.compile(r"[A-Za-z0-9+/=]{60,}|[A-Za-z0-9+=_-]{30,}")
_QUOTED_AT_MOST = 300


def without_secrets(text: str) -> str:
    """Return the beginning of *text* without what is, or looks like, a key, token or signature."""
    text = _LONG_RUNS.sub("[...]", _FROM_HERE_ON.sub("", redactor.redact(text)))
    text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    return text if len(text) <= _QUOTED_AT_MOST else text[:_QUOTED_AT_MOST] + "..."
