"""What every error code means: the one table behind `leasekeeper explain` and docs/errors.md.

A code names a cause that an operator can do something about, and never changes its meaning. It is
given to errors where they are made (`AgentError.code`); nothing of a run imports this table.

``python -m leasekeeper.codes [--check] FILE`` renews the tables in *FILE*.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

BEGIN = "<!-- codes: made by `python -m leasekeeper.codes` -->\n"
END = "<!-- codes: end -->\n"


@dataclass(frozen=True, slots=True)
class Code:
    """One code: what is wrong in a few words, why that happens, and how to mend it."""

    code: str
    title: str
    cause: str
    fix: str

    @property
    def text(self) -> str:
        """The code for a terminal."""
        return f"{self.code}: {self.title}\n\nCause: {self.cause}\nFix:   {self.fix}\n"


AREAS = {
    "CONF": "Configuration",
    "AUTH": "Logging in",
    "VAULT": "Reaching Vault",
    "TLS": "Certificates",
    "SECRET": "Secrets and leases",
    "TPL": "Templates",
    "FILE": "Files",
    "NOTIFY": "Telling the application",
    "STATE": "State",
    "SINK": "Token sinks",
    "APP": "The application under `exec`",
    "SHARED": "Several tasks on one volume",
    "START": "Starting",
    "BUG": "Leasekeeper itself",
}
_TABLE = (
    Code(
        "LK-CONF-001",
        "The configuration cannot be used",
        "Two parts of the configuration do not go together, or a value cannot be used here.",
        "The message names the key. `leasekeeper check` lists every problem at once, and "
        "`check --show` where each value comes from.",
    ),
    Code(
        "LK-CONF-002",
        "A key or variable is unknown",
        "A key is misspelt, or stands in the wrong section.",
        "Use the key that the message suggests; docs/configuration.md lists all of them, and "
        "`leasekeeper schema` lets an editor complete them.",
    ),
    Code(
        "LK-CONF-003",
        "A value is not of the kind that is needed",
        "A duration has no unit, a path is not absolute, a number is out of range, a word is not "
        "one of those allowed.",
        "Write the value as the message says; docs/configuration.md has the type of every key.",
    ),
    Code(
        "LK-CONF-004",
        "A needed key is missing",
        "Something without a default has not been set, neither in the file nor by environment.",
        "Set the key, or the variable, that the message names.",
    ),
    Code(
        "LK-CONF-005",
        "The configuration cannot be read",
        "The file is not there or not readable, or its text is no YAML, HCL or base64.",
        "Check the path after --config or -config, its mode, and the line that is named.",
    ),
    Code(
        "LK-CONF-006",
        "There is no configuration",
        "Neither a file nor LEASEKEEPER_CONFIG nor the variables of the tutorial's image are set.",
        "Name a file with --config, or set LEASEKEEPER_CONFIG, or VAULT_ADDR, VAULT_ROLE, "
        "VAULT_AGENT_TEMPLATE and TARGET_FILE_NAME.",
    ),
    Code(
        "LK-CONF-007",
        "The HTTP address cannot be listened on",
        "Another process has the port, the address is not this machine's, or its certificate "
        "cannot be used.",
        "Set web.listen (LEASEKEEPER_WEB__LISTEN) to a free address, or to `off`.",
    ),
    Code(
        "LK-CONF-008",
        "A path names the task, and ECS does not tell which it is",
        "{task_id} and the like come from the ECS task metadata, which are not there.",
        "Run on ECS with platform version 1.4 or agent 1.39 and newer, or write a fixed path.",
    ),
    Code(
        "LK-AUTH-001",
        "Vault refused the login and does not say why",
        "Most often nothing is mounted at the path of the auth method, the namespace is wrong, or "
        "the role's token_bound_cidrs do not hold this task's address.",
        "Compare auth.mount and vault.namespace with `vault auth list`; Vault's log tells more.",
    ),
    Code(
        "LK-AUTH-002",
        "There is no such role in Vault",
        "auth.role is misspelt, or the role is in another mount or namespace.",
        "Compare auth.role, auth.mount and the namespace with `vault list auth/aws/role`.",
    ),
    Code(
        "LK-AUTH-003",
        "The task's IAM role is not bound to the Vault role",
        "bound_iam_principal_arn holds another ARN: another account, the execution role instead of "
        "the task role, a role path, or a role that was deleted and made again.",
        "Bind the ARN that the message names: `vault write auth/aws/role/NAME "
        "bound_iam_principal_arn=arn:aws:iam::ACCOUNT:role/TASK_ROLE`; and give the task "
        "definition a taskRoleArn.",
    ),
    Code(
        "LK-AUTH-004",
        "The login was signed for another STS region than Vault asks",
        "auth.sts_region and the sts_endpoint of Vault's auth method name different regions.",
        "Set auth.sts_region to the sts_region that `vault read auth/aws/config/client` shows, or "
        "to `global` if it shows no sts_endpoint.",
    ),
    Code(
        "LK-AUTH-005",
        "Clocks differ too much",
        "A signature or a JWT is too old, or from the future, for whoever checks it.",
        "Set the clock of the host, or of Vault, by NTP.",
    ),
    Code(
        "LK-AUTH-006",
        "There are no AWS credentials",
        "The task has no role, the container may not reach the credentials endpoint, or nothing "
        "is set outside of ECS.",
        "Give the task definition a taskRoleArn; outside of ECS set AWS_PROFILE or AWS_ACCESS_KEY_"
        "ID and AWS_SECRET_ACCESS_KEY.",
    ),
    Code(
        "LK-AUTH-007",
        "STS does not accept the AWS credentials",
        "They have expired, belong to another partition, their parts do not belong together, or "
        "the role has been deleted.",
        "Check the role in IAM, the region's partition, and AWS_SESSION_TOKEN.",
    ),
    Code(
        "LK-AUTH-008",
        "The server id header is missing or another Vault's",
        "Vault's iam_server_id_header_value and auth.server_id differ.",
        "Set auth.server_id to the iam_server_id_header_value of `vault read "
        "auth/aws/config/client`.",
    ),
    Code(
        "LK-AUTH-009",
        "There is no such auth method or namespace",
        "auth.mount or a namespace is wrong, or the auth method has not been configured.",
        "Compare auth.mount, auth.namespace and vault.namespace with `vault auth list`.",
    ),
    Code(
        "LK-AUTH-010",
        "The role id or secret id is refused",
        "One of them is wrong, used up or expired, or the role wants a secret id as well.",
        "Provide a new one: `vault write -f auth/approle/role/NAME/secret-id`.",
    ),
    Code(
        "LK-AUTH-011",
        "A file that the login needs is missing or empty",
        "The file with the role id, secret id, JWT, password, token or certificate is not there.",
        "Mount or write the file that the message names; it is looked for again by itself.",
    ),
    Code(
        "LK-AUTH-012",
        "The token in the token file is not valid",
        "It has ended, was revoked, or its policy lacks read on auth/token/lookup-self.",
        "Write a valid token to auth.token_file.",
    ),
    Code(
        "LK-AUTH-013",
        "The JWT is refused",
        "Audience, issuer, subject, claims, signature or age are not what the role is bound to.",
        "Compare the JWT's claims with `vault read auth/jwt/role/NAME` as the message says.",
    ),
    Code(
        "LK-AUTH-014",
        "The client certificate is refused",
        "No certificate role trusts it, or a proxy that ends TLS took it away.",
        "Compare it with `vault read auth/cert/certs/NAME`, and let TLS through to Vault.",
    ),
    Code(
        "LK-AUTH-015",
        "LDAP or user name and password are refused",
        "The password is wrong, the user is locked, has no policy, or LDAP is not configured.",
        "Check auth.username and the password file; Vault's log says more.",
    ),
    Code(
        "LK-AUTH-016",
        "The Vault role is for another kind of login",
        "Its auth_type or role_type is not that of this login.",
        "Make a role of the right type, or choose another auth.method.",
    ),
    Code(
        "LK-AUTH-017",
        "Vault's own AWS identity lacks a permission",
        "To check the caller Vault itself asks IAM or EC2, and may not.",
        "Give Vault iam:GetRole and iam:GetUser (wildcard bindings), or ec2:DescribeInstances and "
        "iam:GetInstanceProfile (EC2 logins).",
    ),
    Code(
        "LK-AUTH-018",
        "The role does not allow logins from this address",
        "Vault sees an address that is not in the role's bound CIDRs, perhaps a NAT's.",
        "Add the address that the message names to the role's bound CIDRs.",
    ),
    Code(
        "LK-AUTH-019",
        "The wrapped secret id cannot be unwrapped",
        "Its wrapping token was used, has expired, or was made by another path.",
        "Provide a new one. If nobody of yours has unwrapped it, destroy that secret id.",
    ),
    Code(
        "LK-AUTH-020",
        "The EC2 instance is refused",
        "It is not one that the role is bound to, or it has logged in before with another nonce.",
        "Compare it with `vault read auth/aws/role/NAME`; set auth.nonce to a fixed value.",
    ),
    Code(
        "LK-AUTH-021",
        "A signed header was changed or is not allowed",
        "A proxy rewrites requests to Vault, or the auth method does not allow the header.",
        "Look for the proxy, or add the header to allowed_sts_header_values.",
    ),
    Code(
        "LK-AUTH-022",
        "Vault had no answer from what it asks about logins",
        "STS, LDAP or Kubernetes cannot be reached from Vault, or what answers there is not it.",
        "It is tried again. If it stays so, check Vault's own network and its sts_endpoint or url.",
    ),
    Code(
        "LK-VAULT-001",
        "Vault cannot be reached",
        "Nobody listens at the address, a security group or route is in the way, or connections "
        "break off.",
        "Check vault.address (VAULT_ADDR), security groups and routes. What is on disk stays.",
    ),
    Code(
        "LK-VAULT-002",
        "Vault is sealed",
        "Vault runs, but nobody has unsealed it, or its auto-unseal fails.",
        "Unseal it (`vault operator unseal`); Leasekeeper goes on by itself within seconds.",
    ),
    Code(
        "LK-VAULT-003",
        "Vault's host name cannot be resolved",
        "The name in vault.address is wrong, or the task's DNS does not know it.",
        "Check vault.address, the VPC's DNS settings and private hosted zones.",
    ),
    Code(
        "LK-VAULT-004",
        "Vault does not answer in time",
        "Packets are dropped on the way (a security group, as a rule), or Vault is overloaded.",
        "Check security groups and network ACLs in both directions; vault.timeout sets the limit.",
    ),
    Code(
        "LK-VAULT-005",
        "A proxy is in the way",
        "The proxy of HTTPS_PROXY cannot be reached, or refuses to let the task through.",
        "Correct HTTPS_PROXY, or name Vault's host in NO_PROXY.",
    ),
    Code(
        "LK-VAULT-006",
        "What answers is not Vault",
        "A load balancer, a proxy or another server answered with something of its own.",
        "Check vault.address and the load balancer's targets.",
    ),
    Code(
        "LK-VAULT-007",
        "Vault cannot serve now",
        "Vault answered with an error of its own (5xx), a standby without a leader, or half an "
        "answer.",
        "Look at Vault's log. Leasekeeper tries again, and what is on disk stays.",
    ),
    Code(
        "LK-VAULT-008",
        "Vault refuses the request as such",
        "The path does not take this operation, or parameters are wrong (a 4xx other than 403 "
        "and 404).",
        "Try the same with `vault read` or `vault write`, and correct path and arguments.",
    ),
    Code(
        "LK-VAULT-009",
        "Vault limits the rate of requests",
        "A rate limit quota of Vault was exceeded (429).",
        "Raise the quota, or set vault.rate_limit below it. It is tried again.",
    ),
    Code(
        "LK-TLS-001",
        "Vault's certificate is signed by an authority that is not trusted",
        "vault.ca_file is not set, holds another authority, or the chain is incomplete.",
        "Set vault.ca_file (VAULT_CACERT) to the PEM file of the signing authority.",
    ),
    Code(
        "LK-TLS-002",
        "A certificate has expired or is not valid yet",
        "Vault's certificate, or the authority's in vault.ca_file, has ended; or the clock is off.",
        "Renew the one that has ended: `openssl x509 -noout -dates -in FILE` tells. A new "
        "vault.ca_file is read without a restart. Check the clock of the host.",
    ),
    Code(
        "LK-TLS-003",
        "Vault's certificate is for another name",
        "vault.address uses a name or address that the certificate does not have.",
        "Use a name in the certificate, or set vault.tls_server_name (VAULT_TLS_SERVER_NAME).",
    ),
    Code(
        "LK-TLS-004",
        "The server does not speak TLS",
        "vault.address begins with https:// and the server speaks plain HTTP.",
        "Check the scheme and the port in vault.address.",
    ),
    Code(
        "LK-TLS-005",
        "No agreement on TLS",
        "The server wants a client certificate, or another version of TLS.",
        "Set vault.client_cert_file and vault.client_key_file.",
    ),
    Code(
        "LK-TLS-006",
        "A TLS file cannot be used",
        "A file of vault.ca_file, ca_path, client_cert_file or client_key_file is missing, is not "
        "PEM, or certificate and key do not belong together.",
        "Correct the file that the message names.",
    ),
    Code(
        "LK-SECRET-001",
        "The policy does not allow this path",
        "The token is good, and none of its policies has the capability on the path.",
        "Add what `leasekeeper policy` prints to a policy of the role; `leasekeeper check "
        "--online` shows exactly what is missing.",
    ),
    Code(
        "LK-SECRET-002",
        "There is no secret at the path",
        "The path is misspelt, nothing was written there yet, or it is another mount's.",
        "Compare the path with `vault kv get` or `vault read`. For KV version 2 the path has "
        "data/ after the mount, or leave it out.",
    ),
    Code(
        "LK-SECRET-003",
        "The secret's version was deleted or destroyed",
        "Its current version, or the one that was asked for, is gone.",
        "Write a new version, or `vault kv undelete`.",
    ),
    Code(
        "LK-SECRET-004",
        "The mint budget of the secret is spent",
        "Something keeps taking new values away: a crash loop, or somebody who revokes them.",
        "Find what restarts the task or revokes the leases. secrets.mint_budget is the bound.",
    ),
    Code(
        "LK-SECRET-005",
        "A lease cannot be renewed any more",
        "It was revoked, or its maximum is reached.",
        "Nothing: a new value is made. If it happens often, look for who revokes.",
    ),
    Code(
        "LK-TPL-001",
        "A template does not parse",
        "An action is not closed, a word is missing, or `end` does not match.",
        "Correct the line and column that are named; `leasekeeper render --fake` shows the result "
        "without Vault.",
    ),
    Code(
        "LK-TPL-002",
        "A template fails on its data",
        "A function got something that it cannot take.",
        "Look at the line and column that are named; docs/templates.md lists the functions.",
    ),
    Code(
        "LK-TPL-003",
        "A template uses a key that the secret does not have",
        "The key is misspelt, not written yet, or one level deeper: KV version 2 has its values "
        "in .Data.data.",
        "Correct the template or write the key; error_on_missing_key: false writes `<no value>`.",
    ),
    Code(
        "LK-TPL-004",
        "A template uses an unknown function",
        "The function is misspelt, denied by function_denylist, or one that is not supported.",
        "docs/templates.md lists the functions.",
    ),
    Code(
        "LK-TPL-005",
        "A template's file cannot be read",
        "template_file is not there, not readable, or not UTF-8.",
        "Check the path and its mode, and that the volume is mounted.",
    ),
    Code(
        "LK-TPL-006",
        "A file that a template reads cannot be read",
        "The argument of `file` is not there, is no regular file, or is not readable.",
        "Create the file; it is looked for again by itself.",
    ),
    Code(
        "LK-FILE-001",
        "Writing is not permitted",
        "The directory is not writable for the user that Leasekeeper runs as, as with an EFS "
        "access point of another POSIX user.",
        "Run as the user of the access point, or make the directory writable for ours.",
    ),
    Code(
        "LK-FILE-002",
        "The directory is not there",
        "The volume is not mounted at this path, or create_dest_dirs is off.",
        "Add the mountPoint to the container, or create the directory.",
    ),
    Code(
        "LK-FILE-003",
        "The volume is full",
        "No space, no inode or no quota is left. The last good file stays.",
        "Make room; it is tried again by itself.",
    ),
    Code(
        "LK-FILE-004",
        "The file system is read-only",
        "The mountPoint says readOnly: true, or the container's root is read-only.",
        "Mount the volume writable for this container, or choose a destination on one that is.",
    ),
    Code(
        "LK-FILE-005",
        "The file system does not answer",
        "The mount target of EFS cannot be reached, or its server hangs.",
        "Check port 2049 between the task and the mount target.",
    ),
    Code(
        "LK-FILE-006",
        "A file cannot be written",
        "The operating system refused for the reason in the message.",
        "Follow the hint in the message. The last good file stays.",
    ),
    Code(
        "LK-FILE-007",
        "Owner or mode cannot be changed",
        "Changing owners needs CAP_CHOWN, and an EFS access point enforces its own.",
        "Leave user and group out, run as that user, or add the capability.",
    ),
    Code(
        "LK-FILE-008",
        "The new content is not valid",
        "`validate` or `validate_command` refused it. The last good file stays.",
        "Correct the template at the line that is named.",
    ),
    Code(
        "LK-FILE-009",
        "Something else is at the destination",
        "A directory, a device or a mount point has the name, or a part of the path is a file.",
        "Choose another destination, mount the directory instead of the file, or remove it.",
    ),
    Code(
        "LK-NOTIFY-001",
        "The application could not be told of a new file",
        "Nobody listens at the URL, the answer was no success, the pid file is wrong, or the "
        "command failed. The file itself is in place.",
        "Check outputs[].notify against the application; it is tried again.",
    ),
    Code(
        "LK-STATE-001",
        "The state cannot be kept",
        "state.path is not writable, or in use by another process.",
        "Give each task a state.path of its own on a writable, task-local volume.",
    ),
    Code(
        "LK-STATE-002",
        "The saved state cannot be used",
        "It is another task's, damaged, or its key cannot be had from KMS.",
        "Nothing: a fresh start replaces it. If KMS refuses, allow kms:GenerateDataKey and "
        "kms:Decrypt for the task role.",
    ),
    Code(
        "LK-SINK-001",
        "A token sink cannot be written",
        "The public key of the reader (dh_path) is missing or unusable.",
        "Let the reader write its key; it is looked for again.",
    ),
    Code(
        "LK-APP-001",
        "The application cannot be started",
        "The program of exec.command is not there, or not executable.",
        "Correct exec.command; a name without a slash is searched for in PATH.",
    ),
    Code(
        "LK-SHARED-001",
        "Another task leads on the shared volume",
        "This task was suspended or cut off from the volume for longer than takeover_after.",
        "Nothing: it stands by again. If it happens often, look at the volume's latency.",
    ),
    Code(
        "LK-START-001",
        "The first complete publish took too long",
        "No single error explains it; the message lists what was missing.",
        "Mend what the message lists, or raise lifecycle.startup_deadline.",
    ),
    Code(
        "LK-START-002",
        "No running Leasekeeper answers",
        "Nothing listens at the address, or it is another container's loopback.",
        "Run the command in Leasekeeper's own container, and name web.listen with --listen or "
        "LEASEKEEPER_WEB__LISTEN.",
    ),
    Code(
        "LK-BUG-001",
        "A bug in Leasekeeper",
        "Something happened that should not be possible.",
        "Report it with the log lines around it.",
    ),
)
CODES = {code.code: code for code in _TABLE}


def tables() -> str:
    """Return the Markdown of all codes, a heading for every area."""
    parts = []
    for area, title in AREAS.items():
        rows = "".join(
            f'| <a id="{code.code.lower()}"></a>`{code.code}` | {code.title} | {code.cause} '
            f"| {code.fix} |\n"
            for code in _TABLE
            if code.code.split("-")[1] == area
        )
        head = "| Code | What | Cause | Fix |\n|---|---|---|---|\n"
        parts.append(f"## {title}\n\n{head}{rows}")
    return "\n".join(parts)


def renewed(text: str) -> str:
    """Return a page with new tables between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Renew docs/errors.md."""
    from leasekeeper.settings.documentation import renew_page

    return renew_page("leasekeeper.codes", renewed, arguments)


if __name__ == "__main__":
    sys.exit(main())
