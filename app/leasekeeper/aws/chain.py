"""Where AWS credentials come from: botocore's order, without its weight where that is possible.

In a task the container endpoint is nearly always the answer. It is then asked directly, with
aiobotocore's fetcher (3 MiB of memory), instead of through a whole session (8 MiB).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from leasekeeper.aws.credentials import AwsCredentials, Load
from leasekeeper.errors import AwsCredentialsError

# botocore's own limits add up to five minutes when STS is behind a firewall that drops packets.
TIMEOUT_S = 20.0

_CONTAINER_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# What botocore looks at before it asks the container endpoint.
_EARLIER_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_EARLIER_FILES = (
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("AWS_CONFIG_FILE", "~/.aws/config"),
)


def find_source(profile: str | None, region: str) -> Load:
    """Return the function that reads this task's credentials; nothing is read yet.

    *profile*, of the AWS shared configuration, goes before everything else. *region* is where STS
    is asked if a role has to be assumed first (web identity, a profile with ``role_arn``).
    """
    if profile is None and _set(_CONTAINER_VARIABLES) and not _configured_otherwise():
        from leasekeeper.aws.container import read_container_credentials

        return read_container_credentials
    return _SessionChain(profile, region).read


def _set(names: tuple[str, ...]) -> bool:
    return any(os.environ.get(name) for name in names)


def _configured_otherwise() -> bool:
    paths = (os.environ.get(name) or default for name, default in _EARLIER_FILES)
    return _set(_EARLIER_VARIABLES) or any(
        os.path.exists(os.path.expanduser(path)) for path in paths
    )


class _SessionChain:
    """botocore's own chain. It is built anew after a failure, to read configuration files again;
    otherwise it is kept, because every new one costs megabytes until the next full collection.
    """

    def __init__(self, profile: str | None, region: str) -> None:
        self._profile = profile
        self._region = region
        self._chain: Any = None
        self._assumed: dict[str, Any] = {}

    async def read(self) -> AwsCredentials:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            chain, self._chain = self._chain or self._build(), None
            self._assumed.clear()  # what is read here is new; keeping it is the caller's part
            async with asyncio.timeout(TIMEOUT_S):
                found = await chain.load_credentials()
                frozen = await found.get_frozen_credentials() if found else None
        except (
            BotoCoreError,
            ClientError,
            OSError,
            ValueError,
            LookupError,
            RuntimeError,
        ) as error:
            raise _explained(error) from error
        if found is None or frozen is None:
            raise AwsCredentialsError("no AWS credentials were found", hint=_NOTHING_FOUND)
        self._chain = chain
        return AwsCredentials(
            access_key=frozen.access_key,
            secret_key=frozen.secret_key,
            token=frozen.token,
            expires_at=_expiry(found),
            source=found.method,
            role_arn=os.environ.get("AWS_ROLE_ARN") if "web-identity" in found.method else None,
        )

    def _build(self) -> Any:
        from aiobotocore.credentials import create_credential_resolver
        from aiobotocore.session import AioSession

        # It would log every failed try with a traceback; what it raises says the same.
        logging.getLogger("aiobotocore.credentials").setLevel(logging.CRITICAL)
        session = AioSession(profile=self._profile)
        session.set_config_variable("region", self._region)
        with _proxies_out_of_sight():
            return create_credential_resolver(session, cache=self._assumed)


@contextmanager
def _proxies_out_of_sight() -> Iterator[None]:
    """Hide proxies while botocore builds its metadata clients.

    It asks the environment for them at that moment only, and would send requests for
    169.254.169.254 through them. STS, which is asked later, goes through proxies as usual.
    Nothing else runs in between: there is no await in the block.
    """
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before


def _expiry(found: Any) -> float | None:
    # botocore keeps it to itself; credentials that do not expire have none.
    expiry = getattr(found, "_expiry_time", None)
    return expiry.timestamp() if isinstance(expiry, datetime) else None


_NOTHING_FOUND = (
    "give the task definition a task role (taskRoleArn); the execution role serves ECS itself and "
    "is not visible to containers. Outside ECS use the environment, a profile, web identity or an "
    "instance profile"
)
# Errors whose text names profiles, files and hosts, and never anything that was answered.
_HINTS = {
    "ProfileNotFound": "check auth.profile, AWS_PROFILE and the files ~/.aws/config and "
    "~/.aws/credentials (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE)",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither",
    "ConfigParseError": "mend the AWS configuration file",
    "FileNotFoundError": "check AWS_WEB_IDENTITY_TOKEN_FILE",
    "EndpointConnectionError": "STS has to be reachable to assume the role; it is tried again",
    "TimeoutError": "STS or whatever else provides the credentials did not answer in time; it is "
    "tried again",
    "ConnectTimeoutError": "STS has to be reachable to assume the role; it is tried again",
}


def _explained(error: Exception) -> AwsCredentialsError:
    kind = type(error).__name__
    if isinstance(answer := getattr(error, "response", None), dict):
        code = answer.get("Error", {}).get("Code")
        said = f"STS refused {getattr(error, 'operation_name', 'a role')} ({code})"
        hint = "check the role's trust policy and the identity that assumes it"
    elif kind in _HINTS:
        said, hint = str(error) or kind, _HINTS[kind]
    else:
        said, hint = kind, "they are asked for again; " + _NOTHING_FOUND
    return AwsCredentialsError(f"AWS credentials could not be read: {said}", hint=hint)
