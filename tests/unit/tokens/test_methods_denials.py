"""Vault's own sentences, and what we make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from leasekeeper.errors import (
    LoginDenied,
    VaultDenied,
    VaultError,
    VaultRejected,
    VaultUnavailable,
)
from leasekeeper.tokens.denials import LoginContext, explain, refusals_explained, without_secrets

CONTEXT = LoginContext(
    method="aws_iam",
    login='login of role "web" at "auth/aws"',
    mount="aws",
    role="web",
    sts_region="eu-west-1",
    sts_host="sts.eu-west-1.amazonaws.com",
    server_id="vault.example.com",
    clock_offset_s=0.4,
)


def from_sts(code: str, message: str, status: int = 403) -> str:
    """What Vault says when STS refuses the request that it passed on."""
    return (
        f"error making upstream request: received error code {status} from STS: "
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n'
        f"    <Type>Sender</Type>\n    <Code>{code}</Code>\n    <Message>{message}</Message>\n"
        "  </Error>\n  <RequestId>1e4e3999-cb3c-11e9-a3b7-9906bddec01b</RequestId>\n"
        "</ErrorResponse>\n"
    )


def denial(said: str, *, status: int = 400, context: LoginContext = CONTEXT) -> LoginDenied:
    kind = VaultDenied if status == 403 else VaultRejected
    explained = explain(kind("login: " + said, status=status, errors=(said,)), context)
    assert isinstance(explained, LoginDenied)
    assert explained.status == status
    return explained


@pytest.mark.parametrize(
    ("said", "meaning", "mend"),
    [
        (
            from_sts(
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region, not 'eu-west-1'. ",
            ),
            'accepts no signature for region "eu-west-1"',
            "sts_region=eu-west-1 sts_endpoint=https://sts.eu-west-1.amazonaws.com",
        ),
        (
            from_sts("SignatureDoesNotMatch", "Credential should be scoped to a valid region. "),
            'accepts no signature for region "eu-west-1"',
            "set auth.sts_region to the sts_region that `vault read auth/aws/config/client` shows",
        ),
        (
            from_sts(
                "SignatureDoesNotMatch",
                "Signature expired: 20221005T132736Z is now earlier than 20221006T041807Z "
                "(20221006T043307Z - 15 min.)",
            ),
            "clock is behind",
            "NTP",
        ),
        (
            from_sts(
                "SignatureDoesNotMatch",
                "Signature not yet current: 20221006T050000Z is still later than "
                "20221006T044807Z (20221006T043307Z + 15 min.)",
            ),
            "clock is ahead",
            "NTP",
        ),
        (
            from_sts(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method. Consult the service "
                "documentation for details.",
            ),
            "STS does not accept the signature",
            'another STS than sts.eu-west-1.amazonaws.com ("eu-west-1")',
        ),
        (
            from_sts(
                "InvalidClientTokenId", "The security token included in the request is invalid."
            ),
            "STS does not know the AWS credentials",
            "partition",
        ),
        (
            from_sts("ExpiredToken", "The security token included in the request is expired"),
            "credentials have expired",
            "read again",
        ),
        (
            (
                "error validating X-Vault-AWS-IAM-Server-ID header: missing header "
                '"X-Vault-AWS-IAM-Server-ID"'
            ),
            "insists on the header",
            "set auth.server_id",
        ),
        (
            (
                "error validating X-Vault-AWS-IAM-Server-ID header: expected "
                '"vault.corp" but got "vault.example.com"'
            ),
            'not the Vault that auth.server_id "vault.example.com" names',
            'expects "vault.corp"',
        ),
        (
            "error validating X-Vault-AWS-IAM-Server-ID header: vault header wasn't signed",
            "changed the signed headers",
            "proxy",
        ),
        (
            "invalid request header: X-Amz-Trace-Id",
            "does not allow the signed header X-Amz-Trace-Id",
            "allowed_sts_header_values=X-Amz-Trace-Id",
        ),
        (
            (
                'IAM Principal "arn:aws:sts::123456789012:assumed-role/exec/abc" does not belong '
                'to the role "web"'
            ),
            '"arn:aws:sts::123456789012:assumed-role/exec/abc" is not bound to the role "web"',
            "`vault read auth/aws/role/web`",
        ),
        ("entry for role web not found", 'no role "web"', "vault list auth/aws/role"),
        ('entry for role "web" not found', 'no role "web"', "auth.role, auth.mount"),
        ("auth method iam not allowed for role web", "not for IAM", "auth_type=iam"),
        (
            (
                "error looking up full ARN of entity &{aws 123456789012 assumed-role  task abc} "
                'when attempting login for role "web": error fetching role "task": AccessDenied'
            ),
            "may not look up the caller",
            "iam:GetRole",
        ),
        (
            "error making upstream request: body of GetCallerIdentity is invalid",
            "is not STS",
            "sts_endpoint",
        ),
        (
            'source address "10.0.0.7" unauthorized through CIDR restrictions on the secret ID',
            "does not allow logins from 10.0.0.7",
            "CIDRs",
        ),
        (
            'no handler for route "auth/aws/login". route entry not found.',
            'no such auth method at "auth/aws"',
            "vault auth list",
        ),
        ("namespace not found", "no such namespace", "vault.namespace"),
    ],
)
def test_a_refusal_names_its_cause_and_how_to_mend_it(said: str, meaning: str, mend: str) -> None:
    refused = denial(said)

    assert refused.message.startswith('Vault refused the login of role "web" at "auth/aws" (400): ')
    assert meaning in refused.message
    assert mend in str(refused.hint)


@pytest.mark.parametrize(
    ("method", "said", "meaning", "mend"),
    [
        ("approle", "invalid role or secret ID", "role id or the secret id is wrong", "secret-id"),
        ("approle", "invalid role_id", "the role id or the secret id is wrong", "secret-id"),
        ("approle", "missing secret_id", "asks for a secret id", "secret_id_file"),
        ("approle", "permission denied", "does not say why", "mounted"),
        ("token_file", "permission denied", "the token is not valid", "auth.token_file"),
        (
            "token_file",
            "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
            "the token is not valid",
            "auth.token_file",
        ),
    ],
)
def test_each_method_has_refusals_of_its_own(
    method: Literal["approle", "token_file"], said: str, meaning: str, mend: str
) -> None:
    context = LoginContext(method=method, login="login", mount="team")

    refused = denial(said, status=403, context=context)

    assert meaning in refused.message
    assert mend in str(refused.hint)


def test_the_measured_clock_is_told_with_a_clock_error() -> None:
    said = from_sts("SignatureDoesNotMatch", "Signature expired: 2026T is now earlier than 2027T")
    measured = LoginContext(method="aws_iam", login="login", mount="aws", clock_offset_s=1234.4)
    ahead = LoginContext(method="aws_iam", login="login", mount="aws", clock_offset_s=-99.6)
    unknown = LoginContext(method="aws_iam", login="login", mount="aws")

    assert "this task's clock is 1234 s behind Vault's" in str(denial(said, context=measured).hint)
    assert "this task's clock is 100 s ahead of Vault's" in str(denial(said, context=ahead).hint)
    assert "could not be compared" in str(denial(said, context=unknown).hint)


def test_a_bare_permission_denied_leads_to_mount_and_namespace() -> None:
    context = LoginContext(method="aws_iam", login="login", mount="typo", namespace="admin/team")

    refused = denial("permission denied", status=403, context=context)

    assert 'nothing is mounted at "auth/typo" in namespace "admin/team"' in str(refused.hint)


def test_the_callers_arn_is_in_the_message_when_it_is_known() -> None:
    context = LoginContext(
        method="aws_iam", login="login", mount="aws", role="web", caller="arn:aws:iam::1:role/x"
    )

    refused = denial("entry for role web not found", context=context)

    assert refused.message.startswith("Vault refused the login as arn:aws:iam::1:role/x (400): ")


@pytest.mark.parametrize(
    "said",
    [
        from_sts("InternalFailure", "", status=500),
        from_sts("Throttling", "Rate exceeded", status=400),
        (
            "error making upstream request: error making request: "
            'Post "https://sts.amazonaws.com/": dial tcp: i/o timeout'
        ),
    ],
)
def test_trouble_between_vault_and_sts_is_no_denial(said: str) -> None:
    explained = explain(VaultRejected("login", status=400, errors=(said,)), CONTEXT)

    assert isinstance(explained, VaultUnavailable)
    assert explained.retryable
    assert not explained.unreachable
    assert explained.path == "auth/aws/login"


def test_an_unknown_refusal_is_quoted_in_short() -> None:
    refused = denial("error validating instance: AMI ID does not belong to role " + "x " * 400)

    assert '"error validating instance: AMI ID does not belong' in refused.message
    assert len(refused.message) < 400


def test_a_refusal_without_words_says_so() -> None:
    explained = explain(VaultRejected("login", status=400), CONTEXT)

    assert explained.message.endswith("(400): it does not say why")


CANARIES = (
    "b6a1f0a2-2f3e-4a5d-9d69-0d7f6f2c9b11",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY0000000000000000000000000000000000",
    "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    "hvs.CAESIJlWh0rRAcanary0000000000000000000000000000",
)


@pytest.mark.parametrize(
    "said",
    [
        'invalid secret_id "b6a1f0a2-2f3e-4a5d-9d69-0d7f6f2c9b11"',
        'something new about "b6a1f0a2-2f3e-4a5d-9d69-0d7f6f2c9b11"',
        "something new, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        "something new: hvs.CAESIJlWh0rRAcanary0000000000000000000000000000",
        from_sts(
            "SomethingNew",
            "No.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n"
            "x-amz-security-token:short/parts/of/"
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY0000000000000000000000000000000000\n'",
        ),
    ],
)
def test_secrets_that_vault_quotes_are_not_passed_on(said: str) -> None:
    for method in ("aws_iam", "approle", "token_file"):
        refused = denial(said, context=replace(CONTEXT, method=method))

        for canary in CANARIES:
            assert canary not in f"{refused} {refused.hint}"
        assert "security-token" not in str(refused)


def test_plain_words_survive() -> None:
    text = 'role "product-api" is not allowed from arn:aws:iam::123456789012:role/product-api'

    assert without_secrets(text) == text


class Client:
    clock_offset_s = 700.0


def test_the_cause_of_a_denial_is_not_chained() -> None:
    """It quotes Vault word by word, and tracebacks show it."""
    said = from_sts("SignatureDoesNotMatch", "Signature expired: a is now earlier than b")
    with (
        pytest.raises(LoginDenied) as caught,
        refusals_explained(Client(), CONTEXT),  # type: ignore[arg-type]
    ):
        raise VaultRejected("canary", status=400, errors=(said,))

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "700 s behind" in str(caught.value.hint)


def test_an_unavailable_vault_stays_what_it_is() -> None:
    error = VaultUnavailable("connection refused")
    with (
        pytest.raises(VaultError) as caught,
        refusals_explained(Client(), CONTEXT),  # type: ignore[arg-type]
    ):
        raise error

    assert caught.value is error
