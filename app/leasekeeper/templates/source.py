"""What an output is made from: a template or a plain format, behind one small port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A local file whose content a template uses; watched, and read outside the event loop."""

    path: str

    @property
    def name(self) -> str:
        """The request in words that are safe to log."""
        return f"file {self.path}"


Dependency = SecretRequest | FileRequest


class ProgramWanted(Exception):
    """The template runs a program: render it once more, in a thread that may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderContext:
    """Everything a render may look at. Rendering never asks Vault, and never blocks
    but for *program*.

    *secret* returns the newest snapshot of a request, or None while there is none. *file* returns
    a watched file's content, or None while it has not been read. *program* runs a program, given
    as a list, and returns what it prints; in the event loop it raises `ProgramWanted` instead,
    because it blocks. None forbids templates to run programs.
    """

    secret: Callable[[SecretRequest], Snapshot | None]
    file: Callable[[FileRequest], str | None] = field(default=lambda _request: None)
    environ: Mapping[str, str] = field(default_factory=dict)
    program: Callable[[tuple[str, ...]], str] | None = None


class Effect(Protocol):
    """Something that a template wants done besides its text, such as writing another file."""

    def apply(self) -> None:
        """Do it. This blocks: call it in a worker thread.

        :raises PublishError: if the file system refuses.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The outcome of one render.

    *text* is None while anything in *missing* is unresolved: a paused render has no text at all,
    so a half-resolved one can never be published. *used* holds every dependency that was asked
    for, the missing ones included. *effects* are to be applied, in order, before the text is
    published; a paused render has none.
    """

    text: str | None = field(repr=False)
    used: frozenset[Dependency]
    missing: frozenset[Dependency]
    effects: tuple[Effect, ...] = ()


class Source(Protocol):
    """Turns snapshots into the text of one output."""

    def render(self, context: RenderContext) -> Rendered:
        """Render once.

        :raises TemplateRenderError: if the data does not fit; the message holds no value.
        """
        ...

    def static_requests(self) -> frozenset[SecretRequest]:
        """Return the requests that can be read off the source without rendering it."""
        ...
