"""What can interrupt the execution of a template."""

from __future__ import annotations

from leasekeeper.errors import TemplateRenderError
from leasekeeper.templates.golang.nodes import Node


class Paused(Exception):
    """A statement needs a dependency that is not there yet, and is left out of this pass."""


class Fault(Exception):
    """Execution failed at *node*. With *final* the whole pass is over, paused or not."""

    def __init__(
        self,
        node: Node,
        message: str,
        *,
        final: bool = False,
        hint: str | None = None,
        code: str = TemplateRenderError.code,
    ) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.final = final
        self.hint = hint
        self.code = code
