"""Small questions to the HTTP endpoints that ECS and EC2 put beside a task.

They never go through a proxy: to a proxy, 169.254.170.2 is its own neighbourhood, so it would
answer with an error, or with the credentials of the machine that it runs on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from leasekeeper.runtime.http import tls_for

# Credentials are 2 KiB, a task's metadata some 10 KiB per container. More is not an answer.
MAX_BODY_BYTES = 512 * 1024


class MetadataError(Exception):
    """An endpoint gave no usable answer. The text never holds any of the body.

    *status* is the HTTP status, or 0 when there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


async def get_json(
    url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float
) -> dict[str, Any]:
    """Return the JSON object at *url*. Redirects are not followed.

    :raises MetadataError: on any other outcome, after at most *timeout_s* seconds.
    """
    return _parse(await ask(url, headers=headers, timeout_s=timeout_s))


async def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
) -> bytes:
    """Return what *url* answers. Redirects are not followed.

    :raises MetadataError: if that is not a success, after at most *timeout_s* seconds.
    """
    # trust_env=False is aiohttp's default; it is written down because everything hangs on it.
    limits = aiohttp.ClientTimeout(total=timeout_s)
    target = URL(url, encoded=True)
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=limits) as session,
            session.request(
                method, target, headers=headers, allow_redirects=False, ssl=tls_for(url)
            ) as answer,
        ):
            if answer.status != 200:
                raise MetadataError(f"it answered {answer.status}", status=answer.status)
            return await _read(answer)
    except TimeoutError as error:
        raise MetadataError(f"it did not answer within {timeout_s:g} s") from error
    except aiohttp.ClientConnectorError as error:
        raise MetadataError(f"no connection: {error.strerror or 'failed'}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise MetadataError(f"the request failed ({type(error).__name__})") from error


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise MetadataError(f"its answer is longer than {MAX_BODY_BYTES // 1024} KiB")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        # Without the cause: it would carry the body along.
        raise MetadataError("its answer is not JSON") from None
    if not isinstance(document, dict):
        raise MetadataError("its answer is not a JSON object")
    return document
