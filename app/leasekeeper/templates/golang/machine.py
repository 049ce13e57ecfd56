"""Runs compiled code: one `Run` is one pass over a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from leasekeeper.errors import TemplateRenderError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.secrets.snapshot import Snapshot
from leasekeeper.templates.golang.faults import Fault, Paused
from leasekeeper.templates.golang.frames import DOT, PENDING, ROOT, RUN, Frame
from leasekeeper.templates.golang.functions import MAX_TEXT, GoError, TextTooLarge
from leasekeeper.templates.golang.nodes import Node, shortened, source
from leasekeeper.templates.golang.operations import CALL
from leasekeeper.templates.golang.program import Code
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.tokens import Position
from leasekeeper.templates.source import Dependency, Effect, FileRequest, RenderContext

MAX_SECONDS = 10.0
"""Longest time for one pass. A template that needs it loops, and a loop must end some time."""
_MAX_EXECUTIONS = 40
"""Deepest nesting of ``executeTemplate``, which is recursive in Go as well as here."""
_SIZE_INTERVAL = 1024
"""Rounds of loops between two looks at how much has been written."""


class Run:
    """One pass over a template, as functions see it.

    *scratch* lives as long as the pass and is for functions to use. *used* holds every dependency
    that was asked for, *missing* those that were not there. *effects* is what shall happen besides
    the text, in order. *paused* says that something was missing before, so that this pass will be
    thrown away, and *pauses* that statements wait for what is missing.
    """

    def __init__(
        self,
        codes: Mapping[str, Code],
        context: RenderContext,
        *,
        name: str,
        text: str,
        pause: bool,
    ) -> None:
        self.context = context
        self.used: set[Dependency] = set()
        self.missing: set[Dependency] = set()
        self.scratch: dict[str, Any] = {}
        self.effects: list[Effect] = []
        self.paused = False
        self.depth = 0
        self.callee: tuple[Code, Any, int] | None = None
        self.caller: Node | None = None
        self._codes = codes
        self._name = name
        self._text = text
        self.pauses = pause
        self._steps = 0
        self._deadline = monotonic() + MAX_SECONDS
        self._executions = 0
        self._code: Code | None = None
        self._concealed: set[str] = set()
        self._written: list[str] = []
        self.write = self._written.append

    # --- for functions --------------------------------------------------------------------------

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables a template may see."""
        return self.context.environ

    def secret(self, request: SecretRequest) -> Snapshot | None:
        """Return the newest snapshot of *request*, and note that it is used.

        :returns: None only in Vault Agent's dialect, which goes on with nil.
        :raises Paused: if there is nothing yet; functions let it pass.
        """
        snapshot = self.context.secret(request)
        self._note(request, there=snapshot is not None)
        return snapshot

    def file(self, request: FileRequest) -> str | None:
        """Return the content of a watched file, as `secret` returns a snapshot."""
        content = self.context.file(request)
        self._note(request, there=content is not None)
        return content

    def _note(self, dependency: Dependency, *, there: bool) -> None:
        self.used.add(dependency)
        if not there:
            self.missing.add(dependency)
            if self.pauses:
                raise Paused

    def settle(self) -> None:
        """Pause if anything before was paused, because what it would have done is missing now.

        For functions that read what other functions leave behind, such as ``scratch.Get``.

        :raises Paused: if so.
        """
        if self.paused:
            raise Paused

    def where(self) -> str:
        """Return the place of the function that is called now, as errors name it."""
        assert self.caller is not None
        assert self._code is not None
        return self._executing(self.caller, self._code)[1]

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do something that takes long and has a deadline of its own."""
        started = monotonic()
        yield
        self._deadline += monotonic() - started

    def conceal(self, value: str) -> None:
        """Keep *value* out of error messages, like the values of secrets."""
        self._concealed.add(value)

    def execute(self, name: str, data: Any = None) -> str:
        """Return what the template *name* renders with *data* as its dot.

        :raises GoError: if there is no such template, or it fails.
        :raises Paused: if it is not complete.
        """
        code = self._codes.get(name)
        if code is None:
            own = quote(self._name)
            raise GoError(f"template: no template {quote(name)} associated with template {own}")
        if self._executions >= _MAX_EXECUTIONS:
            raise _TooDeepError
        outer, depth, paused, caller = self._written, self.depth, self.paused, self._code
        self._redirect([])
        self._executions += 1
        self.depth, self.paused = 0, False
        try:
            self.run(code, data)
            text = "".join(self._written)
            self.settle()
        except TemplateRenderError as error:
            raise GoError(error.message) from None
        finally:
            self.depth, self._code = depth, caller
            self.paused = self.paused or paused
            self._executions -= 1
            self._redirect(outer)
        return text

    def _redirect(self, written: list[str]) -> None:
        self._written = written
        self.write = written.append

    # --- for operations -------------------------------------------------------------------------

    def step(self, place: Node) -> None:
        """Take note of a round of a loop or a call of a template.

        :raises Fault: if the pass takes too long, or there is too much text.
        """
        if monotonic() > self._deadline:
            raise Fault(place, f"still not done after {MAX_SECONDS:g} seconds", final=True)
        self._steps += 1
        if self._steps % _SIZE_INTERVAL == 0:
            self._check_size(place)

    def _check_size(self, place: Node) -> None:
        if sum(map(len, self._written)) > MAX_TEXT:
            raise Fault(place, str(TextTooLarge()), final=True)
        self._written[:] = ["".join(self._written)]

    # --- execution ------------------------------------------------------------------------------

    def render(self) -> str | None:
        """Run the whole template; None if anything is missing.

        :raises TemplateRenderError: if it fails, unless it has been paused before.
        """
        try:
            self.run(self._codes[self._name], None)
        except TemplateRenderError:
            if not self.paused:
                raise
        if self.missing or self.paused:
            return None
        return "".join(self._written)

    def run(self, code: Code, data: Any) -> None:
        """Run *code* with *data* as dot, writing to the current output.

        :raises TemplateRenderError: with Go's message, place and all.
        """
        frame = self._frame(code, data)
        stack: list[tuple[Code, Frame, int]] = []
        at = 0
        while True:
            self._code, operations = code, code.operations
            try:
                while at >= 0:
                    at = operations[at](frame)
            except Paused:
                self.paused = True
                at = _give_up(code, at, frame)
                continue
            except Fault as fault:
                if fault.final or not self.paused:
                    raise self._located(fault, code, frame) from None
                at = _give_up(code, at, frame)
                continue
            if at == CALL:
                assert self.callee is not None
                callee, data, after = self.callee
                stack.append((code, frame, after))
                code, frame = callee, self._frame(callee, data)
                at = 0
                self.depth += 1
            elif stack:
                code, frame, at = stack.pop()
                self.depth -= 1
            else:
                return

    def _frame(self, code: Code, data: Any) -> Frame:
        frame: Frame = [None] * code.size
        frame[RUN], frame[ROOT], frame[DOT] = self, data, data
        return frame

    def _located(self, fault: Fault, code: Code, frame: Frame) -> TemplateRenderError:
        from leasekeeper.templates.golang.redaction import redact  # only errors need it

        place, where = self._executing(code.place(fault.node, frame), code)
        problem = shortened(redact(fault.message, *self._secrets()))
        error = TemplateRenderError(
            f"{where}: {problem}",
            template=self._name,
            line=place.line,
            column=place.column,
            hint=fault.hint,
        )
        error.code = fault.code
        return error

    def _executing(self, node: Node, code: Code) -> tuple[Position, str]:
        place = Position.at(self._text, node.position)
        where = f"{self._name}:{place.line}:{place.column}"
        return place, f"template: {where}: executing {quote(code.name)} at <{source(node)}>"

    def _secrets(self) -> tuple[list[Snapshot], set[str]]:
        """Return what no error message may show: snapshots, and values from elsewhere."""
        snapshots, values = [], set(self._concealed)
        for used in self.used - self.missing:
            if isinstance(used, SecretRequest):
                snapshot = self.context.secret(used)
                snapshots += [snapshot] if snapshot else []
            else:
                values.add(self.context.file(used) or "")
        return snapshots, values


def _give_up(code: Code, at: int, frame: Frame) -> int:
    """Mark what the statement would have given values to, and return where it ends."""
    resume = code.resumes.get(at)
    if resume is None:
        return at + 1
    for slot in resume.pending:
        frame[slot] = PENDING
    return resume.target


class _TooDeepError(GoError):
    final = True

    def __init__(self) -> None:
        super().__init__(f"executeTemplate is nested more than {_MAX_EXECUTIONS} deep")
