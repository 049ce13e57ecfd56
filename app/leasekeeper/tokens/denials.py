"""What Vault's refusals of a login mean, and how to mend them.

Vault answers a refused login with a sentence, and for AWS with what STS said to it. Most of these
sentences name the symptom only. `explain` finds the cause in a table; the texts are those of
Vault's and OpenBao's `aws` and `approle` methods and of AWS STS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from leasekeeper.errors import LoginDenied, VaultError, VaultUnavailable
from leasekeeper.telemetry.redaction import redactor

if TYPE_CHECKING:
    from leasekeeper.tokens.method import LoginClient


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginContext:
    """What was tried; nothing of it is secret. *login* reads ``login of role "web" at "auth/aws"``.

    *caller* is the ARN that the credentials belong to, where known. *clock_offset_s* is Vault's
    clock minus ours.
    """

    method: Literal["aws_iam", "approle", "token_file"]
    login: str
    mount: str
    namespace: str | None = None
    role: str = ""
    sts_region: str = ""
    sts_host: str = ""
    server_id: str = ""
    caller: str = ""
    clock_offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """One refusal. *meaning* and *mend* are format strings over the pattern's groups, the fields
    of the context and `_words`; *passing* means that trying again may help.
    """

    pattern: str
    meaning: str
    mend: str
    passing: bool = False


_SAME_REGION = (
    "Vault's configuration and auth.sts_region must name the same region: set auth.sts_region to "
    "the sts_region that `vault read auth/{mount}/config/client` shows, to `global` if it shows no "
    "sts_endpoint, or have Vault follow with `vault write auth/{mount}/config/client "
    "sts_region={sts_region} sts_endpoint=https://{sts_host}`"
)
_CLOCK = (
    "{clock}; set the clock of the host by NTP. Signatures are corrected by what was measured "
    "against Vault's clock, so if this stays, Vault's own clock is wrong"
)

# The first pattern that matches decides, so the particular come before the general: STS reports a
# wrong region and a wrong clock as SignatureDoesNotMatch too.
_AWS = (
    _Known(
        r"Credential should be scoped to a valid region",
        'Vault asks an STS that accepts no signature for region "{sts_region}"',
        _SAME_REGION,
    ),
    _Known(
        r"Signature expired: \w+ is now earlier than",
        "to STS the signature is too old: this task's clock is behind",
        _CLOCK,
    ),
    _Known(
        r"Signature not yet current: \w+ is still later than",
        "to STS the signature is from the future: this task's clock is ahead",
        _CLOCK,
    ),
    _Known(
        r"ExpiredToken|security token included in the request is expired",
        "STS says that the AWS credentials have expired",
        "they are read again for the next try; if it stays so, whatever provides them has stopped "
        "renewing them ({clock})",
    ),
    _Known(
        r"InvalidClientTokenId|security token included in the request is invalid",
        "STS does not know the AWS credentials",
        'they were signed for {sts_host} in "{sts_region}": check that this is the partition of '
        "the account (China and GovCloud have their own), that the region is enabled in it, and "
        "that AWS_SESSION_TOKEN belongs to AWS_ACCESS_KEY_ID; a role that was deleted and made "
        "again gives this too",
    ),
    _Known(
        r"SignatureDoesNotMatch|signature we calculated does not match",
        "STS does not accept the signature",
        "either the AWS secret key is wrong, or Vault sends the request to another STS than "
        '{sts_host} ("{sts_region}"). ' + _SAME_REGION,
    ),
    _Known(
        r"missing header \"X-Vault-AWS-IAM-Server-ID\"",
        "Vault insists on the header X-Vault-AWS-IAM-Server-ID",
        "set auth.server_id to the iam_server_id_header_value of auth/{mount}/config/client",
    ),
    _Known(
        r"X-Vault-AWS-IAM-Server-ID header: expected \"(?P<expected>[^\"]*)\" but got",
        'this is not the Vault that auth.server_id "{server_id}" names',
        'Vault expects "{expected}": set auth.server_id to it, or correct vault.address',
    ),
    _Known(
        r"vault header wasn't signed|missing Authorization header",
        "something between Leasekeeper and Vault has changed the signed headers",
        "look for a proxy that rewrites requests to auth/{mount}/login",
    ),
    _Known(
        r"invalid request header: (?P<header>[\w-]+)",
        "Vault does not allow the signed header {header}",
        "vault write auth/{mount}/config/client allowed_sts_header_values={header}",
    ),
    _Known(
        r"IAM Principal \"(?P<arn>[^\"]+)\" does not belong to the role \"(?P<at>[^\"]+)\"",
        '"{arn}" is not bound to the role "{at}"',
        "compare it with bound_iam_principal_arn of `vault read auth/{mount}/role/{at}`. The usual "
        "causes: the ARN bound there is another account's or role's (write arn:aws:iam::ACCOUNT:"
        "role/NAME, without the role's path); the execution role is bound instead of the task "
        "role; the role was deleted and made again, so bind it again; the task definition has no "
        "taskRoleArn, so the instance's role is used",
    ),
    _Known(
        r"auth method iam not allowed for role",
        'the role "{role}" is not for IAM logins',
        "vault write auth/{mount}/role/{role} auth_type=iam",
    ),
    _Known(
        r"error looking up full ARN of entity|error fetching (?:role|user) ",
        "Vault may not look up the caller in IAM, as a wildcard in bound_iam_principal_arn needs",
        "give Vault's own AWS identity iam:GetRole and iam:GetUser, or bind the ARN in full",
    ),
    _Known(
        r"received error code 5\d\d from STS|Throttling|error making request: ",
        "Vault could not reach STS, or STS was not able to answer",
        "it is tried again; if it stays so, check Vault's way to its sts_endpoint",
        passing=True,
    ),
    _Known(
        r"body of GetCallerIdentity is invalid|error parsing STS response",
        "what answers at Vault's sts_endpoint is not STS",
        "check sts_endpoint in `vault read auth/{mount}/config/client`",
    ),
)
_APPROLE = (
    _Known(
        r"invalid role or secret ID|invalid role_?id|invalid secret_?id",
        "the role id or the secret id is wrong, or the secret id is used up or has expired",
        "provide a new secret id: vault write -f auth/{mount}/role/NAME/secret-id",
    ),
    _Known(
        r"missing secret_?id",
        "the role asks for a secret id as well",
        "set auth.secret_id_file, or bind_secret_id=false on the role",
    ),
)
_TOKEN_FILE = (
    _Known(
        r"permission denied|bad token|invalid token",
        "the token is not valid, or not any more",
        "write a valid token to auth.token_file; it is read again for every try. A policy without "
        "read on auth/token/lookup-self gives this too",
    ),
)
_METHODS = {"aws_iam": _AWS, "approle": _APPROLE, "token_file": _TOKEN_FILE}
_ANY = (
    _Known(
        r"entry for role \"?[^\" ]+\"? not found",
        'Vault has no role "{role}" at "auth/{mount}"',
        "check auth.role, auth.mount{namespace_too} with `vault list auth/{mount}/role`",
    ),
    _Known(
        r"source address \"(?P<address>[^\"]+)\" (?:is )?unauthorized",
        "the role does not allow logins from {address}",
        "compare it with the role's bound CIDRs; behind a NAT or a load balancer it is that one's "
        "address that Vault sees",
    ),
    _Known(
        r"no handler for route|unsupported (?:path|operation)|route entry not found",
        'there is no such auth method at "auth/{mount}"',
        "check auth.mount{namespace_too} with `vault auth list`",
    ),
    _Known(
        r"namespace not (?:found|authorized)|no namespace",
        "Vault has no such namespace",
        "check vault.namespace and auth.namespace",
    ),
    _Known(
        r"permission denied",
        "Vault does not say why",
        'usually nothing is mounted at "auth/{mount}"{namespace_too}, or the role\'s '
        "token_bound_cidrs do not hold this task's address; the server's log tells",
    ),
)


def explain(error: VaultError, context: LoginContext) -> LoginDenied | VaultUnavailable:
    """Return what to raise for *error*, which Vault answered to a login: the cause and the fix.

    VaultUnavailable is for refusals in which nobody was judged: Vault did not get an answer from
    STS. Neither holds a signature, token or secret id, whatever Vault quotes in its answer.
    """
    said = "; ".join(error.errors)
    for known in (*_METHODS[context.method], *_ANY):
        if match := re.search(known.pattern, said):
            words = _words(context) | {k: v for k, v in match.groupdict().items() if v}
            meaning, mend = known.meaning.format_map(words), known.mend.format_map(words)
            if known.passing:
                return VaultUnavailable(
                    f"the {context.login} failed: {meaning}",
                    hint=mend,
                    operation="login",
                    path=f"auth/{context.mount}/login",
                    status=error.status,
                )
            return _denied(context, error, meaning, mend)
    quoted = f'"{without_secrets(said)}"' if said else "it does not say why"
    return _denied(context, error, quoted, "the server's log and audit log may say more")


@contextmanager
def refusals_explained(client: LoginClient, context: LoginContext) -> Iterator[None]:
    """Raise what `explain` says for a refusal in the block; VaultUnavailable passes as it is."""
    try:
        yield
    except VaultUnavailable:
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
