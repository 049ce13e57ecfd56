"""The question a template asks of Vault. Equal questions are asked once for the whole process."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """How a secret is asked for."""

    READ = "read"
    WRITE = "write"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """A distinct request; equal requests share one keeper, one lease and one generation.

    *path* is as written in the template, without surrounding blanks and slashes, and may carry a
    query (``secret/data/app?version=3``) when reading. *arguments* are the ``key=value`` pairs of
    a write, sorted by key; they may hold secrets and stay out of `repr`. *kept_in_output*: what the
    last run wrote may still hold the answer.
    """

    operation: Operation
    path: str
    arguments: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    kept_in_output: bool = field(default=False, compare=False)

    def __hash__(self) -> int:
        """Hash what tells nearly all requests apart: they are looked up all the time."""
        return hash(self.path)

    @classmethod
    def read(cls, path: str) -> SecretRequest:
        """Return the request that reads *path*."""
        return cls(Operation.READ, path.strip().strip("/"))

    @classmethod
    def write(cls, path: str, arguments: dict[str, str]) -> SecretRequest:
        """Return the request that writes *arguments* to *path* and uses the answer."""
        return cls(Operation.WRITE, path.strip().strip("/"), tuple(sorted(arguments.items())))

    @classmethod
    def list(cls, path: str) -> SecretRequest:
        """Return the request that lists the keys under *path*."""
        return cls(Operation.LIST, path.strip().strip("/"))

    @property
    def name(self) -> str:
        """The request in words that are safe to log and to use as a metric label."""
        if self.operation is Operation.READ:
            return self.path
        return f"{self.operation.value} {self.path}"
