"""The signed GetCallerIdentity request, against AWS's rules and Vault's."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.loaders import Loader

from leasekeeper.aws.credentials import AwsCredentials
from leasekeeper.aws.sts import SignedRequest, StsEndpoint, sign_get_caller_identity, sts_endpoint
from leasekeeper.errors import ConfigError

AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
# The key pair of AWS's published SigV4 test suite.
CREDENTIALS = AwsCredentials(
    access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)
ENDPOINT = StsEndpoint(
    host="sts.eu-west-1.amazonaws.com",
    region="eu-west-1",
    url="https://sts.eu-west-1.amazonaws.com/",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


def signature(
    method: str, region: str, service: str, headers: dict[str, str], body: str, secret: str
) -> str:
    """SigV4 for the path ``/`` as AWS describes it, written down once more."""
    lowered = {name.lower(): value for name, value in sorted(headers.items())}
    names = sorted(lowered)
    lines = [method, "/", "", *(f"{name}:{lowered[name]}" for name in names), "", ";".join(names)]
    canonical = "\n".join([*lines, hashlib.sha256(body.encode()).hexdigest()])
    date = lowered["x-amz-date"]
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (date[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}".encode(), "sha256").hex()


@pytest.mark.parametrize(
    ("method", "more", "body", "expected"),
    [
        ("GET", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "POST",
            {"Content-Type": "application/x-www-form-urlencoded"},
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
    ids=["get-vanilla", "post-x-www-form-urlencoded"],
)
def test_the_reference_signer_agrees_with_the_vectors_that_aws_publishes(
    method: str, more: dict[str, str], body: str, expected: str
) -> None:
    headers = {"Host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z", **more}

    got = signature(method, "us-east-1", "service", headers, body, CREDENTIALS.secret_key)

    assert got == expected


@pytest.mark.parametrize("server_id", [None, "vault.example.com"])
@pytest.mark.parametrize("token", [None, "session/token+=="])
@pytest.mark.parametrize("region", ["global", "eu-west-1", "cn-north-1", "us-gov-west-1"])
def test_the_signature_is_right_and_covers_every_header(
    region: str, token: str | None, server_id: str | None
) -> None:
    endpoint = sts_endpoint(region)
    signed = sign_get_caller_identity(
        replace(CREDENTIALS, token=token), endpoint, at=AT, server_id=server_id
    )

    headers = dict(signed.headers)
    scheme, credential, names, found = re.split(r",? \w+=", headers.pop("Authorization"))
    headers["Host"] = endpoint.host
    expected = signature(
        "POST", endpoint.region, "sts", headers, signed.body, CREDENTIALS.secret_key
    )
    assert found == expected
    assert scheme == "AWS4-HMAC-SHA256"
    assert credential == f"AKIDEXAMPLE/20150830/{endpoint.region}/sts/aws4_request"
    assert names.split(";") == sorted(name.lower() for name in headers)


def test_the_request_is_exactly_this() -> None:
    """The golden header list: Vault refuses X-Amz-* headers that it does not know."""
    signed = sign_get_caller_identity(
        replace(CREDENTIALS, token="the-token"), ENDPOINT, at=AT, server_id="vault.example.com"
    )

    assert signed == SignedRequest(
        method="POST",
        url="https://sts.eu-west-1.amazonaws.com/",
        headers={
            "Authorization": "AWS4-HMAC-SHA256 "
            "Credential=AKIDEXAMPLE/20150830/eu-west-1/sts/aws4_request, "
            "SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-security-token;"
            "x-vault-aws-iam-server-id, "
            "Signature=c8e0790814dc030d66574222f90fed94100ab134bbfcd49c0aa5d3858f06c015",
            "Content-Length": "43",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "X-Amz-Date": "20150830T123600Z",
            "X-Amz-Security-Token": "the-token",
            "X-Vault-AWS-IAM-Server-ID": "vault.example.com",
        },
        body="Action=GetCallerIdentity&Version=2011-06-15",
    )


def test_without_token_and_server_id_their_headers_are_left_out() -> None:
    signed = sign_get_caller_identity(CREDENTIALS, ENDPOINT, at=AT)

    assert list(signed.headers) == ["Authorization", "Content-Length", "Content-Type", "X-Amz-Date"]


def test_a_signed_request_does_not_show_its_headers() -> None:
    signed = sign_get_caller_identity(replace(CREDENTIALS, token="canary"), ENDPOINT, at=AT)

    assert "canary" not in repr(signed)
    assert "Signature" not in repr(signed)


# -- where it is signed for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "host", "scope"),
    [
        ("global", "sts.amazonaws.com", "us-east-1"),
        # What Vault Agent signs for us-east-1, and what Vault asks by default.
        ("us-east-1", "sts.amazonaws.com", "us-east-1"),
        ("eu-west-1", "sts.eu-west-1.amazonaws.com", "eu-west-1"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
    ],
)
def test_host_scope_and_url_of_a_region_agree(region: str, host: str, scope: str) -> None:
    assert sts_endpoint(region) == StsEndpoint(host=host, region=scope, url=f"https://{host}/")


def test_every_region_that_botocore_knows_has_the_host_that_botocore_uses() -> None:
    partitions = Loader().load_data("partitions")["partitions"]
    regions = {
        region: partition["outputs"]["dnsSuffix"]
        for partition in partitions
        for region in partition["regions"]
        if not region.endswith("-global") and region != "us-east-1"
    }

    assert len(regions) > 30
    assert {region: sts_endpoint(region).host for region in regions} == {
        region: f"sts.{region}.{suffix}" for region, suffix in regions.items()
    }


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({}, "sts.amazonaws.com"),
        ({"AWS_REGION": "eu-west-3"}, "sts.amazonaws.com"),
        ({"AWS_REGION": "us-gov-west-1"}, "sts.us-gov-west-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "sts.cn-north-1.amazonaws.com.cn"),
        (
            {"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "eu-north-1"},
            "sts.cn-north-1.amazonaws.com.cn",
        ),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "sts.amazonaws.com"),
    ],
)
def test_the_default_is_what_an_unconfigured_vault_of_the_partition_asks(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], host: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert sts_endpoint().host == host


@pytest.mark.parametrize(
    ("url", "region", "host", "scope", "signed_url"),
    [
        (
            "https://sts.eu-west-1.amazonaws.com",
            None,
            "sts.eu-west-1.amazonaws.com",
            "eu-west-1",
            "https://sts.eu-west-1.amazonaws.com/",
        ),
        (
            "https://vpce-0a1b-2c3d.sts.us-west-2.vpce.amazonaws.com/",
            None,
            "vpce-0a1b-2c3d.sts.us-west-2.vpce.amazonaws.com",
            "us-west-2",
            "https://vpce-0a1b-2c3d.sts.us-west-2.vpce.amazonaws.com/",
        ),
        (
            "https://sts-fips.us-east-2.amazonaws.com:443",
            None,
            "sts-fips.us-east-2.amazonaws.com",
            "us-east-2",
            "https://sts-fips.us-east-2.amazonaws.com/",
        ),
        (
            "https://sts.us-east-1.amazonaws.com",
            None,
            "sts.us-east-1.amazonaws.com",
            "us-east-1",
            "https://sts.us-east-1.amazonaws.com/",
        ),
        # The global endpoint is signed for its own region, wherever the task runs.
        (
            "https://sts.amazonaws.com",
            None,
            "sts.amazonaws.com",
            "us-east-1",
            "https://sts.amazonaws.com/",
        ),
        (
            "http://127.0.0.1:5000",
            "global",
            "127.0.0.1:5000",
            "us-east-1",
            "http://127.0.0.1:5000/",
        ),
        ("http://127.0.0.1:5000", None, "127.0.0.1:5000", "eu-west-3", "http://127.0.0.1:5000/"),
        ("http://[::1]:5000/sts", "eu-west-1", "[::1]:5000", "eu-west-1", "http://[::1]:5000/sts"),
        # What is said goes before what the host seems to say.
        (
            "https://sts.eu-west-1.amazonaws.com",
            "eu-west-2",
            "sts.eu-west-1.amazonaws.com",
            "eu-west-2",
            "https://sts.eu-west-1.amazonaws.com/",
        ),
    ],
)
def test_an_explicit_endpoint_decides_host_and_url(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    region: str | None,
    host: str,
    scope: str,
    signed_url: str,
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")

    assert sts_endpoint(region, url) == StsEndpoint(host=host, region=scope, url=signed_url)


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
@pytest.mark.parametrize("region", ["us-east1", "eu west 1", "Frankfurt", "eu-west-1.evil.com/"])
def test_an_environment_that_names_no_region_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, region: str, variable: str
) -> None:
    monkeypatch.setenv(variable, region)

    with pytest.raises(ConfigError, match=f"{variable}: .* set auth.sts_region"):
        sts_endpoint()


def test_an_endpoint_with_a_query_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"auth\.sts_endpoint"):
        sts_endpoint(None, "https://sts.amazonaws.com/?Action=GetCallerIdentity")
