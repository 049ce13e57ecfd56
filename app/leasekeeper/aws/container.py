"""The container credentials endpoint: ECS task roles, and EKS pod identities."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import aiofiles
from aiobotocore.utils import AioContainerMetadataFetcher
from botocore.exceptions import MetadataRetrievalError

from leasekeeper.aws.credentials import AwsCredentials
from leasekeeper.aws.metadata import MetadataError, get_json
from leasekeeper.errors import AwsCredentialsError

RELATIVE_URI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
AUTHORIZATION_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
AUTHORIZATION_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

SOURCE = "container-role"

_HINTS = {
    0: "ECS may not have them ready yet, so they are asked for again; if it stays so, something "
    "in the task (iptables, a service mesh) blocks the endpoint",
    400: "the ECS agent does not know this task's credentials: check that the task role "
    "(taskRoleArn) exists and that ECS may assume it",
    401: "the endpoint wants another authorization token: check AWS_CONTAINER_AUTHORIZATION_TOKEN "
    "or the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names",
    500: "the ECS agent cannot get them at the moment, so they are asked for again; if it stays "
    "so, check that the task role's trust policy allows ecs-tasks.amazonaws.com",
}
_SAME_HINT = {403: 401, 404: 400}


class _Fetcher(AioContainerMetadataFetcher):  # type: ignore[misc]
    """botocore's rules on allowed hosts and tries, over our own HTTP.

    The original builds a TLS context for every request, reads answers of any length, and puts
    the body of a refusal into its error.
    """

    TIMEOUT_SECONDS = 2
    RETRY_ATTEMPTS = 3
    SLEEP_TIME = 0.3

    async def _get_response(
        self, full_url: str, headers: dict[str, str], timeout: float
    ) -> dict[str, Any]:
        try:
            return await get_json(full_url, headers=headers, timeout_s=timeout)
        except MetadataError as error:
            raise MetadataRetrievalError(error_msg=str(error)) from error


async def read_container_credentials() -> AwsCredentials:
    """Ask the endpoint that the environment names, at most 7 s long.

    :raises AwsCredentialsError: if it gives no usable credentials.
    """
    fetcher = _Fetcher()
    relative = os.environ.get(RELATIVE_URI)
    url = fetcher.full_url(relative) if relative else os.environ.get(FULL_URI, "")
    try:
        document = await fetcher.retrieve_full_uri(url, headers=await _authorization())
    except MetadataRetrievalError as error:
        raise _unreadable(error) from error
    except ValueError as error:
        raise AwsCredentialsError(
            f"{RELATIVE_URI if relative else FULL_URI} names a host that may not be asked for "
            "AWS credentials",
            hint="allowed are https anywhere, and http on 169.254.170.2, 169.254.170.23, "
            "[fd00:ec2::23] and loopback addresses",
        ) from error
    return _credentials(document)


async def _authorization() -> dict[str, str]:
    """Return the header that the endpoint may ask for; the file is read every time."""
    path = os.environ.get(AUTHORIZATION_TOKEN_FILE)
    token = await _token_from(path) if path else os.environ.get(AUTHORIZATION_TOKEN, "")
    token = token.strip()
    if not token.isprintable():
        raise AwsCredentialsError(
            "the token for the container credentials endpoint is not one line of text",
            hint=f"check {AUTHORIZATION_TOKEN_FILE if path else AUTHORIZATION_TOKEN}",
        )
    return {"Authorization": token} if token else {}


async def _token_from(path: str) -> str:
    try:
        async with aiofiles.open(path, encoding="utf-8") as file:
            return await file.read(64 * 1024)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AwsCredentialsError(
            f"{AUTHORIZATION_TOKEN_FILE} {path!r} cannot be read: {why}",
            hint="the file belongs to whatever provides the container's AWS credentials",
        ) from error


def _unreadable(error: MetadataRetrievalError) -> AwsCredentialsError:
    cause = error.__cause__
    status = cause.status if isinstance(cause, MetadataError) else 0
    known = _SAME_HINT.get(status, min(status, 500))
    return AwsCredentialsError(
        f"the container credentials endpoint gave no credentials: {cause}",
        hint=_HINTS.get(known, _HINTS[0]),
    )


def _credentials(document: dict[str, Any]) -> AwsCredentials:
    def text(key: str) -> str | None:
        value = document.get(key)
        return value if isinstance(value, str) and value else None

    access_key, secret_key = text("AccessKeyId"), text("SecretAccessKey")
    if access_key is None or secret_key is None:
        raise AwsCredentialsError(
            "the container credentials endpoint answered something that is not credentials",
            hint=f"check what {RELATIVE_URI} or {FULL_URI} points to",
        )
    return AwsCredentials(
        access_key=access_key,
        secret_key=secret_key,
        token=text("Token"),
        expires_at=_unix_time(text("Expiration")),
        source=SOURCE,
        role_arn=text("RoleArn"),
    )


def _unix_time(expiration: str | None) -> float | None:
    try:
        return datetime.fromisoformat(expiration).timestamp() if expiration else None
    except ValueError as error:
        raise AwsCredentialsError(
            "the container credentials endpoint names an expiration that is not a date",
            hint="ECS writes it as 2026-01-31T12:00:00Z",
        ) from error
