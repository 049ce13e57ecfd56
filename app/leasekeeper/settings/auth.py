"""How to log in: one section for each auth method, chosen by its key `method`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from leasekeeper.settings import checks
from leasekeeper.settings.durations import Duration
from leasekeeper.settings.fields import FilePath, Mount, Namespace, Section, Text, Url

Secret = Annotated[SecretStr, Field(min_length=1)]


def _user_name(value: str) -> str:
    if not checks.text_is_plain(value) or set(value) & set("/?") or not value.strip(". "):
        msg = 'needs the name of a user, without "/" and "?"'
        raise ValueError(msg)
    return value


def _request_path(value: str) -> str:
    path = value.strip("/")
    if not path or not checks.text_is_plain(path) or " " in path:
        msg = 'needs the path of a request, such as "auth/approle/role/web/secret-id"'
        raise ValueError(msg)
    return path


class _AuthBase(Section):
    mount: Mount
    """Mount path of the auth method, without `auth/`."""
    namespace: Namespace | None = None
    """Namespace of the login when it differs from `vault.namespace`."""
    min_backoff: Duration = 1.0
    """First pause after a failed login; pauses double from there, with jitter."""
    max_backoff: Duration = 60.0
    """Longest pause between two tries to log in."""
    exit_on_err: bool = False
    """End the process when a login fails, instead of trying again."""
    wrap_ttl: Duration = 0.0
    """Let Vault wrap the answer to the login for this long: the token is for whoever unwraps what
    the one sink then holds, once, and Leasekeeper never sees it. Nothing is renewed, and there can
    be no outputs. `0` is not at all. With `aws_iam`, `aws_ec2`, `approle`, `jwt`, `kubernetes`."""

    @model_validator(mode="after")
    def _check_backoff(self) -> _AuthBase:
        if not 0 < self.min_backoff <= self.max_backoff:
            msg = "min_backoff needs to be above 0 and at most max_backoff"
            raise ValueError(msg)
        if 0 < self.wrap_ttl < 1:
            msg = "wrap_ttl needs to be 0 or at least 1s"
            raise ValueError(msg)
        return self


class AwsIamAuth(_AuthBase):
    """Log in with the task's IAM role through Vault's `aws` auth method."""

    method: Literal["aws_iam"] = "aws_iam"
    """The auth method."""
    mount: Mount = "aws"
    """Mount path of the auth method, without `auth/`."""
    role: Text
    """Role of the auth method."""
    server_id: Annotated[Text, AfterValidator(checks.header_value)] | None = None
    """Value of the signed header `X-Vault-AWS-IAM-Server-ID`, when Vault asks for one."""
    sts_region: Annotated[str, AfterValidator(checks.sts_region)] | None = None
    """Region whose STS the login is signed for, or `global` for sts.amazonaws.com (`us-east-1`
    means the same, as in Vault Agent). It must agree with Vault's `sts_endpoint` and `sts_region`.
    Default: `global`, which is what Vault asks when neither is set; where AWS_REGION names another
    partition (China, GovCloud), that region."""
    sts_endpoint: Url | None = None
    """URL of STS, when it is neither the regional nor the global one: a VPC endpoint."""
    profile: Text | None = None
    """Profile of the AWS shared configuration to take credentials from. Default: AWS_PROFILE."""
    access_key: Text | None = None
    """Access key id of fixed credentials. The task role is better: its credentials change."""
    secret_key: Secret | None = None
    """Secret access key of fixed credentials. Better in the environment:
    `LEASEKEEPER_AUTH__SECRET_KEY`."""
    session_token: Secret | None = None
    """Session token of fixed credentials, if they are temporary."""
    credential_poll_interval: Duration | None = None
    """Without effect, and here for those who come from Vault Agent: credentials are read when a
    login needs them."""

    @model_validator(mode="after")
    def _check_keys(self) -> AwsIamAuth:
        if (self.access_key is None) != (self.secret_key is None):
            msg = "access_key and secret_key only work together"
            raise ValueError(msg)
        if self.session_token is not None and self.access_key is None:
            msg = "session_token needs access_key and secret_key"
            raise ValueError(msg)
        if self.access_key is not None and self.profile is not None:
            msg = "access_key and profile exclude each other"
            raise ValueError(msg)
        return self


class AwsEc2Auth(_AuthBase):
    """Log in with the identity document of an EC2 instance, through Vault's `aws` auth method. A
    task role is better where there is one: every container of the instance can log in this way."""

    method: Literal["aws_ec2"] = "aws_ec2"
    """The auth method."""
    mount: Mount = "aws"
    """Mount path of the auth method, without `auth/`."""
    role: Text
    """Role of the auth method."""
    nonce: Secret | None = None
    """What Vault recognizes this client by when the instance logs in again. Default: a random one
    for each process: a login after a restart is refused then, unless the role has
    `allow_instance_migration`, or the instance is deleted from `auth/aws/identity-accesslist`."""


class AppRoleAuth(_AuthBase):
    """Log in with a role id and a secret id."""

    method: Literal["approle"] = "approle"
    """The auth method."""
    mount: Mount = "approle"
    """Mount path of the auth method, without `auth/`."""
    role_id: Text | None = None
    """The role id itself."""
    role_id_file: FilePath | None = None
    """File with the role id; read at every login."""
    secret_id: Secret | None = None
    """The secret id itself. Better in the environment: `LEASEKEEPER_AUTH__SECRET_ID`."""
    secret_id_file: FilePath | None = None
    """File with the secret id; read at every login."""
    remove_secret_id_file_after_reading: bool = False
    """Remove the file once the secret id is known; it is kept in memory."""
    secret_id_response_wrapping_path: Annotated[str, AfterValidator(_request_path)] | None = None
    """The file holds a response-wrapping token with the secret id in it; it is unwrapped if this
    path made it: `auth/approle/role/web/secret-id`."""

    @model_validator(mode="after")
    def _check_ids(self) -> AppRoleAuth:
        if (self.role_id is None) == (self.role_id_file is None):
            msg = "exactly one of role_id and role_id_file is needed"
            raise ValueError(msg)
        if self.secret_id is not None and self.secret_id_file is not None:
            msg = "secret_id and secret_id_file exclude each other"
            raise ValueError(msg)
        if self.secret_id_file is None:
            for name in ("remove_secret_id_file_after_reading", "secret_id_response_wrapping_path"):
                if getattr(self, name):
                    msg = f"{name} needs secret_id_file"
                    raise ValueError(msg)
        return self


class JwtAuth(_AuthBase):
    """Log in with a JWT that something else writes to a file."""

    method: Literal["jwt"] = "jwt"
    """The auth method."""
    mount: Mount = "jwt"
    """Mount path of the auth method, without `auth/`."""
    role: Text
    """Role of the auth method."""
    path: FilePath
    """File with the JWT; read at every login."""
    remove_jwt_after_reading: bool = False
    """Remove the file once it is read; the JWT is kept in memory."""
    remove_jwt_follows_symlinks: bool = False
    """When the file is a symbolic link, remove what it points to, and not the link."""


class KubernetesAuth(_AuthBase):
    """Log in with the token of a Kubernetes service account."""

    method: Literal["kubernetes"] = "kubernetes"
    """The auth method."""
    mount: Mount = "kubernetes"
    """Mount path of the auth method, without `auth/`."""
    role: Text
    """Role of the auth method."""
    token_path: FilePath = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    """File with the token of the service account; read at every login."""


class CertAuth(_AuthBase):
    """Log in with a TLS client certificate. It is shown for the login only; whatever is not given
    here is that of `vault`."""

    method: Literal["cert"] = "cert"
    """The auth method."""
    mount: Mount = "cert"
    """Mount path of the auth method, without `auth/`."""
    name: Text | None = None
    """Certificate role to log in as. Default: every role that trusts the certificate is tried."""
    ca_cert: FilePath | None = None
    """PEM file with the certificate authorities to trust for the login."""
    client_cert: FilePath | None = None
    """PEM file of the client certificate."""
    client_key: FilePath | None = None
    """PEM file of the client key."""
    reload: bool = True
    """Read the files again at every login, so that a renewed certificate counts; when they cannot
    be used, what was read before is."""

    @model_validator(mode="after")
    def _check_pair(self) -> CertAuth:
        if (self.client_cert is None) != (self.client_key is None):
            msg = "client_cert and client_key only work together"
            raise ValueError(msg)
        return self


class LdapAuth(_AuthBase):
    """Log in with a user name and a password: the `ldap` method, and others with such a login
    (`userpass`, `okta`, `radius`) under their own `mount`."""

    method: Literal["ldap"] = "ldap"
    """The auth method."""
    mount: Mount = "ldap"
    """Mount path of the auth method, without `auth/`."""
    username: Annotated[Text, AfterValidator(_user_name)]
    """Name of the user."""
    password_file_path: FilePath
    """File with the password; read at every login."""
    remove_password_after_reading: bool = False
    """Remove the file once it is read; the password is kept in memory."""
    remove_password_follows_symlinks: bool = False
    """When the file is a symbolic link, remove what it points to, and not the link."""


class TokenFileAuth(_AuthBase):
    """Use a token that something else writes to a file."""

    method: Literal["token_file"] = "token_file"
    """The auth method."""
    mount: Mount = "token"
    """Unused by this method."""
    token_file: FilePath
    """File with the token; read again whenever a new token is needed."""


Auth = Annotated[
    AwsIamAuth
    | AwsEc2Auth
    | AppRoleAuth
    | JwtAuth
    | KubernetesAuth
    | CertAuth
    | LdapAuth
    | TokenFileAuth,
    Field(discriminator="method"),
]
