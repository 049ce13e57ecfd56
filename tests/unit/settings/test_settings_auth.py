"""What can be said about the login, and which of it does not go together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from leasekeeper.settings.model import (
    AwsIamAuth,
    CertAuth,
    JwtAuth,
    KubernetesAuth,
    LdapAuth,
    Settings,
)


def auth(**keys: object) -> Any:
    outputs = [{"destination": "/config/app.json", "template": "x"}]
    return Settings.model_validate({"auth": keys, "outputs": outputs}).auth


def test_files_stay_where_they_are_unless_removal_is_asked_for() -> None:
    jwt = auth(method="jwt", role="web", path="/jwt")
    ldap = auth(method="ldap", username="bob", password_file_path="/password")
    approle = auth(method="approle", role_id="r", secret_id_file="/secret-id")

    assert isinstance(jwt, JwtAuth)
    assert isinstance(ldap, LdapAuth)
    assert not jwt.remove_jwt_after_reading
    assert not ldap.remove_password_after_reading
    assert not approle.remove_secret_id_file_after_reading


def test_kubernetes_knows_where_pods_have_their_token() -> None:
    found = auth(method="kubernetes", role="web")

    assert isinstance(found, KubernetesAuth)
    assert found.token_path == "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_a_client_certificate_is_read_again_by_default() -> None:
    found = auth(method="cert", client_cert="/c", client_key="/k")

    assert isinstance(found, CertAuth)
    assert found.reload


def test_the_poll_interval_of_vault_agent_is_accepted() -> None:
    found = auth(method="aws_iam", role="web", credential_poll_interval="60s")

    assert isinstance(found, AwsIamAuth)


def test_slashes_around_the_wrapping_path_do_not_matter() -> None:
    found = auth(
        method="approle",
        role_id="r",
        secret_id_file="/s",
        secret_id_response_wrapping_path="/auth/approle/role/web/secret-id/",
    )

    assert found.secret_id_response_wrapping_path == "auth/approle/role/web/secret-id"


AWS = {"method": "aws_iam", "role": "web"}
APPROLE = {"method": "approle", "role_id": "r"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({**AWS, "access_key": "AKIA"}, "access_key and secret_key only work together"),
        ({**AWS, "secret_key": "canary"}, "access_key and secret_key only work together"),
        ({**AWS, "session_token": "canary"}, "session_token needs access_key"),
        ({**AWS, "access_key": "A", "secret_key": "canary", "profile": "p"}, "exclude each other"),
        (
            {**APPROLE, "remove_secret_id_file_after_reading": True},
            "remove_secret_id_file_after_reading needs secret_id_file",
        ),
        (
            {**APPROLE, "secret_id": "canary", "secret_id_response_wrapping_path": "auth/x"},
            "secret_id_response_wrapping_path needs secret_id_file",
        ),
        ({"method": "cert", "client_cert": "/c"}, "client_cert and client_key only work together"),
        ({"method": "ldap", "username": "a?b", "password_file_path": "/p"}, "name of a user"),
        ({"method": "ldap", "username": "a/b", "password_file_path": "/p"}, "name of a user"),
        ({"method": "ldap", "username": "..", "password_file_path": "/p"}, "name of a user"),
        ({"method": "jwt", "role": "web"}, r"jwt\.path\n  Field required"),
        ({"method": "aws_ec2"}, r"aws_ec2\.role\n  Field required"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        auth(**keys)
    assert "canary" not in str(caught.value)
