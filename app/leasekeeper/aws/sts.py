"""The signed GetCallerIdentity request with which Vault asks STS who we are.

Host, credential scope and URL of the signature come from one `StsEndpoint`, because Vault sends
the request on to the endpoint that *it* is configured for and STS compares all three.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from leasekeeper.aws.credentials import AwsCredentials
from leasekeeper.errors import ConfigError

BODY = "Action=GetCallerIdentity&Version=2011-06-15"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
SERVER_ID_HEADER = "X-Vault-AWS-IAM-Server-ID"

GLOBAL = "global"
# The global endpoint is served from, and signed for, this region. Vault Agent signs for the
# global host when told us-east-1, and it is what Vault asks unless `sts_endpoint` is set.
GLOBAL_REGION = "us-east-1"
GLOBAL_HOST = "sts.amazonaws.com"

# DNS suffix by the region's first part; everything else is amazonaws.com, GovCloud included.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_OWN_PORTS = {"http": 80, "https": 443}
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
_REGION_IN_HOST = re.compile(rf"(?:^|\.)sts(?:-fips)?\.({_REGION.pattern})\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StsEndpoint:
    """What a signature is made for. *host* carries the port unless it is the scheme's own."""

    host: str
    region: str
    url: str


def sts_endpoint(region: str | None = None, url: str | None = None) -> StsEndpoint:
    """Return the endpoint for *region* (``global`` for sts.amazonaws.com), or the one at *url*.

    Without *region* it is ``global``, which is what a Vault without `sts_endpoint` asks, in
    whatever region the task runs; only where AWS_REGION or AWS_DEFAULT_REGION names another
    partition (China, GovCloud, ...) it is that region, because the global endpoint does not know
    such credentials. With *url*, the region that the host names comes first.

    :raises ConfigError: if the environment names no region, or *url* carries a query.
    """
    if url is not None:
        return _endpoint_at(url, region)
    region = region or _default_region()
    if region in (GLOBAL, GLOBAL_REGION):
        return StsEndpoint(host=GLOBAL_HOST, region=GLOBAL_REGION, url=f"https://{GLOBAL_HOST}/")
    suffix = next((s for start, s in _SUFFIXES.items() if region.startswith(start)), None)
    host = f"sts.{region}.{suffix or 'amazonaws.com'}"
    return StsEndpoint(host=host, region=region, url=f"https://{host}/")


def _endpoint_at(url: str, region: str | None) -> StsEndpoint:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        msg = "auth.sts_endpoint: ends after the path; Vault refuses a URL with a query"
        raise ConfigError(msg)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    region = region or _region_of(host)
    if parts.port not in (None, _OWN_PORTS[parts.scheme]):
        host = f"{host}:{parts.port}"
    return StsEndpoint(
        host=host,
        region=GLOBAL_REGION if region == GLOBAL else region,
        url=f"{parts.scheme}://{host}{parts.path or '/'}",
    )


def _region_of(host: str) -> str:
    if host == GLOBAL_HOST:
        return GLOBAL
    named = _REGION_IN_HOST.search(host)
    return named[1] if named else _ambient_region()


def _default_region() -> str:
    region = _ambient_region()
    return region if region.startswith((*_SUFFIXES, "us-gov-")) else GLOBAL


def _ambient_region() -> str:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if region := os.environ.get(name):
            if not _REGION.fullmatch(region):
                msg = f'{name}: {region!r} is no region, such as "eu-west-1"; set auth.sts_region'
                raise ConfigError(msg)
            return region
    return GLOBAL


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request that proves who we are to whoever sends it to STS, for some 15 minutes."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: str


def sign_get_caller_identity(
    credentials: AwsCredentials,
    endpoint: StsEndpoint,
    *,
    at: float,
    server_id: str | None = None,
) -> SignedRequest:
    """Sign the request at Unix time *at*; *server_id* goes into Vault's header, signed as well.

    The headers are the fewest that do: Vault refuses X-Amz-* headers it does not know. Every one
    of them is signed, and so is Host, which Vault takes from the URL.
    """
    timestamp = datetime.fromtimestamp(at, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Length": str(len(BODY)),
        "Content-Type": CONTENT_TYPE,
        "Host": endpoint.host,
        "X-Amz-Date": timestamp,
    }
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    if server_id:
        headers[SERVER_ID_HEADER] = server_id
    authorization = _authorization(credentials, endpoint, headers, timestamp)
    del headers["Host"]
    return SignedRequest(
        method="POST",
        url=endpoint.url,
        headers={"Authorization": authorization, **headers},
        body=BODY,
    )


def _authorization(
    credentials: AwsCredentials, endpoint: StsEndpoint, headers: dict[str, str], timestamp: str
) -> str:
    # Not SigV4Auth.add_auth: it reads the clock itself, and logs the token when debugging.
    signer = SigV4Auth(credentials, "sts", endpoint.region)
    request = AWSRequest(method="POST", url=endpoint.url, headers=headers, data=BODY.encode())
    request.context["timestamp"] = timestamp
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
