"""/status of a task that has nothing to tell of its own: another writes, or it has just begun."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from leasekeeper import __version__
from leasekeeper.runtime.clock import iso, now
from leasekeeper.web.document import VERSION, OutputStatus, Status
from leasekeeper.web.status import events, seconds_left


def status_of(told: Mapping[str, Any]) -> Status:
    """Return what is true now, as far as *told* does, the body of /health."""
    outputs, expired = told["outputs"], set(told["expired"])
    budget_s = told["outage_budget_seconds"]
    budget_s = math.inf if budget_s is None else budget_s
    return {
        "version": VERSION,
        "leasekeeper": __version__,
        "now": iso(now()),
        "state": told["state"],
        "reasons": told["reasons"],
        "outage_budget_seconds": seconds_left(budget_s),
        "outage_budget_until": iso(now() + budget_s),
        "vault": None,
        "token": None,
        "secrets": [],
        "outputs": [
            _output(name, each, expired=name in expired)
            for name, each in (outputs.items() if isinstance(outputs, dict) else ())
            if isinstance(each, dict)
        ],
        "sinks": [],
        "application": None,
        "state_store": None,
        "shared": None,
        "events": events(),
    }


def _output(name: str, told: dict[str, Any], *, expired: bool) -> OutputStatus:
    # Another task has written it: anything may be in it.
    end, generation = told.get("valid_until"), told.get("generation")
    left = float(end) - time.time() if isinstance(end, int | float) else math.inf
    generation = generation if isinstance(generation, int) else 0
    return {
        "name": name,
        "group": None,
        "state": "published" if generation else "waiting",
        "generation": generation,
        "published": None,
        "size_bytes": 0,
        "expires": iso(now() + left),
        "valid_seconds": seconds_left(left),
        "expired": expired,
        "secrets": [],
        "waiting_for": [],
        "notify": None,
        "error": None,
    }
