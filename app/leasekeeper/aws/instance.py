"""The instance metadata service (IMDS) of EC2: who the instance is, signed by AWS."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from leasekeeper.aws.metadata import MetadataError, ask
from leasekeeper.errors import AwsCredentialsError

# Answers come within milliseconds; on a machine that is no instance none comes at all.
TIMEOUT_S = 2.0
# As long as a session may be: it is used for two questions, at once.
_SESSION_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
_ENDPOINTS = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
# What a service without sessions (IMDSv1) says to the request for one.
_NO_SESSIONS = frozenset({0, 403, 404, 405})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIdentity:
    """The identity document, byte by byte as it is signed, and the signature in base64."""

    document: bytes
    signature: str = field(repr=False)


async def read_instance_identity() -> InstanceIdentity:
    """Ask the service, by AWS's own variables where they are set; at most 6 s long.

    :raises AwsCredentialsError: if it does not answer, or is switched off.
    """
    if _is_true("AWS_EC2_METADATA_DISABLED"):
        raise AwsCredentialsError(
            "the instance metadata service is switched off", hint="unset AWS_EC2_METADATA_DISABLED"
        )
    try:
        session = await _session()
        document = await _read("document", session)
        signature = await _read("signature", session)
    except MetadataError as error:
        raise AwsCredentialsError(
            f"the identity document of the instance cannot be read: {error}", hint=_HINT
        ) from error
    return InstanceIdentity(document=document, signature="".join(signature.decode("ascii").split()))


_HINT = (
    "this has to run on an EC2 instance (Fargate has none) whose metadata options enable the "
    "service; in a container, set HttpPutResponseHopLimit to 2. It is asked again"
)


def _endpoint() -> str:
    mode = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    default = _ENDPOINTS.get(mode, _ENDPOINTS["ipv4"])
    return (os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or default).rstrip("/")


async def _session() -> dict[str, str]:
    """Return the header of a new session (IMDSv2), or none where there are no sessions."""
    url = f"{_endpoint()}/latest/api/token"
    try:
        token = await ask(url, method="PUT", headers=_SESSION_TTL, timeout_s=TIMEOUT_S)
    except MetadataError as error:
        if error.status in _NO_SESSIONS and not _is_true("AWS_EC2_METADATA_V1_DISABLED"):
            return {}
        raise
    return {"X-aws-ec2-metadata-token": token.decode("ascii").strip()}


async def _read(name: str, session: dict[str, str]) -> bytes:
    url = f"{_endpoint()}/latest/dynamic/instance-identity/{name}"
    answer = await ask(url, headers=session, timeout_s=TIMEOUT_S)
    if not answer.isascii():
        raise MetadataError("its answer is not text")
    return answer


def _is_true(variable: str) -> bool:
    return os.environ.get(variable, "").lower() == "true"
