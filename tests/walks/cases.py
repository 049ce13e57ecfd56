"""Deployments that somebody misconfigured, one mistake each, on a real world."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from leasekeeper.devstack.world import World
from tests.fakes.authority import Authority

SECRET_PATH = "learn/database/creds/product"
TEMPLATE = (
    '{{ with secret "learn/database/creds/product" }}{{ .Data.username }}:{{ .Data.password }}'
    "{{ end }}"
)


@dataclass(kw_only=True)
class Deployment:
    """What a user has written, and where it runs."""

    world: World
    folder: Path
    template: str = TEMPLATE
    role: str = ""
    directory: str = "config"
    more: str = ""
    env: dict[str, str]
    wrapper: tuple[str, ...] = ()
    """A program that the command is run by."""

    @property
    def text(self) -> str:
        """The configuration file."""
        role = self.role or self.world.settings.role
        return (
            f"auth: {{method: aws_iam, role: {role}}}\n"
            "outputs:\n"
            f"  - destination: {self.folder}/{self.directory}/app.conf\n"
            f"    template: '{self.template}'\n"
            f"{self.more}"
        )


Setup = Callable[[Deployment], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mistake: the code that names it, the exit code, and what the tool must say."""

    name: str
    title: str
    story: str
    code: str
    exit_code: int
    says: tuple[str, ...]
    setup: Setup
    mended: str


@contextlib.asynccontextmanager
async def _wrong_role(deployment: Deployment) -> AsyncIterator[None]:
    await deployment.world.bind_role("reporting", arns=["arn:aws:iam::123456789012:role/reporting"])
    deployment.role = "reporting"
    yield


@contextlib.asynccontextmanager
async def _no_role(deployment: Deployment) -> AsyncIterator[None]:
    deployment.role = "prodcut"
    yield


@contextlib.asynccontextmanager
async def _wrong_region(deployment: Deployment) -> AsyncIterator[None]:
    deployment.env["LEASEKEEPER_AUTH__STS_REGION"] = "eu-west-1"
    yield


@contextlib.asynccontextmanager
async def _denied_path(deployment: Deployment) -> AsyncIterator[None]:
    deployment.template = TEMPLATE.replace("creds/product", "creds/orders")
    yield


@contextlib.asynccontextmanager
async def _unwritable(deployment: Deployment) -> AsyncIterator[None]:
    directory = deployment.folder / "config"
    directory.mkdir(mode=0o755)
    if os.geteuid() == 0:
        # Somebody else's directory, and root without its privilege to write there all the same.
        os.chown(directory, 1001, 1001)
        setpriv = shutil.which("setpriv") or "setpriv"
        deployment.wrapper = (setpriv, "--bounding-set=-dac_override,-dac_read_search")
    else:
        directory.chmod(0o555)
    yield


@contextlib.asynccontextmanager
async def _sealed(deployment: Deployment) -> AsyncIterator[None]:
    await deployment.world.openbao.seal()
    try:
        yield
    finally:
        await deployment.world.openbao.unseal()


@contextlib.asynccontextmanager
async def _typo(deployment: Deployment) -> AsyncIterator[None]:
    deployment.template = TEMPLATE.replace("with secret", "with secrte")
    yield


@contextlib.asynccontextmanager
async def _missing_key(deployment: Deployment) -> AsyncIterator[None]:
    deployment.template = '{{ with secret "secret/product" }}{{ .Data.data.api_kye }}{{ end }}'
    yield


@contextlib.asynccontextmanager
async def _unknown_key(deployment: Deployment) -> AsyncIterator[None]:
    deployment.more = "lifecycle: {startup_deadlin: 30s}\n"
    yield


@contextlib.asynccontextmanager
async def _expired_ca(deployment: Deployment) -> AsyncIterator[None]:
    certificates = deployment.folder / "certificates"
    certificates.mkdir()
    authority = Authority(certificates, "vault-ca")
    expired = authority._sign(
        authority._name, authority._key, authority=True, lasts=timedelta(days=-1)
    )
    authority.file.write_bytes(expired.public_bytes(serialization.Encoding.PEM))
    context = authority.server("127.0.0.1")

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    deployment.env |= {"VAULT_ADDR": f"https://127.0.0.1:{port}"}
    deployment.env |= {"VAULT_CACERT": str(authority.file)}
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_handshakes_may_fail)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        loop.set_exception_handler(None)


