"""A credential that something else puts into a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from leasekeeper.errors import LoginDenied, LoginInputError
from leasekeeper.telemetry.events import log
from leasekeeper.telemetry.redaction import redactor
from leasekeeper.tokens.methods.common import read_word


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The file is removed once its value is known.

    Of a symbolic link the link goes, or with *through_links* what it points to.
    """

    through_links: bool = False


class CredentialFile:
    """Reads a file at every login. The last good value outlives the file.

    *what* names the value in messages. *extract* reads the text in the file; *unwrap*, called once
    for a text, turns it into the value.
    """

    def __init__(
        self,
        what: str,
        path: str,
        *,
        removal: Removal | None = None,
        extract: Callable[[str, str], Awaitable[str]] = read_word,
        unwrap: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self._what = what
        self._path = path
        self._removal = removal
        self._extract = extract
        self._unwrap = unwrap
        self._text = ""
        self._value = ""
        self._complained = False

    async def read(self) -> str:
        """Return the value in the file, or the last good one if there is none now.

        :raises LoginInputError: if there never was one.
        :raises LoginDenied: if Vault refuses to unwrap the first one.
        :raises VaultUnavailable: if Vault could not be asked to unwrap it.
        """
        try:
            await self._take(await self._extract(self._path, self._what))
        except LoginInputError as error:
            if not self._value:
                raise
            log.debug("auth.file_gone", error=error.message)
        except LoginDenied as error:
            if not self._value:
                raise
            log.warning("auth.unwrap_refused", error=error.message, hint=error.hint)
        return self._value

    async def _take(self, text: str) -> None:
        if text != self._text:
            redactor.protect(f"{self._what} file", [text])
            value = text if self._unwrap is None else await self._unwrap(text)
            redactor.protect(self._what, [value])
            self._text, self._value = text, value
        if self._removal is not None:
            await self._remove(self._removal)

    async def _remove(self, removal: Removal) -> None:
        """Remove the file as well as possible: not to be able to is no reason not to log in."""
        try:
            await asyncio.to_thread(_unlink, self._path, through_links=removal.through_links)
        except OSError as error:
            if not self._complained:
                log.warning(
                    "auth.file_not_removed",
                    path=self._path,
                    error=f"the {self._what} file cannot be removed: {error.strerror}",
                    hint="the directory has to be writable; or switch the removal off",
                )
            self._complained = True
        else:
            self._complained = False
            log.debug("auth.file_removed", path=self._path)


def _unlink(path: str, *, through_links: bool) -> None:
    os.unlink(os.path.realpath(path, strict=True) if through_links else path)
