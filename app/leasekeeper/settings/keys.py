"""The keys that exist, read off the model: which names are known where, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from leasekeeper.settings.draft import Path, dotted
from leasekeeper.settings.fields import Section
from leasekeeper.settings.model import Settings

# What Vault Agent calls things that have another name here.
_AGENT_WORDS = {
    "auto_auth": "auth",
    "ca_cert": "vault.ca_file",
    "client_cert": "vault.client_cert_file",
    "client_key": "vault.client_key_file",
    "command": "notify.command",
    "contents": "template",
    "exec": "notify.command",
    "header_value": "auth.server_id",
    "listener": "web.listen",
    "log_format": "log.format",
    "log_level": "log.level",
    "mount_path": "auth.mount",
    "perms": "mode",
    "region": "auth.sts_region",
    "role_id_file_path": "role_id_file",
    "secret_id_file_path": "secret_id_file",
    "source": "template_file",
    "template_config": "secrets",
    "templates": "outputs",
    "token_file_path": "token_file",
}
_ALIKE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What may stand at one place: a section, a list, a table by free names, or a value.

    *variants* are the alternatives of a section that its *tag* key chooses from.
    """

    children: Mapping[str, Key] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Key]] = field(default_factory=dict)
    tag: str = ""
    item: Key | None = None
    is_list: bool = False
    choices: tuple[str, ...] = ()

    @property
    def is_value(self) -> bool:
        """Whether text can be the whole value."""
        return not self.children and self.item is None


@cache
def root() -> Key:
    """Return the key that stands for the whole configuration."""
    return _key(Settings, None)


def find(path: Path) -> Key | None:
    """Return the key at *path*, or None when there is no such key."""
    key: Key | None = root()
    for part in path:
        if key is None:
            return None
        if key.item is not None:
            key = key.item if key.is_list == isinstance(part, int) else None
        else:
            key = key.children.get(part) if isinstance(part, str) else None
    return key


def choices(path: Path) -> tuple[str, ...]:
    """Return the words that *path* chooses from, if it is a choice."""
    key = find(path)
    return key.choices if key else ()


def meant(path: Path, method: object = None) -> str:
    """Return the neighbour that was probably meant by the unknown last name of *path*, or "".

    *method* chooses between the alternatives of a section.
    """
    parent = find(path[:-1])
    name = path[-1]
    if parent is None or not isinstance(name, str) or name in parent.children:
        return ""
    return alike(name.lower(), tuple(_neighbours(parent, method)))


def advice(path: Path, method: object = None) -> str:
    """Return what to do about the unknown name at the end of *path*."""
    if match := meant(path, method):
        return f'did you mean "{match}"?'
    parent = find(path[:-1])
    name = path[-1]
    if parent is None or not isinstance(name, str):
        return ""
    owners = [tag for tag, children in parent.variants.items() if name in children]
    if owners:
        return f"it belongs to {parent.tag}: {' or '.join(owners)}"
    if word := _AGENT_WORDS.get(name):
        return f'what Vault Agent calls "{name}" is "{word}" here'
    if elsewhere := _elsewhere(name):
        return f'did you mean "{elsewhere}"?'
    known = sorted(_neighbours(parent, method))
    return f"known here: {', '.join(known)}" if known else ""


def alike(name: str, known: tuple[str, ...]) -> str:
    """Return the one of *known* that looks most like *name*, or "" if none does."""
    import difflib

    return next(iter(difflib.get_close_matches(name[:80], known, 1, _ALIKE)), "")


def walk(key: Key, path: Path = ()) -> Iterator[tuple[Path, Key]]:
    """Yield every key at and below *key*; lists are entered at index 0, tables are not."""
    if path:
        yield path, key
    for name, child in key.children.items():
        yield from walk(child, (*path, name))
    if key.item is not None and key.is_list and not key.item.is_value:
        yield from walk(key.item, (*path, 0))


def _neighbours(parent: Key, method: object) -> Mapping[str, Key]:
    chosen = parent.variants.get(method) if isinstance(method, str) else None
    return chosen or parent.children


def _elsewhere(name: str) -> str:
    places = [path for path, _ in walk(root()) if path[-1] == name and 0 not in path]
    return dotted(places[0]) if len(places) == 1 else ""


def _key(annotation: Any, tag: str | None) -> Key:
    parts = list(_alternatives(annotation))
    sections = [part for part in parts if isinstance(part, type) and issubclass(part, Section)]
    if sections:
        return _section(sections, tag)
    for part in parts:
        if get_origin(part) is list:
            return Key(item=_key(get_args(part)[0], None), is_list=True)
        if get_origin(part) is dict:
            return Key(item=_key(get_args(part)[1], None))
        if get_origin(part) is Literal:
            return Key(choices=get_args(part))
    return Key()


def _section(sections: list[type[Section]], tag: str | None) -> Key:
    every = [
        {
            info.alias or name: _key(info.annotation, info.discriminator)  # type: ignore[arg-type]
            for name, info in section.model_fields.items()
        }
        for section in sections
    ]
    if tag is None:
        return Key(children=every[0])
    variants = {children[tag].choices[0]: children for children in every}
    together = {name: key for children in every for name, key in children.items()}
    return Key(children={**together, tag: Key(choices=tuple(variants))}, variants=variants, tag=tag)


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _alternatives(part)
    elif annotation is not NoneType:
        yield annotation
