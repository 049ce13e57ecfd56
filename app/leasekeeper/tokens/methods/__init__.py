"""The ways to log in. Only the module of the chosen one is imported: AWS libraries weigh 3 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings import model

if TYPE_CHECKING:
    from leasekeeper.tokens.method import AuthMethod


def create_method(auth: model.Auth, vault: model.VaultSection | None = None) -> AuthMethod:
    """Return the method that *auth* describes. Nothing is read or asked yet.

    *vault* is for the methods that make connections of their own: `cert`, `ldap` and an AppRole
    with a wrapped secret id.

    :raises ConfigError: if a setting is no region or no URL, or `cert` has no certificate.
    """
    vault = vault or model.VaultSection()
    match auth:
        case model.AwsIamAuth():
            from leasekeeper.tokens.methods.aws_iam import AwsIamMethod

            return AwsIamMethod(auth)
        case model.AwsEc2Auth():
            from leasekeeper.tokens.methods.aws_ec2 import AwsEc2Method

            return AwsEc2Method(auth)
        case model.AppRoleAuth():
            from leasekeeper.tokens.methods.approle import AppRoleMethod

            return AppRoleMethod(auth, vault)
        case model.JwtAuth() | model.KubernetesAuth():
            from leasekeeper.tokens.methods.jwt import JwtMethod

            return JwtMethod(auth)
        case model.CertAuth():
            from leasekeeper.tokens.methods.cert import CertMethod

            return CertMethod(auth, vault)
        case model.LdapAuth():
            from leasekeeper.tokens.methods.ldap import LdapMethod

            return LdapMethod(auth, vault)
        case model.TokenFileAuth():
            from leasekeeper.tokens.methods.token_file import TokenFileMethod

            return TokenFileMethod(auth)
