"""The section of token sinks."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr, model_validator

from leasekeeper.settings.durations import Duration
from leasekeeper.settings.fields import Account, Destination, FilePath, Mode, Section, Text


class SinkSection(Section):
    """One file with the Vault token, for other programs."""

    path: Destination
    """Absolute path of the file; missing directories are created with mode 0755."""
    mode: Mode = 0o640
    """File mode, an octal string in quotes."""
    user: Account | None = None
    """Owner, name or number. Needs the privilege to change owners."""
    group: Account | None = None
    """Group, name or number."""
    wrap_ttl: Duration = 0.0
    """Write a response-wrapping token of this life instead of the token itself: whoever unwraps it
    first, and only once, gets the token. `0` is the token itself."""
    dh_type: Literal["curve25519"] | None = None
    """Encrypt what is written for the reader whose public key is in `dh_path`: X25519 and
    AES-256-GCM."""
    dh_path: FilePath | None = None
    """File with the reader's public key, `{"curve25519_public_key": "<base64>"}`. The first key
    found there is used as long as the process lives."""
    derive_key: bool = False
    """Derive the AES key from the shared secret and both public keys (HKDF-SHA256) instead of
    using the shared secret itself. Better, and the reader has to do the same."""
    aad: SecretStr | None = None
    """Additional data that is authenticated with what is encrypted; the reader needs it too."""
    aad_env_var: Text | None = None
    """Environment variable with the additional data; it goes before `aad`."""

    @model_validator(mode="after")
    def _check(self) -> SinkSection:
        if 0 < self.wrap_ttl < 1:
            msg = "wrap_ttl needs to be 0 or at least 1s"
            raise ValueError(msg)
        if (self.dh_type is None) != (self.dh_path is None):
            msg = "dh_type and dh_path only work together"
            raise ValueError(msg)
        if self.dh_type is None and (self.derive_key or self.aad or self.aad_env_var):
            msg = "derive_key, aad and aad_env_var need dh_type"
            raise ValueError(msg)
        return self