def _handshakes_may_fail(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    if not isinstance(context.get("exception"), ssl.SSLError | ConnectionError):
        loop.default_exception_handler(context)


@contextlib.asynccontextmanager
async def _unreachable(deployment: Deployment) -> AsyncIterator[None]:
    deployment.env["VAULT_ADDR"] = "http://127.0.0.1:9"
    yield


CASES = (
    Case(
        name="wrong-role",
        title="The wrong Vault role",
        story="`auth.role` names a role of Vault that is bound to another IAM role.",
        code="LK-AUTH-003",
        exit_code=3,
        says=("is not bound to the role", "bound_iam_principal_arn"),
        setup=_wrong_role,
        mended="Name the right role, or bind the task role's ARN to this one.",
    ),
    Case(
        name="no-such-role",
        title="A misspelt Vault role",
        story="`auth.role` names a role that does not exist.",
        code="LK-AUTH-002",
        exit_code=3,
        says=("Vault has no role", "check auth.role"),
        setup=_no_role,
        mended="Correct `auth.role`.",
    ),
    Case(
        name="wrong-region",
        title="The wrong region",
        story="The login is signed for STS in eu-west-1; Vault asks the STS of us-east-1.",
        code="LK-AUTH-004",
        exit_code=3,
        says=("region", "sts_region"),
        setup=_wrong_region,
        mended="Remove `auth.sts_region`, or set it to Vault's `sts_region`.",
    ),
    Case(
        name="denied-path",
        title="A path that the policy does not allow",
        story="The template reads a path that none of the token's policies mentions.",
        code="LK-SECRET-001",
        exit_code=4,
        says=("learn/database/creds/orders: needs read", 'capabilities = ["read"]'),
        setup=_denied_path,
        mended="Add the printed HCL to a policy of the role, or correct the path.",
    ),
    Case(
        name="unwritable",
        title="A volume that cannot be written",
        story="The EFS access point belongs to another user than the one Leasekeeper runs as.",
        code="LK-FILE-001",
        exit_code=5,
        says=("Permission denied", "must be writable"),
        setup=_unwritable,
        mended="Run the container as the access point's user, or the access point as ours.",
    ),
    Case(
        name="sealed",
        title="Vault is sealed",
        story="Vault was restarted, and nobody has unsealed it.",
        code="LK-VAULT-002",
        exit_code=6,
        says=("Vault is sealed", "unseal"),
        setup=_sealed,
        mended="Unseal Vault. A running Leasekeeper goes on by itself.",
    ),
    Case(
        name="template-typo",
        title="A typo in a template",
        story="A function's name is misspelt.",
        code="LK-TPL-004",
        exit_code=2,
        says=('function "secrte" not defined', "outputs[0]"),
        setup=_typo,
        mended="Correct the word; `leasekeeper render --fake` shows the result without Vault.",
    ),
    Case(
        name="missing-key",
        title="A key that the secret does not have",
        story="The template uses `api_kye`; the secret has `api_key`.",
        code="LK-TPL-003",
        exit_code=4,
        says=('no entry for key "api_kye"', 'there is "api_key"'),
        setup=_missing_key,
        mended="Correct the key.",
    ),
    Case(
        name="unknown-setting",
        title="A misspelt setting",
        story="`lifecycle.startup_deadline` lacks its last letter.",
        code="LK-CONF-002",
        exit_code=2,
        says=('did you mean "startup_deadline"?',),
        setup=_unknown_key,
        mended="Take the suggestion.",
    ),
    Case(
        name="expired-ca",
        title="An expired certificate authority",
        story="`vault.ca_file` holds an authority whose time is over.",
        code="LK-TLS-002",
        exit_code=6,
        says=("certificate has expired", "ended at", "vault-ca"),
        setup=_expired_ca,
        mended="Install the new authority in `vault.ca_file`; it is read without a restart.",
    ),
    Case(
        name="unreachable",
        title="Vault cannot be reached",
        story="A security group, a route or a wrong port is in the way.",
        code="LK-VAULT-001",
        exit_code=6,
        says=("cannot be reached", "security groups"),
        setup=_unreachable,
        mended="Open the way from the task to Vault's port.",
    ),
)
