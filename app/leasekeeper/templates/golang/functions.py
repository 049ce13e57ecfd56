"""How a template calls functions: their signatures, and the table they are found in.

A function is an ordinary callable, registered with the Go types of its parameters, because Go
checks calls against them and its error messages name them::

    functions = FunctionTable()

    @functions.add("replaceAll", "string", "string", "string")
    def replace_all(old: str, new: str, text: str) -> str: ...

    @functions.add("join", "string", "[]string")
    def join(separator: str, items: list[str]) -> str: ...

    @functions.add("secret", "...string", run=True, request=request_of)
    def secret(run: Run, *arguments: str) -> Secret | None: ...

The contract:

- Parameters are Go type names as in `golang.values` (``interface {}`` takes anything) or, for
  structs and named integers, the `GoStruct` or `GoInteger` subclass. A last parameter ``...T`` is
  variadic. A piped value is the last argument, as everywhere in Go.
- A function is called only with as many arguments, of exactly the Python types, as it declares.
  nil is turned into an empty value for slice and map parameters, and is an error for the other
  typed ones.
- It returns a Go value as in `golang.values`: a ``list`` is ``[]interface {}``, so what Go returns
  as ``[]string`` must be a ``StringSlice(...)``, an int64 an ``Int64(...)``.
- It raises `GoError` for what is an error in Go; the message becomes ``error calling NAME: ...``.
  Secret values in the message are replaced when it is shown. Any other exception is a bug, except
  an `AgentError`, which passes through the template unchanged.
- A result that could grow without bound (a repeated string, say) raises `TextTooLarge`
  instead when it exceeds `MAX_TEXT`.
- With ``run=True`` it gets the `golang.machine.Run` of the current render as first argument.
  ``run.secret(request)`` and ``run.file(request)`` look dependencies up, note them down, and pause
  the template (by an exception: let it pass) when there is nothing yet. ``run.scratch`` is a dict
  that lives as long as the render; who reads what others left there calls ``run.settle()`` first.
  ``run.execute(name, data)`` renders a defined template. ``run.environ`` is the environment.
  Side effects go to ``run.effects`` and happen when the render is complete, and only then.
  ``run.conceal(value)`` keeps a value out of error messages, as those of secrets are.
- With ``request=...`` its requests can be read off the template before the first render:
  *request* is called with the arguments if all of them are constant strings, and returns the
  request or None.
- Values that come out of a snapshot are shared by everybody: copy what may be changed.

Methods (`GoStruct.go_methods`) are `Function`\\ s too; the value itself comes before their declared
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from leasekeeper.templates.golang.values import EMPTY_INTERFACE, GoInteger, GoStruct, python_type

if TYPE_CHECKING:
    from leasekeeper.secrets.request import SecretRequest

ANY = EMPTY_INTERFACE
Declared = str | type[GoStruct] | type[GoInteger]
_Call = TypeVar("_Call", bound=Callable[..., Any])
RequestOf = Callable[[tuple[str, ...]], "SecretRequest | None"]


class GoError(Exception):
    """A function's error result; the message is shown after ``error calling NAME:``.

    One that is *final* ends the pass, even one that is going to be thrown away: a limit was hit.
    """

    final: ClassVar[bool] = False


MAX_TEXT = 64 << 20
"""Longest text that printing makes, in characters; a doubling loop ends here, not in swap."""


class TextTooLarge(GoError):
    """Printing would exceed `MAX_TEXT`."""

    final = True

    def __init__(self) -> None:
        super().__init__(f"text is larger than {MAX_TEXT >> 20} MiB")


def check_length(length: int) -> None:
    """Look at the length of a text before it is made.

    :raises TextTooLarge: if it is beyond what templates may make.
    """
    if length > MAX_TEXT:
        raise TextTooLarge


@dataclass(frozen=True, slots=True)
class Parameter:
    """The type of one parameter: its Go name and the Python class that an argument must have."""

    go_type: str
    python: type

    @property
    def any(self) -> bool:
        """Whether every value is accepted."""
        return self.python is object

    @classmethod
    def of(cls, declared: Declared) -> Parameter:
        """Return the parameter that was *declared* by Go type name or by class."""
        if isinstance(declared, str):
            return cls(declared, python_type(declared))
        star = "*" if issubclass(declared, GoStruct) and declared.go_pointer else ""
        return cls(star + declared.go_type, declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function or method that templates can call. See the module's text for the contract."""

    go_kind: ClassVar[str] = "func"
    go_type: ClassVar[str] = "func()"
    go_methods: ClassVar[Mapping[str, Function]] = {}

    name: str
    call: Callable[..., Any]
    parameters: tuple[Parameter, ...] = ()
    variadic: Parameter | None = None
    run: bool = False
    request: RequestOf | None = None

    @classmethod
    def declare(
        cls,
        name: str,
        call: Callable[..., Any],
        *types: Declared,
        run: bool = False,
        request: RequestOf | None = None,
    ) -> Function:
        """Return *call* as a function whose parameters have the Go *types*."""
        variadic = None
        if types and isinstance(types[-1], str) and types[-1].startswith("..."):
            variadic = Parameter.of(types[-1][3:])
            types = types[:-1]
        parameters = tuple(Parameter.of(declared) for declared in types)
        return cls(
            name=name,
            call=call,
            parameters=parameters,
            variadic=variadic,
            run=run,
            request=request,
        )

    def disabled(self) -> Function:
        """Return the same function, arguments checked and all, that only ever fails."""
        return replace(self, call=_refuse, request=None)


def _refuse(*_arguments: object) -> NoReturn:
    msg = "function is disabled"
    raise GoError(msg)


class FunctionTable(Mapping[str, Function]):
    """The functions of a template, by name.

    *unavailable* explains functions that people know from elsewhere and that do not exist here:
    name to a sentence, which becomes the hint of the syntax error.
    """

    def __init__(
        self,
        functions: Mapping[str, Function] | None = None,
        *,
        unavailable: Mapping[str, str] | None = None,
    ) -> None:
        self._functions = dict(functions or {})
        self.unavailable = dict(unavailable or {})

    def __getitem__(self, name: str) -> Function:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def add(
        self,
        name: str,
        *types: Declared,
        run: bool = False,
        request: RequestOf | None = None,
    ) -> Callable[[_Call], _Call]:
        """Return a decorator that registers a function under *name*; it can be stacked."""

        def register(call: _Call) -> _Call:
            self._functions[name] = Function.declare(name, call, *types, run=run, request=request)
            return call

        return register

    def merged(self, *others: Mapping[str, Function]) -> FunctionTable:
        """Return a new table with the functions of *others* added; later ones win."""
        table = FunctionTable(self, unavailable=self.unavailable)
        for other in others:
            table._functions.update(other)
            if isinstance(other, FunctionTable):
                table.unavailable.update(other.unavailable)
        return table

    def disable(self, names: Iterable[str]) -> FunctionTable:
        """Return a new table in which the functions *names* fail when they are called."""
        table = FunctionTable(self, unavailable=self.unavailable)
        for name in names:
            if name in table:
                table._functions[name] = table[name].disabled()
        return table


def parameters_of(function: Function, count: int) -> list[Parameter]:
    """Return the parameter that each of *count* arguments is for."""
    parameters = list(function.parameters[:count])
    if function.variadic is not None:
        parameters += [function.variadic] * (count - len(parameters))
    return parameters
