"""Load the settings: command line over environment over file over defaults.

Whatever the way in, there is first a draft of plain values that knows where each was written. The
model validates it, and everything that is wrong is reported together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from leasekeeper.settings import checks, contract, environment, groups, keys, texts
from leasekeeper.settings.draft import DEFAULT, Draft, Origin, Path, Unfit
from leasekeeper.settings.model import Settings
from leasekeeper.settings.problems import Problems, explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from leasekeeper.settings.environment import Variables

_COMMAND_LINE = Origin("command line")
_ENVIRONMENT = Origin("environment")
_VARIABLE = environment.origin(environment.CONFIG)
_NOTHING = (
    "there is no configuration; name a file with --config, or set LEASEKEEPER_CONFIG, "
    "or VAULT_ADDR, VAULT_ROLE, VAULT_AGENT_TEMPLATE and TARGET_FILE_NAME"
)
# Each pass can uncover what the problems of the one before it had hidden: a misspelt key, then
# its wrong value, then a rule about its section.
_MOST_PASSES = 5
_WRAP_TTL: Path = ("auth", "wrap_ttl")
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings, and where they come from."""

    settings: Settings
    origins: Mapping[Path, Origin] = field(repr=False)
    """Where each value was written, by its path; what is not in it is a default."""
    ignored: tuple[str, ...] = ()
    """Environment variables that are set but have no effect, because a configuration was given."""
    warnings: tuple[str, ...] = ()
    """What an operator should know about a configuration of Vault Agent, with file and line."""

    def source(self, path: Path) -> str:
        """Return where the value at *path* comes from, such as ``leasekeeper.yaml:12``."""
        return str(self.origins.get(path, DEFAULT))


