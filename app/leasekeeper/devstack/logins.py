"""IAM logins from beginning to end: the checks, STS, and a token from OpenBao.

OpenBao's binary has no `aws` auth method, so an AppRole method is mounted in its place
(`auth/aws`). It holds the roles and issues the tokens, with their policies and TTLs, and it
renews them by the role's rules as Vault's method does. Only the way to prove who one is differs,
and that is what happens here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
from multidict import CIMultiDict

from leasekeeper.devstack.admin import Admin
from leasekeeper.devstack.iam_login import (
    Caller,
    LoginRefused,
    SignedCall,
    parse_caller,
    parse_login,
    quoted,
)
from leasekeeper.devstack.sts import Sts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """What of a login request's head matters; *prefix* is a namespace in the path, with `/`."""

    mount: str
    prefix: str = ""
    namespace: str = ""
    wrap_ttl: str = ""
    now: datetime


class IamLogins:
    """Answers logins. `bindings` maps the name of a role to the ARNs that may use it."""

    def __init__(self, admin: Admin, sts: Sts, *, server_id: str | None) -> None:
        self.server_id = server_id
        self.bindings: dict[str, tuple[str, ...]] = {}
        self._admin = admin
        self._sts = sts
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def answer(
        self, payload: Mapping[str, Any], request: LoginRequest
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the body that Vault would answer with."""
        try:
            call = parse_login(payload, server_id=self.server_id)
            caller = parse_caller(await self._ask_sts(call, request.now))
            role = str(payload.get("role") or caller.name)
            self._check_binding(role, caller)
            return await self._issue(role, caller, request)
        except LoginRefused as refused:
            return 400, {"errors": [str(refused)]}

    async def _ask_sts(self, call: SignedCall, now: datetime) -> str:
        """Return the ARN of whoever signed *call*."""
        single = {name: ",".join(values) for name, values in call.headers.items()}
        if (objection := self._sts.objection(call.host, single, now=now)) is not None:
            raise _from_sts(objection.status, objection.xml())
        headers = CIMultiDict(
            (name, value)
            for name, values in call.headers.items()
            for value in values
            # Go takes the host from the URL and counts the body itself; so do we.
            if name not in ("Host", "Content-Length")
        )
        headers["Host"] = call.host
        url = self._sts.url + call.path
        try:
            async with self._session.post(
                url, data=call.body.encode(), headers=headers, allow_redirects=False
            ) as answer:
                return _arn(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LoginRefused(
                f"error making upstream request: error making request: {error}"
            ) from error

    def _check_binding(self, role: str, caller: Caller) -> None:
        if (bound := self.bindings.get(role)) is None:
            raise LoginRefused(f"entry for role {role} not found")
        if not caller.belongs_to(bound):
            raise LoginRefused(
                f"IAM Principal {quoted(caller.arn)} does not belong to the role {quoted(role)}"
            )

    async def _issue(
        self, role: str, caller: Caller, request: LoginRequest
    ) -> tuple[int, dict[str, Any]]:
        method = f"{request.prefix}auth/{request.mount}"
        space = {"X-Vault-Namespace": request.namespace}
        status, body = await self._admin.send("GET", f"{method}/role/{role}/role-id", headers=space)
        if status == 404:
            raise LoginRefused(f"entry for role {role} not found")
        if status != 200:
            return status, body
        role_id = body["data"]["role_id"]
        wrapping = {"X-Vault-Token": "", "X-Vault-Wrap-TTL": request.wrap_ttl}
        status, body = await self._admin.send(
            "POST", f"{method}/login", {"role_id": role_id}, headers=space | wrapping
        )
        if status == 200 and body.get("auth"):
            body["auth"]["metadata"] = {
                "account_id": caller.account,
                "auth_type": "iam",
                "role_id": role_id,
            }
        return status, body


def _from_sts(status: int, text: str) -> LoginRefused:
    return LoginRefused(
        f"error making upstream request: received error code {status} from STS: {text}"
    )


def _arn(status: int, text: str) -> str:
    if status != 200:
        raise _from_sts(status, text)
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise LoginRefused(
            "error making upstream request: body of GetCallerIdentity is invalid"
        ) from error
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Arn":
            return element.text or ""
    raise LoginRefused("error making upstream request: error parsing STS response")
