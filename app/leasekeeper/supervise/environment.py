"""The application's environment: one output, made from several templates, that lies in no file."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping, Sequence

from leasekeeper.errors import AgentError, PublishError, TemplateRenderError, ValidationFailed
from leasekeeper.files.file_workers import FileWorkers
from leasekeeper.outputs.loop import IN_MEMORY
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.source import Effect, RenderContext, Rendered, Source

LARGEST_BYTES = 128 * 1024 - 1
"""Of name, sign and value: Linux takes no longer string (MAX_ARG_STRLEN, with the NUL behind)."""
_OUR_PREFIX = "LEASEKEEPER_"
# What arguments and environment may take together, from execve(2): a quarter of the stack, within
# these bounds. Each string has a NUL behind it and a pointer to it.
_LEAST_TOTAL, _MOST_TOTAL = 128 * 1024, 6 * 1024 * 1024
_NUL_AND_POINTER = 1 + 8
# For the program's own path, which is stored as well, and what the first line of a script adds.
_RESERVE = 8 * 1024


class EnvironmentSource:
    """All variables in one pass, so that they come from the same generations of the secrets.

    The text is that of ``/proc/<pid>/environ``: NUL between variables, which none can hold.
    """

    def __init__(self, variables: Sequence[tuple[str, Source]]) -> None:
        self._variables = variables

    def static_requests(self) -> frozenset[SecretRequest]:
        """Return the requests of all variables that are constants."""
        return frozenset().union(*(source.static_requests() for _, source in self._variables))

    def render(self, context: RenderContext) -> Rendered:
        """Render every variable, even if one fails: the others ask for what they need.

        :raises TemplateRenderError: if one fails, or cannot be the value of a variable.
        """
        parts, errors, texts = [], [], []
        for name, source in self._variables:
            try:
                rendered = source.render(context)
                parts.append(rendered)
                if rendered.text is not None:
                    texts.append(_variable(name, rendered.text))
            except AgentError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return Rendered(
            text="\0".join(texts) if len(texts) == len(parts) else None,
            used=frozenset().union(*(part.used for part in parts)),
            missing=frozenset().union(*(part.missing for part in parts)),
            effects=tuple(effect for part in parts for effect in part.effects),
        )


def _variable(name: str, value: str) -> str:
    text = f"{name}={value}"
    if "\0" in value:
        msg = f"the value of the variable {name} holds a NUL byte, which none can"
        raise TemplateRenderError(msg, template=name, hint="base64Encode it, or use an output")
    if len(text) > LARGEST_BYTES or len(text.encode("utf-8", "replace")) > LARGEST_BYTES:
        msg = f"the variable {name} is longer than the {LARGEST_BYTES} bytes that Linux takes"
        raise TemplateRenderError(msg, template=name, hint="write it to a file: use an output")
    return text


class Environment:
    """Where `EnvironmentSource`'s content goes. *on_change* hears of every other content.

    What *command* could not be started with, added to *environ*, is refused.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        *,
        command: Sequence[str],
        environ: Mapping[str, str],
        workers: FileWorkers,
        deadline_s: float,
    ) -> None:
        self.content: bytes | None = None
        self._command = command
        self._environ = environ
        self._on_change = on_change
        self._workers = workers
        self._deadline_s = deadline_s

    def holds(self, content: bytes) -> bool:
        """Whether *content* is what was put there last."""
        return self.content == content

    async def put(self, content: bytes) -> bool:
        """Hold *content* from now on; return whether it is another one.

        :raises ValidationFailed: if it is too large for the system.
        """
        if self.content == content:
            return False
        _check_size(self._command, child_environ(self._environ, content))
        self.content = content
        self._on_change()
        return True

    async def apply(self, effects: Sequence[Effect]) -> None:
        """Write the files that templates want written, in order.

        :raises OutputError: if the file system refuses or hangs.
        """
        for effect in effects:
            try:
                await self._workers.run(
                    IN_MEMORY, effect.apply, deadline_s=self._deadline_s, strand=self
                )
            except TimeoutError:
                msg = "a file that a variable's template writes: the file system does not answer"
                raise PublishError(msg, path="") from None

    @property
    def look(self) -> None:
        """Nothing: nobody else can change it."""
        return

    async def repair(self) -> None:
        """Do nothing: nobody else can change it."""

    async def remove(self) -> None:
        """Do nothing: it ends with the process."""


def child_environ(environ: Mapping[str, str], content: bytes | None) -> dict[str, str]:
    """Return *environ* without what is meant for Leasekeeper, and with the variables *content*."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_OUR_PREFIX)}
    for variable in content.split(b"\0") if content else ():
        name, _, value = variable.partition(b"=")
        kept[os.fsdecode(name)] = os.fsdecode(value)
    return kept


def _check_size(command: Sequence[str], environ: Mapping[str, str]) -> None:
    strings = [*command, *(f"{name}={value}" for name, value in environ.items())]
    needed = sum(len(os.fsencode(each)) + _NUL_AND_POINTER for each in strings) + _RESERVE
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack == resource.RLIM_INFINITY:
        stack = 4 * _MOST_TOTAL
    limit = max(_LEAST_TOTAL, min(stack // 4, _MOST_TOTAL))
    if needed > limit:
        raise ValidationFailed(
            f"the application's environment is larger than the {limit} bytes that Linux takes",
            hint="write the largest values to files: use outputs; or raise `ulimit -s`",
        )
