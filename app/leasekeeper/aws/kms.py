"""Data keys from AWS KMS. Imported only when the state is encrypted by it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from leasekeeper.aws.chain import find_source

DEADLINE_S = 10.0
"""For one request with everything before it: credentials, names, other tries."""
# botocore waits for a minute, five times. KMS answers in milliseconds, and one that hangs is soon
# asked again by who wants a key.
_PATIENCE = AioConfig(connect_timeout=3, read_timeout=4, retries={"total_max_attempts": 3})
_ARN_REGION = re.compile(r"arn:[^:]+:kms:([^:]+):")


class KmsError(Exception):
    """KMS did not do it; the text says what it answered, and holds no key."""


class KmsKey:
    """One key of KMS, by id, ARN or alias. *context* is authenticated with every data key."""

    def __init__(self, key_id: str, context: Mapping[str, str]) -> None:
        self._key_id = key_id
        self._context = dict(context)

    async def generate(self) -> tuple[bytes, bytes]:
        """Return a new data key of 32 bytes, plain and encrypted.

        :raises KmsError, AwsCredentialsError:
        """
        async with self._client("generating a data key") as client:
            answer = await client.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=self._context
            )
            return answer["Plaintext"], answer["CiphertextBlob"]

    async def decrypt(self, blob: bytes) -> bytes:
        """Return the plain data key in *blob*, which was made with the same context.

        :raises KmsError, AwsCredentialsError:
        """
        async with self._client("decrypting the data key") as client:
            answer = await client.decrypt(
                KeyId=self._key_id, CiphertextBlob=blob, EncryptionContext=self._context
            )
            plain: bytes = answer["Plaintext"]
            return plain

    @asynccontextmanager
    async def _client(self, doing: str) -> AsyncIterator[Any]:
        session = AioSession()
        named = _ARN_REGION.match(self._key_id)
        # botocore knows AWS_DEFAULT_REGION alone; ECS sets AWS_REGION.
        region = named[1] if named else os.environ.get("AWS_REGION")
        region = region or session.get_config_variable("region")
        try:
            async with asyncio.timeout(DEADLINE_S):
                credentials = await find_source(None, region or "us-east-1")()
                async with session.create_client(
                    "kms",
                    region_name=region,
                    config=_PATIENCE,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.token,
                ) as client:
                    yield client
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            raise KmsError(f"{doing} with {self._key_id!r}: KMS answered {code}") from error
        except TimeoutError as error:
            message = f"{doing} with {self._key_id!r}: no answer within {DEADLINE_S:.0f} s"
            raise KmsError(message) from error
        except (BotoCoreError, OSError) as error:
            raise KmsError(f"{doing} with {self._key_id!r}: {type(error).__name__}") from error
