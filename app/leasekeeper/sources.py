"""What outputs are made from: each output's section with its compiled template or format."""

from __future__ import annotations

from typing import Literal

from leasekeeper.errors import AgentError, ConfigError, Problem
from leasekeeper.settings.model import EnvSection, OutputSection, Settings
from leasekeeper.templates.source import Source

Sources = list[tuple[OutputSection, Source]]
Dialect = Literal["native", "vault_agent"]
"""What a template does about a secret that is not there yet: wait for it (native), or go on with
nil in a first pass, as Vault Agent does, and fail where that fails."""


def compile_sources(
    settings: Settings, dialect: Dialect = "native"
) -> list[tuple[OutputSection, Source]]:
    """Return each output with its compiled template or format.

    :raises ConfigError: with every template that cannot be read or does not parse.
    """
    problems: list[str] = []
    found = [
        (output, source)
        for index, output in enumerate(settings.outputs)
        if (source := _compiled(f"outputs[{index}]", output, dialect, problems)) is not None
    ]
    if problems:
        raise ConfigError(*problems)
    return found


def compile_environment(settings: Settings, dialect: Dialect = "native") -> Source | None:
    """Return what the environment of the application is made from, if there is such a thing.

    :raises ConfigError: with every template that cannot be read or does not parse.
    """
    if settings.exec is None or not settings.exec.env:
        return None
    from leasekeeper.supervise.environment import EnvironmentSource

    problems: list[str] = []
    found = [
        (variable.name, source)
        for index, variable in enumerate(settings.exec.env)
        if (source := _compiled(f"exec.env[{index}]", variable, dialect, problems)) is not None
    ]
    if problems:
        raise ConfigError(*problems)
    return EnvironmentSource(found)


def _compiled(
    place: str, section: OutputSection | EnvSection, dialect: Dialect, problems: list[str]
) -> Source | None:
    """Return the source of *section*, or add to *problems* why there is none."""
    place = f"{place} ({section.label})"
    try:
        return _source_of(section, dialect)
    except AgentError as error:
        problems.append(Problem(f"{place}: {error}", error.code))
    except OSError as error:
        file = f"template_file {section.template_file!r}"
        text = f"{place}: cannot read {file}: {error.strerror}"
        problems.append(Problem(text, "LK-TPL-005"))
    except UnicodeDecodeError:
        text = f"{place}: template_file {section.template_file!r} is not UTF-8"
        problems.append(Problem(text, "LK-TPL-005"))
    return None


def _source_of(output: OutputSection | EnvSection, dialect: Dialect) -> Source:
    if isinstance(output, OutputSection) and output.secret is not None and output.format:
        from leasekeeper.templates.formats import FormatSource

        return FormatSource(output.secret, output.format)
    from leasekeeper.templates.functions.library import library
    from leasekeeper.templates.template import Template

    drop_in = dialect == "vault_agent"
    text, name = output.template, output.label
    if text is None:
        name = str(output.template_file)
        # Vault Agent takes any bytes for a text.
        errors = "surrogateescape" if drop_in else "strict"
        with open(name, encoding="utf-8", errors=errors, newline="") as file:
            text = file.read()
    return Template.compile(
        text,
        name="" if drop_in else name,
        title=name if drop_in else "",
        left=output.left_delimiter,
        right=output.right_delimiter,
        functions=library(
            denylist=output.function_denylist, sandbox_path=output.sandbox_path or ""
        ),
        error_on_missing_key=output.error_on_missing_key,
        on_unresolved="nil" if drop_in else "pause",
    )


def reused(old: Sources, new: Sources) -> Sources:
    """Return *new*, with the sources of *old* where nothing is different."""
    known = {section.destination: (section, source) for section, source in old}
    return [
        (section, found[1])
        if (found := known.get(section.destination)) is not None
        and found[0] == section
        and _text_of(found[1]) == _text_of(source)
        else (section, source)
        for section, source in new
    ]


def _text_of(source: Source) -> str | None:
    """Return what a section does not tell: the text of its template file."""
    return getattr(source, "text", None)
