"""The port of the auth methods: one login, however it is proven to Vault who we are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from leasekeeper.vault.response import AuthData, VaultResponse


class LoginClient(Protocol):
    """What an auth method needs of Vault's client."""

    @property
    def clock_offset_s(self) -> float | None:
        """Vault's ``Date`` header minus our clock, of the newest answer, in seconds."""

    async def login(
        self, mount: str, body: Mapping[str, str], *, namespace: str | None = None
    ) -> VaultResponse:
        """Log in at ``auth/<mount>/login``, without a token.

        :raises VaultError: with Vault's own words in ``.errors``; VaultUnavailable if it could not
            answer, anything else if it refused.
        """

    async def lookup_token(self, token: str) -> VaultResponse:
        """Look up *token*; raises like `login`."""


class AuthMethod(Protocol):
    """A way to log in. It holds no token: whoever calls `login` keeps what it returns."""

    @property
    def name(self) -> str:
        """What chooses it in the settings: ``aws_iam``, ``approle``, ..."""

    async def login(self, client: LoginClient) -> AuthData:
        """Log in once; the caller retries.

        :raises AwsCredentialsError: if the task has no usable AWS credentials (yet).
        :raises LoginInputError: if a file that the login needs is missing or unusable (yet).
        :raises LoginDenied: if Vault refused; its hint says how to mend it.
        :raises VaultUnavailable: if Vault, or STS behind it, could not answer.
        """

    def describe(self) -> str:
        """Return who logs in where, for logs: ``role "web" at "auth/aws"``."""

    async def close(self) -> None:
        """Let go of whatever the method holds; it is not used afterwards."""