def load_settings(
    *, config_file: str | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> LoadedSettings:
    """Return the settings from a file or, without one, from the environment.

    *overrides* come from the command line and win over everything; their keys are written like
    ``log.level`` or ``outputs[0].mode``, and None means not given.

    :raises ConfigError: with everything that is wrong.
    """
    problems = Problems()
    variables = environment.Variables(environ, problems)
    draft = _base(config_file, variables, problems)
    environment.note_unknown(variables, problems)
    if draft is None:
        problems.fail()
    environment.apply(draft, variables, problems)
    _apply_overrides(draft, overrides, problems)
    if draft.root is contract.ORIGIN:
        contract.note_missing(draft, problems)
    elif draft.root is _ENVIRONMENT and draft.values.keys().isdisjoint(
        ("auth", "outputs", "sinks", "exec")
    ):
        problems.add(_COMMAND_LINE, _NOTHING, code="LK-CONF-006")
        problems.fail()
    settings = _validated(draft, problems)
    if settings is None or problems:
        problems.fail()
    return LoadedSettings(
        settings=settings, origins=draft.origins, ignored=_ignored(draft, variables)
    )


def load_vault_agent(
    paths: Sequence[str],
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    *,
    lenient: bool,
) -> LoadedSettings:
    """Return the settings from files and directories of Vault Agent, in HCL or JSON.

    *environ* and *overrides* count as in `load_settings`. With *lenient*, keys that are unknown or
    given twice are worth a warning, as Vault Agent ignores them; otherwise they are errors.

    :raises ConfigError: with everything that is wrong.
    """
    from leasekeeper.settings.vault_agent.mapping import AgentProblems
    from leasekeeper.settings.vault_agent.reading import read_vault_agent
    from leasekeeper.settings.vault_agent.stanzas import Notes

    problems = AgentProblems()
    notes = Notes(problems=problems, lenient=lenient)
    variables = environment.Variables(environ, problems)
    draft = read_vault_agent(paths, variables, notes)
    environment.note_unknown(variables, problems)
    if draft is None:
        problems.fail()
    environment.apply(draft, variables, problems)
    _apply_overrides(draft, overrides, problems)
    settings = _validated(draft, problems)
    if settings is None or problems:
        problems.fail()
    return LoadedSettings(
        settings=settings,
        origins=draft.origins,
        ignored=_ignored(draft, variables),
        warnings=tuple(notes.warnings),
    )


def _base(config_file: str | None, variables: Variables, problems: Problems) -> Draft | None:
    """Return what environment and command line are laid over, or None if it cannot be read."""
    if config_file is not None:
        text = texts.read_file(config_file, problems)
        return None if text is None else _read(text, config_file, problems)
    packed = variables.get(environment.CONFIG)
    if packed is not None:
        text = texts.unpack(packed, _VARIABLE, problems)
        return None if text is None else _read(text, _VARIABLE.name, problems)
    if problems:
        return None  # there is a LEASEKEEPER_CONFIG, but not one that can be read
    return (
        contract.draft_from(variables, problems)
        if contract.is_used(variables)
        else Draft(_ENVIRONMENT)
    )


def _read(text: str, name: str, problems: Problems) -> Draft | None:
    from leasekeeper.settings.yaml_reader import read_yaml

    return read_yaml(text, name, problems)


def _ignored(draft: Draft, variables: Variables) -> tuple[str, ...]:
    if draft.root is contract.ORIGIN:
        return ()
    names = [environment.CONFIG, environment.OUTPUT_DIR, *contract.VARIABLES]
    if draft.root == _VARIABLE:
        names.remove(environment.CONFIG)
    return tuple(name for name in names if variables.get(name) is not None)


def _apply_overrides(draft: Draft, overrides: Mapping[str, object], problems: Problems) -> None:
    for name, value in overrides.items():
        if value is None:
            continue
        path = _parsed(name)
        if not path or keys.find(path) is None:
            advice = keys.advice(path) if path else ""
            problems.add(_COMMAND_LINE, f"unknown key; {advice}".removesuffix("; "), path)
            continue
        try:
            if not draft.put(path, value, _COMMAND_LINE) and (gap := draft.gap(path)):
                problems.add(_COMMAND_LINE, gap, path)
        except Unfit as error:
            problems.add(_COMMAND_LINE, str(error), path)


def _parsed(name: str) -> Path:
    parts = (word or index for word, index in _PART.findall(name))
    return tuple(int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in parts)


def _validated(draft: Draft, problems: Problems) -> Settings | None:
    _forget_empty(draft)
    for clash in checks.clashes(list(_destinations(draft)), list(_sink_paths(draft))):
        path: Path = (clash.section, clash.position, clash.key)
        problems.add(draft.origin(path), clash.text, path)
    links = [group.get("link") for group in _items(draft, "groups")]
    paths = [destination for destination, _ in _destinations(draft)]
    for index, text in groups.clashes(links, paths, list(_sink_paths(draft))):
        path = ("groups", index, "link")
        problems.add(draft.origin(path), text, path)
    if not any(draft.get((section,)) for section in ("outputs", "sinks", "exec")):
        path = ("outputs",)
        problems.add(draft.origin(path), "is needed: at least one, or else one of sinks", path)
    for path in _told_to_nobody(draft):
        problems.add(draft.origin(path), "needs a section exec, whose program it tells", path)
    for path in _not_shared(draft):
        text = "does not work with shared.directory: other tasks go on with what one leaves behind"
        problems.add(draft.origin(path), text, path)
    if fault := _unwrappable(draft):
        problems.add(draft.origin(_WRAP_TTL), fault, _WRAP_TTL)
    for _ in range(_MOST_PASSES):
        try:
            return Settings.model_validate(draft.values, by_alias=True, by_name=False)
        except ValidationError as error:
            if not explain(error, draft, problems):
                break
    return None


def _destinations(draft: Draft) -> Iterator[tuple[object, object]]:
    for output in _items(draft, "outputs"):
        yield output.get("destination"), output.get("name")


def _told_to_nobody(draft: Draft) -> Iterator[Path]:
    if draft.get(("exec",)):
        return
    for section in ("outputs", "groups"):
        for index in range(len(list(_items(draft, section)))):
            path: Path = (section, index, "notify", "exec")
            if draft.get(path):
                yield path


def _not_shared(draft: Draft) -> Iterator[Path]:
    if not draft.get(("shared", "directory")):
        return
    wanted: tuple[Path, ...] = (("sinks",), ("exec",), ("lifecycle", "remove_files"))
    yield from (path for path in wanted if draft.get(path) not in (None, False, "false"))
    if draft.get(("lifecycle", "on_exit")) == "revoke":
        yield "lifecycle", "on_exit"


def _unwrappable(draft: Draft) -> str | None:
    if draft.get(_WRAP_TTL) in (None, 0, "0", "0s"):
        return None
    return checks.unwrappable(
        draft.get(("auth", "method")),
        templates=bool(draft.get(("outputs",)) or draft.get(("exec",))),
        sinks=[sink.get("wrap_ttl") for sink in _items(draft, "sinks")],
        state=bool(draft.get(("state", "path"))),
    )


def _sink_paths(draft: Draft) -> Iterator[object]:
    for sink in _items(draft, "sinks"):
        yield sink.get("path")


def _items(draft: Draft, section: str) -> Iterator[Mapping[str, object]]:
    """Yield the items of a list of sections; an empty one for each that is something else."""
    items = draft.get((section,))
    for item in items if isinstance(items, list) else ():
        yield item if isinstance(item, dict) else {}


def _forget_empty(draft: Draft) -> None:
    """Drop known keys that have no value: their default applies, as for empty variables."""
    for path in [path for path in draft.empty() if keys.find(path) is not None]:
        draft.drop(path)
