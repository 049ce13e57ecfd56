"""The tables of `docs/migrating-from-vault-agent.md`, made from the schema.

``python -m leasekeeper.settings.vault_agent.documentation [--check] FILE`` renews them in *FILE*.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

from leasekeeper.settings.documentation import renew_page
from leasekeeper.settings.vault_agent import schema
from leasekeeper.settings.vault_agent.kinds import Key, Stanza, Verdict

BEGIN = "<!-- tables: made by `python -m leasekeeper.settings.vault_agent.documentation` -->\n"
END = "<!-- tables: end -->\n"
_HEAD = "| Key | Here | Setting | Remarks |\n|---|---|---|---|\n"
_WORDS = {
    Verdict.SAME: "same",
    Verdict.BETTER: "better",
    Verdict.UNUSED: "not needed",
    Verdict.WARNING: "no effect, **warning**",
    Verdict.ERROR: "**error**",
}
_WHOLE = (Verdict.ERROR, Verdict.WARNING)


def tables() -> str:
    """Return a Markdown table for every stanza, in the order of the schema."""
    return "\n".join([*_sections(schema.TOP, "", set()), _methods()])


def renewed(text: str) -> str:
    """Return a page with new tables between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _sections(stanza: Stanza, path: str, seen: set[int]) -> Iterator[str]:
    """Yield the table of *stanza* and of each one in it; *seen* has what was shown already."""
    if id(stanza) in seen:
        return
    seen.add(id(stanza))
    rows = "".join(_rows(stanza))
    if rows:
        title = f"`{path}`" if path else "Outside of all blocks"
        yield f"### {title}\n\n{_HEAD}{rows}"
    if stanza.verdict in _WHOLE:
        return
    for name, inner in stanza.stanzas.items():
        below = f"{path}.{name}" if path else name
        yield from _sections(inner, below, seen)
        for kind, variant in inner.by_type.items():
            yield from _sections(variant, f"{below} of type {kind}", seen)


def _rows(stanza: Stanza) -> Iterator[str]:
    """Yield the rows of *stanza*; keys that share their fate share a row."""
    if stanza.verdict in _WHOLE:
        if listed := ", ".join(_all_names(stanza)):
            yield f"| {listed} | {_WORDS[stanza.verdict]} | - | The whole block {stanza.about}. |\n"
        return
    for _, group in itertools.groupby(stanza.keys.items(), key=lambda item: id(item[1])):
        together = list(group)
        yield _row([name for name, _ in together], together[0][1])
    for name, inner in stanza.stanzas.items():
        shown = inner.verdict is Verdict.SAME and (inner.by_type or not inner.any_keys)
        words = "see below" if shown else _WORDS[inner.verdict]
        yield f"| `{name} {{}}` | {words} | - | {_sentence(inner.about)} |\n"


def _row(names: list[str], key: Key) -> str:
    listed = ", ".join(f"`{name}`" for name in names)
    setting = f"`{key.to}`" if key.to else "-"
    return f"| {listed} | {_WORDS[key.verdict]} | {setting} | {_sentence(key.about)} |\n"


def _all_names(stanza: Stanza, path: str = "") -> Iterator[str]:
    for name in stanza.keys:
        yield f"`{path}{name}`"
    for name, inner in stanza.stanzas.items():
        yield from _all_names(inner, f"{path}{name}.")


def _methods() -> str:
    """Return a table of the types of `auto_auth.method`."""
    known = {**dict.fromkeys(schema.METHODS, "same")}
    known |= dict.fromkeys(schema.OTHER_METHODS, "**error**: is not supported")
    rows = "".join(f"| `{name}` | {about} |\n" for name, about in known.items())
    return f"### Types of `auto_auth.method`\n\n| Type | Here |\n|---|---|\n{rows}"


def _sentence(text: str) -> str:
    text = text.replace("|", "\\|")
    return f"{text[0].upper()}{text[1:]}." if text else ""


def main(arguments: list[str] | None = None) -> int:
    """Renew docs/migrating-from-vault-agent.md."""
    return renew_page("leasekeeper.settings.vault_agent.documentation", renewed, arguments)


if __name__ == "__main__":
    sys.exit(main())
