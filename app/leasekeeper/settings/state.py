"""The section about what survives a restart."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr, model_validator

from leasekeeper.settings import checks
from leasekeeper.settings.fields import Section, Text

# 32 characters of base64 hold 192 random bits; anything that people can remember holds fewer.
SHORTEST_KEY = 32


class StateEncryption(Section):
    """How the state is encrypted (AES-256-GCM). Exactly one of the three is needed."""

    kms_key_id: Text | None = None
    """Key of AWS KMS, as id, ARN or `alias/...`: it makes and opens the data key, which lies
    encrypted in the file. The task role needs kms:GenerateDataKey and kms:Decrypt."""
    key: SecretStr | None = None
    """Secret that the data key is derived from, at least 32 random characters. Give it in the
    environment."""
    none: bool = False
    """Do not encrypt: whoever reads the file has the token and every secret."""

    @model_validator(mode="after")
    def _check(self) -> StateEncryption:
        if sum((self.kms_key_id is not None, self.key is not None, self.none)) != 1:
            msg = "exactly one of kms_key_id, key and none: true is needed"
            raise ValueError(msg)
        if self.key is not None and len(self.key.get_secret_value()) < SHORTEST_KEY:
            msg = f"key needs at least {SHORTEST_KEY} random characters (openssl rand -base64 32)"
            raise ValueError(msg)
        return self


class StateSection(Section):
    """What survives a restart inside the task: the token, the leases and their values."""

    path: Annotated[str, AfterValidator(checks.directory)] | None = None
    """Directory of the state, for this process alone; a volume of the task is best. Without it
    nothing survives."""
    encryption: StateEncryption | None = None
    """How the state is encrypted; needed with `path`."""

    @model_validator(mode="after")
    def _check(self) -> StateSection:
        if self.path is not None and self.encryption is None:
            msg = (
                "encryption is needed with path, because the state holds the token and secrets: "
                "kms_key_id (a key of AWS KMS), key (in the environment, "
                "LEASEKEEPER_STATE__ENCRYPTION__KEY), or none: true"
            )
            raise ValueError(msg)
        if self.path is None and self.encryption is not None:
            msg = "encryption has no effect without path"
            raise ValueError(msg)
        return self
