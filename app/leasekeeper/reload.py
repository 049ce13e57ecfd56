"""Another configuration for a process that runs: what of it has effect, and what has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from leasekeeper.errors import ConfigError
from leasekeeper.outputs.loop import OutputLoop
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.store import SecretStore
from leasekeeper.settings.model import Settings

# What has effect at once, and all below it. Everything else waits for a restart.
_LIVE = (
    *("outputs", "groups", "log.level"),
    *("secrets.static_secret_render_interval", "secrets.overrides"),
    *("lifecycle.repair_interval", "lifecycle.remove_files", "lifecycle.on_exit"),
    *("lifecycle.shutdown_deadline", "lifecycle.startup_deadline"),
    *("lifecycle.failure_grace", "lifecycle.retry_grace"),
)
# While a change is being published, look again after this time.
_LOOK_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Merged:
    """The settings to go on with, and the keys that are different and have no effect yet."""

    settings: Settings
    waiting: tuple[str, ...]


def merge(running: Settings, wanted: Settings) -> Merged:
    """Return *running* with everything of *wanted* that can change while we run.

    :raises ConfigError: if that does not go together with what can not.
    """
    keys = tuple(_differences(running, wanted))
    settings = running
    for key in keys:
        if key in _LIVE:
            settings = _with(settings, wanted, key.split("."))
    return Merged(_checked(settings), tuple(key for key in keys if key not in _LIVE))


def _checked(settings: Settings) -> Settings:
    try:
        return Settings.model_validate(dict(settings))
    except ValidationError as error:
        problems = [each["msg"].removeprefix("Value error, ") for each in error.errors()]
        until = "until a restart, with the old value of what only that can change"
        raise ConfigError(*(f"{until}: {problem}" for problem in problems)) from None


def _differences(running: BaseModel, wanted: BaseModel, above: str = "") -> Iterator[str]:
    """Yield the keys of sections that differ; never their values."""
    for name in type(running).model_fields:
        old, new, key = getattr(running, name), getattr(wanted, name), f"{above}{name}"
        if old == new:
            continue
        if key not in _LIVE and isinstance(old, BaseModel) and type(old) is type(new):
            yield from _differences(old, new, f"{key}.")
        else:
            yield key


def _with(running: Settings, wanted: Settings, path: list[str]) -> Settings:
    section, *rest = path
    value = getattr(wanted, section)
    if rest:
        changed = {rest[0]: getattr(value, rest[0])}
        value = getattr(running, section).model_copy(update=changed)
    return running.model_copy(update={section: value})


class Releases:
    """Lets go of secrets that nothing uses any more, once their values are off the disk.

    The overlap comes between the publish without them and the end of their leases, because an
    application reads a file when it likes. A lease that a file of ours still shows is left alone:
    it ends by itself.
    """

    def __init__(self, outputs: OutputLoop, secrets: SecretStore, *, overlap_s: float) -> None:
        self._outputs = outputs
        self._secrets = secrets
        self._overlap_s = overlap_s

    async def run(self) -> None:
        """Wait until everything is published, and for the overlap; then let go."""
        while self._unused():
            unused = self._unused()
            await asyncio.sleep(self._overlap_s)
            while self._outputs.busy:  # noqa: ASYNC110 - nothing tells of all publishes together
                await asyncio.sleep(_LOOK_AGAIN_S)
            # Only what has been of no use all the time: another reload may have come.
            self._let_go(unused & self._unused())

    def _unused(self) -> set[SecretRequest]:
        return self._secrets.keepers.keys() - self._outputs.used

    def _let_go(self, requests: Iterable[SecretRequest]) -> None:
        self._outputs.release(requests)
        for request in requests:
            snapshot = self._secrets.snapshot(request)
            lease_id = snapshot.response.lease_id if snapshot else ""
            self._secrets.release(request, revoke=lease_id not in self._outputs.left_behind)
