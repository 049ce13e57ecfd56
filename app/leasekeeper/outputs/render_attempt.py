"""One try at rendering a source: it only reads, and notes what it has read, in any thread."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from leasekeeper.errors import AgentError, TemplateRenderError, ValidationFailed
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.telemetry.events import log
from leasekeeper.templates.source import (
    Dependency,
    FileRequest,
    ProgramWanted,
    RenderContext,
    Rendered,
    Source,
)


def _in_the_loop(_argv: tuple[str, ...]) -> str:
    raise ProgramWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where a render finds what it asks for. *program* is as in `RenderContext`."""

    snapshot: Callable[[SecretRequest], Snapshot | None]
    text: Callable[[FileRequest], str | None]
    program: Callable[[tuple[str, ...]], str] = _in_the_loop

    def value(self, dependency: Dependency) -> Snapshot | str | None:
        """Return what is known of *dependency*, or None."""
        if isinstance(dependency, FileRequest):
            return self.text(dependency)
        return self.snapshot(dependency)


class Attempt:
    """A render of *source*, whose outcome `run` leaves behind: *rendered*, or *error*.

    *content* is what the text is in a file, None as long as there is no text. *asked* are the
    dependencies that were asked for, *absent* those that were not there.
    """

    def __init__(self, label: str, source: Source, view: View, environ: Mapping[str, str]) -> None:
        self.rendered: Rendered | None = None
        self.content: bytes | None = None
        self.error: AgentError | None = None
        self.asked: set[Dependency] = set()
        self.absent: set[Dependency] = set()
        self.snapshots: dict[SecretRequest, Snapshot] = {}
        self._label = label
        self._source = source
        self._view = view
        self._environ = environ

    def run(self) -> None:
        """Render. Nothing is raised for what a template or a secret can do wrong.

        :raises ProgramWanted: if it takes a thread that may wait for a program.
        """
        context = RenderContext(
            secret=self._secret,
            file=self._file,
            environ=self._environ,
            program=self._view.program,
        )
        try:
            rendered = self._source.render(context)
            if rendered.text is not None:
                # Surrogates are how bytes that are not UTF-8 travel through files and environment.
                self.content = rendered.text.encode("utf-8", "surrogateescape")
            self.rendered = rendered
        except ProgramWanted:
            raise
        except AgentError as error:
            self.error = error
        except UnicodeEncodeError:
            msg = f"the content of {self._label} has half of a surrogate pair"
            self.error = ValidationFailed(msg)
        except Exception as error:  # noqa: BLE001 - the other outputs go on
            self.error = self._unexpected(error)

    def _secret(self, request: SecretRequest) -> Snapshot | None:
        self.asked.add(request)
        snapshot = self._view.snapshot(request)
        if snapshot is None:
            self.absent.add(request)
        else:
            self.snapshots[request] = snapshot
        return snapshot

    def _file(self, request: FileRequest) -> str | None:
        self.asked.add(request)
        text = self._view.text(request)
        if text is None:
            self.absent.add(request)
        return text

    def _unexpected(self, error: Exception) -> TemplateRenderError:
        # Neither its text nor its traceback: both may quote a value.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}:{frame.lineno}"
        log.error("template.crashed", output=self._label, error=type(error).__name__, at=place)
        message = f"rendering {self._label} ended in an unexpected {type(error).__name__}"
        return TemplateRenderError(message, hint="this is a bug in Leasekeeper; please report it")


def run_all(attempts: Iterable[Attempt]) -> None:
    """Run *attempts*, one after the other.

    :raises ProgramWanted: as `Attempt.run`.
    """
    for attempt in attempts:
        attempt.run()
