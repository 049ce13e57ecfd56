"""Semantic versions and constraints, as github.com/Masterminds/semver reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from leasekeeper.templates.functions.documents import TextStruct
from leasekeeper.templates.golang.functions import Function, FunctionTable, GoError
from leasekeeper.templates.golang.numbers import parse_uint
from leasekeeper.templates.golang.values import NilPointer, Uint64

functions = FunctionTable()

_IDENTIFIERS = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*"
_VERSION = re.compile(
    rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(TextStruct):
    """A version; *original* is how it was written."""

    go_type = "semver.Version"
    go_pointer = True

    numbers: tuple[int, int, int]
    prerelease: str = ""
    metadata: str = ""
    original: str = ""

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        text += f"-{self.prerelease}" if self.prerelease else ""
        return text + (f"+{self.metadata}" if self.metadata else "")

    def marshal_text(self) -> str:
        """Return the version as documents hold it."""
        return str(self)

    def compare(self, other: Version) -> int:
        """Return -1, 0 or 1; a prerelease comes before its release, metadata does not count."""
        mine, theirs = self._order(), other._order()
        return (mine > theirs) - (mine < theirs)

    def _order(self) -> tuple[object, ...]:
        parts = self.prerelease.split(".") if self.prerelease else []
        # Numbers come before words, and the longer of two equal beginnings comes last.
        identifiers = [
            (0, len(part.lstrip("0")), part) if part.isdigit() else (1, 0, part) for part in parts
        ]
        return (self.numbers, not self.prerelease, identifiers)

    def next(self, position: int) -> NextVersion:
        """Return the next major (0), minor (1) or patch (2) version."""
        numbers = list(self.numbers)
        if position < 2 or not self.prerelease:
            numbers[position] = Uint64.wrap(numbers[position] + 1)
        numbers[position + 1 :] = [0] * (2 - position)
        version = NextVersion(numbers=(numbers[0], numbers[1], numbers[2]))
        return replace(version, original=str(version))


class NextVersion(Version):
    """What follows a version, which Go holds without a pointer."""

    __slots__ = ()
    go_pointer = False


def _compared(one: Version, other: Version | NilPointer) -> int:
    if isinstance(other, NilPointer):
        msg = "runtime error: invalid memory address or nil pointer dereference"
        raise GoError(msg)
    return one.compare(other)


def _equal(one: Version, other: Version | NilPointer) -> bool:
    return not isinstance(other, NilPointer) and one.compare(other) == 0


@functions.add("sprig_semver", "string")
def parse_version(text: str) -> Version:
    """Return the version that *text* says; missing numbers are 0.

    :raises GoError: if it says none.
    """
    match = _VERSION.fullmatch(text)
    if not match:
        msg = "invalid semantic version"
        raise GoError(msg)
    try:
        numbers = [parse_uint(match[group] or "0") for group in (1, 2, 3)]
    except GoError as error:
        msg = f"error parsing version segment: {error}"
        raise GoError(msg) from None
    prerelease = match[4] or ""
    if any(re.fullmatch("0[0-9]+", part) for part in prerelease.split(".")):
        msg = "version segment starts with 0"
        raise GoError(msg)
    major, minor, patch = numbers
    return Version(
        numbers=(major, minor, patch),
        prerelease=prerelease,
        metadata=match[5] or "",
        original=text,
    )


# --- constraints ------------------------------------------------------------------------------

_OPERATORS = "=||!=|>=|=>|<=|=<|>|<|~>|~|\\^"
_PART = r"[0-9|xX*]+"
_PARTIAL = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
_CONSTRAINT = re.compile(
    rf"({_OPERATORS})\s*v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?"
    rf"(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?"
)
_ONE = rf"(?:{_OPERATORS})\s*{_PARTIAL}\s*"
_GROUP = re.compile(rf"\s*{_ONE}(?:(?:\s+|,\s*){_ONE})*")
_RANGE = re.compile(rf"\s*({_PARTIAL})\s+-\s+({_PARTIAL})\s*")
_ANY = frozenset({"x", "X", "*"})


@dataclass(frozen=True, slots=True)
class _Constraint:
    """One comparison. *given* says how many of the three numbers were written."""

    operator: str
    version: Version
    given: int

    def allows(self, version: Version) -> bool:
        return _CHECKS[self.operator](self, version)

    def not_equal(self, version: Version) -> bool:
        if self.given in {0, 3}:
            return version.compare(self.version) != 0
        if version.numbers[: self.given] != self.version.numbers[: self.given]:
            return True
        return self.given == 2 and version.prerelease != self.version.prerelease

    def greater(self, version: Version) -> bool:
        if self.given in {0, 3}:
            return version.compare(self.version) > 0
        return version.numbers[: self.given] > self.version.numbers[: self.given]

    def less(self, version: Version) -> bool:
        return version.compare(self.version) < 0

    def at_least(self, version: Version) -> bool:
        return version.compare(self.version) >= 0

    def at_most(self, version: Version) -> bool:
        if self.given == 3:
            return version.compare(self.version) <= 0
        kept = 1 if self.given == 1 else 2
        return version.numbers[:kept] <= self.version.numbers[:kept]

    def tilde(self, version: Version) -> bool:
        anything = self.given in {0, 3} and self.version.numbers == (0, 0, 0)
        kept = 1 if self.given == 1 else 2
        same = version.numbers[:kept] == self.version.numbers[:kept]
        return self.at_least(version) and (anything or same)

    def equal(self, version: Version) -> bool:
        return version.compare(self.version) == 0 if self.given == 3 else self.tilde(version)

    def caret(self, version: Version) -> bool:
        major, minor, _patch = self.version.numbers
        kept = 1 if major or self.given == 1 else 2 if minor or self.given == 2 else 3
        return self.at_least(version) and version.numbers[:kept] == self.version.numbers[:kept]


_CHECKS: dict[str, Callable[[_Constraint, Version], bool]] = {
    "": _Constraint.equal,
    "=": _Constraint.equal,
    "!=": _Constraint.not_equal,
    ">": _Constraint.greater,
    "<": _Constraint.less,
    ">=": _Constraint.at_least,
    "=>": _Constraint.at_least,
    "<=": _Constraint.at_most,
    "=<": _Constraint.at_most,
    "~": _Constraint.tilde,
    "~>": _Constraint.tilde,
    "^": _Constraint.caret,
}


@functions.add("sprig_semverCompare", "string", "string")
def semver_compare(constraint: str, text: str) -> bool:
    """Whether the version *text* meets the constraint: ``>=1.2, <2 || ^3``."""
    ranged = _RANGE.sub(r">= \1, <= \2 ", constraint)
    groups = [_group(part) for part in ranged.split("||")]
    version = parse_version(text)
    return any(_meets(version, group) for group in groups)


def _meets(version: Version, group: list[_Constraint]) -> bool:
    # Prereleases only count where the constraint names one.
    wanted = any(constraint.version.prerelease for constraint in group)
    if version.prerelease and not wanted:
        return False
    return all(constraint.allows(version) for constraint in group)


def _group(text: str) -> list[_Constraint]:
    if not _GROUP.fullmatch(text):
        msg = f"improper constraint: {text}"
        raise GoError(msg)
    return [_constraint(match) for match in _CONSTRAINT.finditer(text)]


def _constraint(match: re.Match[str]) -> _Constraint:
    parts = [match[group] for group in (2, 3, 4)]
    given = next((at for at, part in enumerate(parts) if part is None or part in _ANY), 3)
    numbers = [*parts[:given], "0", "0", "0"][:3]
    suffix = f"-{match[5]}" if match[5] else ""
    try:
        version = parse_version(".".join(numbers) + suffix)
    except GoError:
        msg = "constraint parser error"
        raise GoError(msg) from None
    return _Constraint(match[1], version, given)


Version.go_methods = {
    "String": Function.declare("String", str),
    "Original": Function.declare("Original", lambda version: version.original),
    "Major": Function.declare("Major", lambda version: Uint64(version.numbers[0])),
    "Minor": Function.declare("Minor", lambda version: Uint64(version.numbers[1])),
    "Patch": Function.declare("Patch", lambda version: Uint64(version.numbers[2])),
    "Prerelease": Function.declare("Prerelease", lambda version: version.prerelease),
    "Metadata": Function.declare("Metadata", lambda version: version.metadata),
    "IncMajor": Function.declare("IncMajor", lambda version: version.next(0)),
    "IncMinor": Function.declare("IncMinor", lambda version: version.next(1)),
    "IncPatch": Function.declare("IncPatch", lambda version: version.next(2)),
    "Compare": Function.declare("Compare", _compared, Version),
    "Equal": Function.declare("Equal", _equal, Version),
    "LessThan": Function.declare("LessThan", lambda *both: _compared(*both) < 0, Version),
    "GreaterThan": Function.declare("GreaterThan", lambda *both: _compared(*both) > 0, Version),
}
