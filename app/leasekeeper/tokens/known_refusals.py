"""What Vault says when it refuses a login, what that means, and how to mend it.

The texts are those of Vault's and OpenBao's auth methods, and of AWS STS behind one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """One refusal. *meaning* and *mend* are format strings over the pattern's groups, the fields
    of the context and of `denials`; *passing* means that trying again may help. *code* names the
    cause in `leasekeeper.codes`.
    """

    pattern: str
    meaning: str
    mend: str
    code: str
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
_AWS_IAM = (
    Known(
        r"Credential should be scoped to a valid region",
        'Vault asks an STS that accepts no signature for region "{sts_region}"',
        _SAME_REGION,
        "LK-AUTH-004",
    ),
    Known(
        r"Signature expired: \w+ is now earlier than",
        "to STS the signature is too old: this task's clock is behind",
        _CLOCK,
        "LK-AUTH-005",
    ),
    Known(
        r"Signature not yet current: \w+ is still later than",
        "to STS the signature is from the future: this task's clock is ahead",
        _CLOCK,
        "LK-AUTH-005",
    ),
    Known(
        r"ExpiredToken|security token included in the request is expired",
        "STS says that the AWS credentials have expired",
        "they are read again for the next try; if it stays so, whatever provides them has stopped "
        "renewing them ({clock})",
        "LK-AUTH-007",
    ),
    Known(
        r"InvalidClientTokenId|security token included in the request is invalid",
        "STS does not know the AWS credentials",
        'they were signed for {sts_host} in "{sts_region}": check that this is the partition of '
        "the account (China and GovCloud have their own), that the region is enabled in it, and "
        "that AWS_SESSION_TOKEN belongs to AWS_ACCESS_KEY_ID; a role that was deleted and made "
        "again gives this too",
        "LK-AUTH-007",
    ),
    Known(
        r"SignatureDoesNotMatch|signature we calculated does not match",
        "STS does not accept the signature",
        "either the AWS secret key is wrong, or Vault sends the request to another STS than "
        '{sts_host} ("{sts_region}"). ' + _SAME_REGION,
        "LK-AUTH-004",
    ),
    Known(
        r"missing header \"X-Vault-AWS-IAM-Server-ID\"",
        "Vault insists on the header X-Vault-AWS-IAM-Server-ID",
        "set auth.server_id to the iam_server_id_header_value of auth/{mount}/config/client",
        "LK-AUTH-008",
    ),
    Known(
        r"X-Vault-AWS-IAM-Server-ID header: expected \"(?P<expected>[^\"]*)\" but got",
        'this is not the Vault that auth.server_id "{server_id}" names',
        'Vault expects "{expected}": set auth.server_id to it, or correct vault.address',
        "LK-AUTH-008",
    ),
    Known(
        r"vault header wasn't signed|missing Authorization header",
        "something between Leasekeeper and Vault has changed the signed headers",
        "look for a proxy that rewrites requests to auth/{mount}/login",
        "LK-AUTH-021",
    ),
    Known(
        r"invalid request header: (?P<header>[\w-]+)",
        "Vault does not allow the signed header {header}",
        "vault write auth/{mount}/config/client allowed_sts_header_values={header}",
        "LK-AUTH-021",
    ),
    Known(
        r"IAM Principal \"(?P<arn>[^\"]+)\" does not belong to the role \"(?P<at>[^\"]+)\"",
        '"{arn}" is not bound to the role "{at}"',
        "compare it with bound_iam_principal_arn of `vault read auth/{mount}/role/{at}`. The usual "
        "causes: the ARN bound there is another account's or role's (write arn:aws:iam::ACCOUNT:"
        "role/NAME, without the role's path); the execution role is bound instead of the task "
        "role; the role was deleted and made again, so bind it again; the task definition has no "
        "taskRoleArn, so the instance's role is used",
        "LK-AUTH-003",
    ),
    Known(
        r"auth method iam not allowed for role",
        'the role "{role}" is not for IAM logins',
        "vault write auth/{mount}/role/{role} auth_type=iam",
        "LK-AUTH-016",
    ),
    Known(
        r"error looking up full ARN of entity|error fetching (?:role|user) ",
        "Vault may not look up the caller in IAM, as a wildcard in bound_iam_principal_arn needs",
        "give Vault's own AWS identity iam:GetRole and iam:GetUser, or bind the ARN in full",
        "LK-AUTH-017",
    ),
    Known(
        r"received error code 5\d\d from STS|Throttling|error making request: ",
        "Vault could not reach STS, or STS was not able to answer",
        "it is tried again; if it stays so, check Vault's way to its sts_endpoint",
        "LK-AUTH-022",
        passing=True,
    ),
    Known(
        r"body of GetCallerIdentity is invalid|error parsing STS response",
        "what answers at Vault's sts_endpoint is not STS",
        "check sts_endpoint in `vault read auth/{mount}/config/client`",
        "LK-AUTH-022",
    ),
)
_APPROLE = (
    Known(
        r"invalid role or secret ID|invalid role_?id|invalid secret_?id",
        "the role id or the secret id is wrong, or the secret id is used up or has expired",
        "provide a new secret id: vault write -f auth/{mount}/role/NAME/secret-id",
        "LK-AUTH-010",
    ),
    Known(
        r"missing secret_?id",
        "the role asks for a secret id as well",
        "set auth.secret_id_file, or bind_secret_id=false on the role",
        "LK-AUTH-010",
    ),
)
_TOKEN_FILE = (
    Known(
        r"permission denied|bad token|invalid token",
        "the token is not valid, or not any more",
        "write a valid token to auth.token_file; it is read again for every try. A policy without "
        "read on auth/token/lookup-self gives this too",
        "LK-AUTH-012",
    ),
)
_EC2 = (
    Known(
        r"client nonce mismatch",
        "the instance has logged in before, with another nonce",
        "set auth.nonce to a fixed value; to forget the login from before: vault delete "
        "auth/{mount}/identity-accesslist/INSTANCE_ID",
        "LK-AUTH-020",
    ),
    Known(
        r"reauthentication is disabled",
        "the instance has logged in before, and the role lets it do so only once",
        "set disallow_reauthentication=false on the role, or vault delete "
        "auth/{mount}/identity-accesslist/INSTANCE_ID",
        "LK-AUTH-020",
    ),
    Known(
        r"auth method ec2 not allowed for role",
        'the role "{role}" is not for EC2 logins',
        "make a role with auth_type=ec2, or use auth.method aws_iam",
        "LK-AUTH-016",
    ),
    Known(
        r"(?P<what>AMI ID|account ID|region|VPC ID|subnet ID|instance ID|IAM instance profile ARN)"
        r" \"[^\"]*\" does not (?:belong to|satisfy)",
        "the {what} of the instance is not one that the role is bound to",
        "compare it with `vault read auth/{mount}/role/{role}`",
        "LK-AUTH-020",
    ),
    Known(
        r"pendingTime is older|client time is older",
        "the instance has been stopped and started, and its identity document is an older one",
        "it is read again for the next try",
        "LK-AUTH-020",
        passing=True,
    ),
    Known(
        r"error verifying the instance identity|failed to verify|could not be verified",
        "Vault cannot verify the signature of the identity document",
        "for regions with a certificate of their own, add it: vault write "
        "auth/{mount}/config/certificate/NAME aws_public_cert=... type=identity",
        "LK-AUTH-020",
    ),
    Known(
        r"UnauthorizedOperation|error validating instance|failed to (?:describe|fetch) ",
        "Vault may not look the instance up in EC2",
        "give Vault's own AWS identity ec2:DescribeInstances and iam:GetInstanceProfile",
        "LK-AUTH-017",
    ),
)
_WRAPPED = (
    Known(
        r"wrapping token is not valid or does not exist",
        "the wrapping token has been used, or has expired",
        "provide a new one: vault write -wrap-ttl=5m -f auth/{mount}/role/NAME/secret-id. If "
        "nobody of yours has unwrapped it, somebody else knows the secret id: destroy that",
        "LK-AUTH-019",
    ),
)
_SIGNED = (
    Known(
        r"claim \"(?P<claim>[^\"]+)\" (?P<wrong>is missing|does not match)",
        'the claim "{claim}" of the JWT {wrong}',
        "compare it with bound_claims of `vault read auth/{mount}/role/{role}`",
        "LK-AUTH-013",
    ),
    Known(
        r"invalid audience|audience claim found in JWT but no audiences bound",
        "the JWT is for another audience than the role is",
        "the claim aud has to be one of the audiences of `vault read auth/{mount}/role/{role}` "
        "(bound_audiences, for kubernetes audience)",
        "LK-AUTH-013",
    ),
    Known(
        r"invalid issuer|claim \"iss\" is invalid",
        "the JWT comes from another issuer than Vault expects",
        "compare its claim iss with `vault read auth/{mount}/config`",
        "LK-AUTH-013",
    ),
    Known(
        r"invalid subject|sub claim does not match",
        "the JWT is for another subject than the role is",
        "compare its claim sub with bound_subject of `vault read auth/{mount}/role/{role}`",
        "LK-AUTH-013",
    ),
    Known(
        r"[Tt]oken is expired|invalid expiration time|token has expired",
        "the JWT has expired",
        "whatever writes the file has to write a new one; it is read again for every try ({clock})",
        "LK-AUTH-013",
    ),
    Known(
        r"token not yet valid|token issued in the future|invalid not before",
        "to Vault the JWT is from the future",
        "compare the clocks of Vault and of whatever signs the JWT ({clock})",
        "LK-AUTH-005",
    ),
    Known(
        r"signature|no known key|crypto/rsa: verification error|invalid (?:JWT|token)",
        "Vault cannot verify the signature of the JWT",
        "check the keys in `vault read auth/{mount}/config`, and that the file holds the JWT of "
        "the issuer that is meant",
        "LK-AUTH-013",
    ),
    Known(
        r"could not load (?:backend )?configuration",
        'the auth method at "auth/{mount}" is not configured',
        "vault write auth/{mount}/config ...",
        "LK-AUTH-009",
    ),
    Known(
        r"role with oidc role_type is not allowed",
        'the role "{role}" is for people in a browser',
        "make a role with role_type=jwt",
        "LK-AUTH-016",
    ),
)
_KUBERNETES = (
    Known(
        r"service account name not authorized",
        'the service account is not one that the role "{role}" is bound to',
        "compare it with bound_service_account_names of `vault read auth/{mount}/role/{role}`",
        "LK-AUTH-013",
    ),
    Known(
        r"namespace not authorized",
        'the Kubernetes namespace is not one that the role "{role}" is bound to',
        "compare it with bound_service_account_namespaces of `vault read auth/{mount}/role/{role}`",
        "LK-AUTH-013",
    ),
    Known(
        r"lookup failed|service account unauthorized",
        "Kubernetes does not accept the service account token",
        "the service account may have been deleted and made again; mount a new token",
        "LK-AUTH-013",
    ),
    *_SIGNED,
    Known(
        r"permission denied",
        "Kubernetes does not accept the service account token, or Vault cannot ask it",
        "kubernetes_host and kubernetes_ca_cert have to be this cluster's, the host reachable from "
        "Vault, and token_reviewer_jwt needs the ClusterRole system:auth-delegator (`vault read "
        "auth/{mount}/config`)",
        "LK-AUTH-013",
    ),
)
_CERT = (
    Known(
        r"no client certificate found|client certificate must be supplied|missing client cert",
        "Vault has seen no client certificate",
        "a proxy or load balancer that ends TLS takes it away: let TLS through to Vault, which "
        "also must not have tls_disable_client_certs",
        "LK-AUTH-014",
    ),
    Known(
        r"invalid certificate|match(?:ing)? all constraints",
        "no certificate role trusts the client certificate",
        "compare its authority, names and times with `vault read auth/{mount}/certs/NAME`; "
        "auth.name picks one role",
        "LK-AUTH-014",
    ),
    Known(
        r"tls connection required",
        "Vault does not see a TLS connection",
        "let TLS through to Vault",
        "LK-AUTH-014",
    ),
)
_LDAP = (
    Known(
        r"unable to connect|Network Error|LDAP Result Code 20[0-9]",
        "Vault could not reach the LDAP server",
        "it is tried again; if it stays so, check Vault's way to its url",
        "LK-AUTH-022",
        passing=True,
    ),
    Known(
        r"invalid username or password|failed to bind as user|Invalid Credentials"
        r"|ldap operation failed",
        "the user name or the password is wrong",
        "check auth.username and the file auth.password_file_path, and that the account is not "
        "locked; Vault's own log says more",
        "LK-AUTH-015",
    ),
    Known(
        r"not a member of any authorized",
        "no policy is given to the user or to its groups",
        "vault write auth/{mount}/users/NAME policies=..., or auth/{mount}/groups/NAME",
        "LK-AUTH-015",
    ),
    Known(
        r"backend not configured|has not been configured",
        'the auth method at "auth/{mount}" is not configured',
        "vault write auth/{mount}/config url=ldaps://...",
        "LK-AUTH-009",
    ),
    Known(
        r"permission denied",
        "Vault does not say why",
        "after several wrong passwords the user is locked out for 15 minutes; or nothing is "
        'mounted at "auth/{mount}"{namespace_too}',
        "LK-AUTH-015",
    ),
)
METHODS: Mapping[str, tuple[Known, ...]] = {
    "aws_iam": _AWS_IAM,
    "aws_ec2": _EC2,
    "approle": (*_WRAPPED, *_APPROLE),
    "jwt": _SIGNED,
    "kubernetes": _KUBERNETES,
    "cert": _CERT,
    "ldap": _LDAP,
    "token_file": _TOKEN_FILE,
}
ANY = (
    Known(
        r"entry for role \"?[^\" ]+\"? not found|role \"[^\"]+\" could not be found"
        r"|invalid role name",
        'Vault has no role "{role}" at "auth/{mount}"',
        "check auth.role, auth.mount{namespace_too} with `vault list auth/{mount}/role`",
        "LK-AUTH-002",
    ),
    Known(
        r"source address \"(?P<address>[^\"]+)\" (?:is )?unauthorized",
        "the role does not allow logins from {address}",
        "compare it with the role's bound CIDRs; behind a NAT or a load balancer it is that one's "
        "address that Vault sees",
        "LK-AUTH-018",
    ),
    Known(
        r"no handler for route|unsupported (?:path|operation)|route entry not found",
        'there is no such auth method at "auth/{mount}"',
        "check auth.mount{namespace_too} with `vault auth list`",
        "LK-AUTH-009",
    ),
    Known(
        r"namespace not (?:found|authorized)|no namespace",
        "Vault has no such namespace",
        "check vault.namespace and auth.namespace",
        "LK-AUTH-009",
    ),
    Known(
        r"permission denied",
        "Vault does not say why",
        'usually nothing is mounted at "auth/{mount}"{namespace_too}, or the role\'s '
        "token_bound_cidrs do not hold this task's address; the server's log tells",
        "LK-AUTH-001",
    ),
)
