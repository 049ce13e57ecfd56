"""The OpenAPI document of the HTTP server; ``python -m leasekeeper.web.openapi FILE`` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from leasekeeper import __version__
from leasekeeper.web.schema import status_schema

_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_HEALTH = {
    "type": "object",
    "description": "draft-inadarei-api-health-check-06, and more.",
    "required": ["status", "state", "reasons", "expired", "outage_budget_seconds", "outputs"],
    "properties": {
        "status": {"enum": ["pass", "warn", "fail"]},
        "state": {"enum": ["starting", "healthy", "degraded", "unhealthy"]},
        "version": {"type": "string"},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "expired": {"type": "array", "items": {"type": "string"}},
        "outage_budget_seconds": {"type": ["number", "null"]},
        "outputs": {"type": "object"},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"enum": ["pass", "fail"]}, "state": {"type": "string"}},
}


def openapi() -> dict[str, Any]:
    """Return the document."""
    status = status_schema()
    components = {name: _moved(each) for name, each in status["$defs"].items()}
    whole = {key: value for key, value in status.items() if key not in ("$defs", "$schema")}
    components["Status"] = _moved(whole)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leasekeeper",
            "version": __version__,
            "description": "No answer holds a secret. Paths for people are answered to this "
            "machine unless web.page says otherwise.",
        },
        "paths": {
            "/health": _get("Whether what is on disk can be relied on", _health(), 503),
            "/health/live": _get("Whether the process turns", _json(_ANSWER)),
            "/health/ready": _get("Whether every file has been in place once", _json(_ANSWER), 503),
            "/metrics": _get("Metrics for Prometheus", _TEXT),
            "/agent/v1/metrics": _get("The same, where Vault Agent has them", _TEXT),
            "/status": _people(
                "Everything that is known", _json({"$ref": "#/components/schemas/Status"})
            ),
            "/status.schema.json": _people(
                "JSON Schema of /status", _json({"type": "object"}, "application/schema+json")
            ),
            "/openapi.json": _people("This document", _json({"type": "object"})),
            "/v1/refresh": _control("Read or renew one secret, or all of them, now"),
            "/v1/rotate": _control("Have a new value of one secret made now"),
            "/v1/quit": _control("Stop the process, as SIGTERM does"),
            "/": _people("The status page", {"text/html": {"schema": {"type": "string"}}}),
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _get(summary: str, content: dict[str, Any], *more: int) -> dict[str, Any]:
    answers = {str(code): {"description": summary, "content": content} for code in (200, *more)}
    return {"get": {"summary": summary, "responses": answers}}


def _control(summary: str) -> dict[str, Any]:
    secret = {"type": "object", "properties": {"secret": {"type": "string"}}}
    answers = {
        202: "It is being done",
        400: "The body is not what is needed",
        401: "Without the token of this run",
        403: "Not from this machine, or from the page of another origin",
        404: "There is no such secret",
        409: "Vault makes no new value of it when asked",
        413: "The body is too large",
        421: "Asked for by a name that is not in web.allowed_hosts",
        429: "Too often; Retry-After says when to try again",
        503: "The process keeps no secrets now",
    }
    return {
        "post": {
            "summary": summary,
            "security": [{"token": []}],
            "requestBody": {"required": False, "content": {"application/json": {"schema": secret}}},
            "responses": {str(code): {"description": text} for code, text in answers.items()},
        }
    }


def _people(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    found = _get(summary, content)
    for code, reason in {
        403: "Not from this machine, or from the page of another origin",
        404: "Switched off by web.page",
        421: "Asked for by a name that is not in web.allowed_hosts",
    }.items():
        found["get"]["responses"][str(code)] = {"description": reason, "content": _TEXT}
    return found


def _json(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _health() -> dict[str, Any]:
    return _json(_HEALTH, "application/health+json")


def _moved(schema: Any) -> Any:
    """Let references point to where the parts are in this document."""
    if isinstance(schema, list):
        return [_moved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", "#/components/schemas/")
        if key == "$ref" and isinstance(value, str)
        else _moved(value)
        for key, value in schema.items()
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(f"{json.dumps(openapi(), indent=1)}\n", encoding="utf-8")
