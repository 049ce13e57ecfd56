"""Sentences of the auth methods that no server here can say, and what we make of them."""

from __future__ import annotations

from string import Formatter
from typing import get_args

import pytest

from leasekeeper.errors import LoginDenied, VaultRejected, VaultUnavailable
from leasekeeper.tokens.denials import LoginContext, MethodName, _words, explain, refusals_explained
from leasekeeper.tokens.known_refusals import ANY, METHODS, Known


def context(method: MethodName) -> LoginContext:
    login = f'login of role "web" at "auth/{method}"'
    return LoginContext(method=method, login=login, mount=method, role="web", clock_offset_s=2.0)


def explained(method: MethodName, said: str) -> LoginDenied | VaultUnavailable:
    return explain(VaultRejected("refused", status=400, errors=(said,)), context(method))


@pytest.mark.parametrize(
    ("method", "said", "meaning", "mend"),
    [
        (
            "aws_ec2",
            "client nonce mismatch and instance meta-data incorrect",
            "nonce",
            "auth.nonce",
        ),
        (
            "aws_ec2",
            'account ID "123456789012" does not belong to role "web"',
            "the account ID of the instance is not one",
            "auth/aws_ec2/role/web",
        ),
        (
            "aws_ec2",
            "error validating instance: UnauthorizedOperation: You are not authorized",
            "may not look the instance up",
            "ec2:DescribeInstances",
        ),
        ("kubernetes", "namespace not authorized", "Kubernetes namespace", "namespaces"),
        (
            "kubernetes",
            "lookup failed: service account unauthorized; this could mean it has been deleted",
            "does not accept the service account token",
            "mount a new token",
        ),
        ("kubernetes", 'claim "iss" is invalid', "another issuer", "auth/kubernetes/config"),
        ("kubernetes", "invalid audience (aud) claim: no match", "another audience", "audience"),
        ("kubernetes", 'invalid role name "web"', 'no role "web"', "auth.role"),
        ("jwt", 'role "web" could not be found', 'no role "web"', "auth.role"),
        ("jwt", "error validating token: token is expired", "has expired", "2 s behind"),
        ("jwt", "role with oidc role_type is not allowed", "in a browser", "role_type=jwt"),
        ("cert", "no client certificate found", "has seen no client certificate", "proxy"),
        ("cert", "tls connection required", "does not see a TLS", "through to Vault"),
        ("cert", "failed to match all constraints for this login certificate", "trusts", "name"),
        ("ldap", "ldap operation failed: failed to bind as user", "is wrong", "auth.username"),
        ("ldap", "permission denied", "does not say why", "locked out"),
        ("approle", "wrapping token is not valid or does not exist", "has been used", "new one"),
    ],
)
def test_a_refusal_is_explained(method: MethodName, said: str, meaning: str, mend: str) -> None:
    found = explained(method, said)

    assert isinstance(found, LoginDenied)
    assert meaning in found.message
    assert mend in str(found.hint)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("ldap", "ldap operation failed: unable to connect to LDAP server"),
        ("ldap", 'LDAP Result Code 200 "Network Error": dial tcp: i/o timeout'),
        ("aws_ec2", "pendingTime is older than the client's last"),
    ],
)
def test_where_nobody_was_judged_it_is_tried_again(method: MethodName, said: str) -> None:
    assert explained(method, said).retryable


def test_every_method_has_its_table() -> None:
    assert set(METHODS) == set(get_args(MethodName))


@pytest.mark.parametrize("method", METHODS)
def test_no_fix_asks_for_a_word_that_is_not_there(method: MethodName) -> None:
    known_words = set(_words(context(method)))

    for known in (*METHODS[method], *ANY):
        assert words_of(known) <= known_words | set(groups_of(known)), known.pattern


def words_of(known: Known) -> set[str]:
    texts = known.meaning + known.mend
    return {name for _, name, _, _ in Formatter().parse(texts) if name is not None}


def groups_of(known: Known) -> list[str]:
    import re

    return list(re.compile(known.pattern).groupindex)


class Client:
    clock_offset_s = None


def test_what_is_behind_vault_is_named_when_it_does_not_answer() -> None:
    """Kubernetes and LDAP have outages of their own, which Vault reports as 500."""
    said = 'Post "https://kubernetes/apis": dial tcp 10.0.0.1:443: connect: connection refused'
    with (
        pytest.raises(VaultUnavailable, match="connection refused") as caught,
        refusals_explained(Client(), context("kubernetes")),  # type: ignore[arg-type]
    ):
        raise VaultUnavailable("login 'auth/kubernetes/login': 500", status=500, errors=(said,))
    assert caught.value.message.startswith("login 'auth/kubernetes/login': 500 ")


def test_what_vault_says_in_an_outage_is_shown_without_secrets() -> None:
    said = "could not decode hvs.CAESIJlWh0rRAcanary0000000000000000000000000000"
    with (
        pytest.raises(VaultUnavailable) as caught,
        refusals_explained(Client(), context("jwt")),  # type: ignore[arg-type]
    ):
        raise VaultUnavailable("login: 500", status=500, errors=(said,))
    assert "could not decode" in caught.value.message
    assert "canary" not in caught.value.message
