"""Which method is made from which settings, and what that loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.model import (
    AppRoleAuth,
    Auth,
    AwsEc2Auth,
    AwsIamAuth,
    CertAuth,
    JwtAuth,
    KubernetesAuth,
    LdapAuth,
    TokenFileAuth,
    VaultSection,
)
from leasekeeper.tokens.methods import create_method


@pytest.mark.parametrize(
    ("auth", "name", "described"),
    [
        (AwsIamAuth(role="web"), "aws_iam", 'role "web" at "auth/aws"'),
        (AwsEc2Auth(role="web", mount="ec2"), "aws_ec2", 'role "web" at "auth/ec2"'),
        (AppRoleAuth(role_id="canary"), "approle", 'an AppRole at "auth/approle"'),
        (JwtAuth(role="web", path="/jwt"), "jwt", 'role "web" at "auth/jwt"'),
        (KubernetesAuth(role="web"), "kubernetes", 'role "web" at "auth/kubernetes"'),
        (
            CertAuth(name="web", client_cert="/c", client_key="/k"),
            "cert",
            'certificate "web" at "auth/cert"',
        ),
        (
            CertAuth(client_cert="/c", client_key="/k", namespace="admin"),
            "cert",
            'certificate "/c" at "auth/cert" in namespace "admin"',
        ),
        (LdapAuth(username="bob", password_file_path="/p"), "ldap", 'user "bob" at "auth/ldap"'),
        (TokenFileAuth(token_file="/run/token"), "token_file", 'the token in "/run/token"'),
    ],
)
def test_each_settings_class_has_its_method(auth: Auth, name: str, described: str) -> None:
    method = create_method(auth)

    assert (method.name, method.describe()) == (name, described)


def test_an_unusable_sts_endpoint_is_found_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"auth\.sts_endpoint"):
        create_method(AwsIamAuth(role="web", sts_endpoint="https://sts.amazonaws.com/?x=1"))


def test_a_login_by_certificate_needs_a_certificate() -> None:
    with pytest.raises(ConfigError, match=r"auth\.client_cert: is needed"):
        create_method(CertAuth())


def test_the_certificate_for_vault_is_good_for_the_login_too() -> None:
    vault = VaultSection(client_cert_file="/c", client_key_file="/k")

    assert create_method(CertAuth(), vault).describe() == 'certificate "/c" at "auth/cert"'


def test_a_login_by_certificate_needs_tls() -> None:
    with pytest.raises(ConfigError, match="https://"):
        create_method(
            CertAuth(client_cert="/c", client_key="/k"), VaultSection(address="http://vault:8200")
        )


def test_aws_libraries_load_for_aws_logins_only() -> None:
    script = (
        "import sys\n"
        "from leasekeeper.settings.model import AppRoleAuth, AwsEc2Auth, TokenFileAuth\n"
        "from leasekeeper.tokens.methods import create_method\n"
        "create_method(AppRoleAuth(role_id='r'))\n"
        "create_method(TokenFileAuth(token_file='/t'))\n"
        "create_method(AwsEc2Auth(role='r'))\n"
        "import leasekeeper.aws.ecs\n"
        "print([name for name in sys.modules if 'botocore' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"
