"""The ways to log in. Only the module of the chosen one is imported: AWS libraries weigh 3 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings.model import AppRoleAuth, AwsIamAuth

if TYPE_CHECKING:
    from leasekeeper.settings.model import Auth
    from leasekeeper.tokens.method import AuthMethod


def create_method(auth: Auth) -> AuthMethod:
    """Return the method that *auth* describes. Nothing is read or asked yet.

    :raises ConfigError: if a setting is no region or no URL.
    """
    if isinstance(auth, AwsIamAuth):
        from leasekeeper.tokens.methods.aws_iam import AwsIamMethod

        return AwsIamMethod(auth)
    if isinstance(auth, AppRoleAuth):
        from leasekeeper.tokens.methods.approle import AppRoleMethod

        return AppRoleMethod(auth)
    from leasekeeper.tokens.methods.token_file import TokenFileMethod

    return TokenFileMethod(auth)
