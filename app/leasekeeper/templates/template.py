"""An output's content as a Go template."""

from __future__ import annotations

from typing import Literal

from leasekeeper.errors import TemplateRenderError, TemplateSyntaxError
from leasekeeper.secrets.request import SecretRequest
from leasekeeper.templates.golang.analysis import constant_requests
from leasekeeper.templates.golang.builtins import BUILTINS
from leasekeeper.templates.golang.cursor import UnknownFunction
from leasekeeper.templates.golang.expressions import Options
from leasekeeper.templates.golang.functions import FunctionTable
from leasekeeper.templates.golang.machine import Run
from leasekeeper.templates.golang.parser import parse
from leasekeeper.templates.golang.program import Code, compile_program
from leasekeeper.templates.golang.values import sanitize
from leasekeeper.templates.source import RenderContext, Rendered

_STICKY = (
    "this was the pass in which secrets are still missing, and nil; as in Vault Agent its error is"
    " final. Use the secret inside `with`, or run `leasekeeper run`, which waits for it"
)


class Template:
    """A compiled template: a `Source` that any number of callers can render.

    The text it renders is a Go string: bytes that are not UTF-8 come as surrogates, and
    ``encode("utf-8", "surrogateescape")`` makes the file of it.
    """

    def __init__(
        self,
        name: str,
        text: str,
        codes: dict[str, Code],
        requests: frozenset[SecretRequest],
        *,
        title: str,
        pause: bool,
    ) -> None:
        self._name = name
        self._title = title
        self.text = text
        self._codes = codes
        self._requests = requests
        self._pause = pause

    @classmethod
    def compile(
        cls,
        text: str,
        *,
        name: str,
        title: str = "",
        functions: FunctionTable,
        left: str = "{{",
        right: str = "}}",
        error_on_missing_key: bool = True,
        on_unresolved: Literal["pause", "nil"] = "pause",
    ) -> Template:
        """Compile *text*; *name* stands in error messages, *title* before them, as in Vault Agent.

        *on_unresolved* says what a statement does that needs something which is not there yet:
        it is left out while the rest of the template looks for more (``pause``), or goes on with
        nil, as Vault Agent's templates do (``nil``). There is no text in either case.

        :raises TemplateSyntaxError: if the text does not parse, or names an unknown function.
        """
        try:
            definitions = parse(
                text,
                name=name,
                left=left,
                right=right,
                functions=lambda known: known in functions or known in BUILTINS,
            )
        except TemplateSyntaxError as error:
            if isinstance(error, UnknownFunction):
                error.hint = _hint(error.function, functions)
                error.code = "LK-TPL-004"
            error.message = _titled(title, "parse", error.message)
            raise
        options = Options(functions=functions, strict=error_on_missing_key)
        codes = compile_program(definitions.values(), options)
        requests = constant_requests(definitions, name, functions)
        return cls(name, text, codes, requests, title=title, pause=on_unresolved == "pause")

    def static_requests(self) -> frozenset[SecretRequest]:
        """Return the requests whose path and arguments are constants."""
        return self._requests

    def render(self, context: RenderContext) -> Rendered:
        """Render once.

        :raises TemplateRenderError: if the template fails on its data; the message holds no value
            of a secret. It is sticky in Vault Agent's dialect if something was missing.
        """
        run = Run(self._codes, context, name=self._name, text=self.text, pause=self._pause)
        try:
            text = run.render()
        except RecursionError:
            msg = f"template: {self._name}: nested too deeply"
            raise TemplateRenderError(msg, template=self._name) from None
        except TemplateRenderError as error:
            error.message = _titled(self._title, "execute", error.message)
            if run.missing:
                error.sticky, error.hint = True, error.hint or _STICKY
            raise
        used, missing = frozenset(run.used), frozenset(run.missing)
        if text is None:
            # Vault Agent does in every pass what a template wants done.
            effects = () if self._pause else tuple(run.effects)
            return Rendered(text=None, used=used, missing=missing, effects=effects)
        if not text.isascii():
            text = sanitize(text)
        return Rendered(text=text, used=used, missing=missing, effects=tuple(run.effects))


def _titled(title: str, action: str, message: str) -> str:
    return f"{title}: {action}: {message}" if title else message


def _hint(function: str, functions: FunctionTable) -> str | None:
    """Return a sentence that helps whoever wrote the name of an unknown *function*."""
    if function in functions.unavailable:
        return functions.unavailable[function]
    import difflib  # only for a message that ends the program

    close = difflib.get_close_matches(function, [*functions, *BUILTINS], n=1)
    return f'did you mean "{close[0]}"?' if close else None
