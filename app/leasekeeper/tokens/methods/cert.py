"""Log in with a TLS client certificate (Vault's `cert` method)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.errors import ConfigError, LoginInputError
from leasekeeper.telemetry.events import log
from leasekeeper.tokens.denials import LoginContext, refusals_explained
from leasekeeper.tokens.methods.common import described, token_of
from leasekeeper.tokens.methods.own_client import open_client

if TYPE_CHECKING:
    from leasekeeper.settings.model import CertAuth, VaultSection
    from leasekeeper.tokens.method import LoginClient
    from leasekeeper.vault.client import VaultClient
    from leasekeeper.vault.response import AuthData


class CertMethod:
    """Shows the certificate on a connection to *vault* that is there for the login alone.

    :raises ConfigError: if there is no certificate to show, or no TLS to show it in.
    """

    name = "cert"

    def __init__(self, auth: CertAuth, vault: VaultSection) -> None:
        self._role = auth.name
        self._mount = auth.mount
        self._namespace = auth.namespace
        self._reload = auth.reload
        self._ours = {name: there for name, there in _FILES.items() if getattr(auth, name)}
        self._vault = _with_certificate(auth, vault)
        self._client: VaultClient | None = None

    async def login(self, client: LoginClient) -> AuthData:  # noqa: ARG002 - the port's
        """Log in once; see `AuthMethod.login`."""
        own = await self._own_client()
        body = {"name": self._role} if self._role else {}
        context = LoginContext(
            method="cert",
            login=f"login of {self.describe()}",
            mount=self._mount,
            namespace=self._namespace,
            role=self._role or "",
        )
        with refusals_explained(own, context):
            response = await own.login(self._mount, body)
        return token_of(response, context)

    def describe(self) -> str:
        """Return the role, or the file of the certificate, and where it logs in."""
        who = f'"{self._role}"' if self._role else f'"{self._vault.client_cert_file}"'
        return described(f"certificate {who}", self._mount, self._namespace)

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()

    async def _own_client(self) -> VaultClient:
        """Return a client with the certificate as it is now in its files, or was before."""
        if self._client is not None and not self._reload:
            return self._client
        try:
            new = await open_client(self._vault, self._namespace)
        except LoginInputError as error:
            if self._client is None:
                raise LoginInputError(self._renamed(error.message), hint=error.hint) from None
            log.debug("auth.file_gone", error=self._renamed(error.message))
            return self._client
        await self.close()
        self._client = new
        return new

    def _renamed(self, message: str) -> str:
        """Return *message* with the names that the settings have here."""
        for name, there in self._ours.items():
            message = message.replace(f"vault.{there}", f"auth.{name}")
        return message


# Our keys, and what they are called in `vault`.
_FILES = {"ca_cert": "ca_file", "client_cert": "client_cert_file", "client_key": "client_key_file"}


def _with_certificate(auth: CertAuth, vault: VaultSection) -> VaultSection:
    """Return how to reach Vault for the login: what *auth* does not say is that of *vault*."""
    given = {there: getattr(auth, name) for name, there in _FILES.items() if getattr(auth, name)}
    if auth.ca_cert is not None:
        given["ca_path"] = None
    settings = vault.model_copy(update=given)
    if settings.client_cert_file is None:
        raise ConfigError(
            "auth.client_cert: is needed, with auth.client_key, to log in by certificate, unless "
            "vault.client_cert_file and vault.client_key_file are set"
        )
    if not settings.address.startswith("https:"):
        raise ConfigError("vault.address: has to begin with https:// to log in by certificate")
    return settings
