"""sockaddr: which address of this machine? A small language of its own (hashicorp/go-sockaddr)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from leasekeeper.errors import TemplateRenderError, TemplateSyntaxError
from leasekeeper.templates.functions.address_arithmetic import calculated
from leasekeeper.templates.functions.address_attributes import (
    Addresses,
    IfAddr,
    IfAddrs,
    attribute,
    chooser,
    is_forwardable,
    is_private,
)
from leasekeeper.templates.functions.network_interfaces import (
    default_interface,
    interface_addresses,
)
from leasekeeper.templates.functions.regular_expressions import regex_match
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import kind, type_name
from leasekeeper.templates.source import RenderContext

functions = FunctionTable()
_language = FunctionTable()

_LIST = "[]sockaddr.IfAddr"


@functions.add("sockaddr", "...string")
def sockaddr(*expression: str) -> str:
    """Return what a sockaddr expression such as ``GetPrivateIP`` says."""
    from leasekeeper.templates.template import Template

    text = f"{{{{ {' '.join(expression)} }}}}"
    shown = quote(text, ascii_only=True)
    try:
        template = Template.compile(text, name="sockaddr.Parse", functions=_language)
    except TemplateSyntaxError as error:
        msg = f"unable to parse template {shown}: {error.message}"
        raise GoError(msg) from None
    try:
        return template.render(RenderContext(secret=lambda _request: None)).text or ""
    except TemplateRenderError as error:
        msg = f"unable to execute sockaddr input {shown}: {error.message}"
        raise GoError(msg) from None


def _all() -> Addresses:
    try:
        return IfAddrs(map(IfAddr, interface_addresses()))
    except OSError as error:
        msg = f"unable to query interface addresses: {error.strerror}"
        raise GoError(msg) from None


# --- sources ----------------------------------------------------------------------------------


@_language.add("GetAllInterfaces")
def get_all_interfaces() -> Addresses:
    """Return every address of every interface."""
    return _all()


@_language.add("GetDefaultInterfaces")
def get_default_interfaces() -> Addresses:
    """Return the addresses of the interface with the default route."""
    name = default_interface()
    return IfAddrs(address for address in _all() if address.Name == name)


@_language.add("GetPrivateInterfaces")
def get_private_interfaces() -> Addresses:
    """Return the forwardable private addresses, those of the default route first."""
    return IfAddrs(filter(is_private, _usable()))


@_language.add("GetPublicInterfaces")
def get_public_interfaces() -> Addresses:
    """Return the forwardable public addresses, those of the default route first."""
    return IfAddrs(address for address in _usable() if not is_private(address))


def _usable() -> Addresses:
    usable = [one for one in _all() if is_forwardable(one) and "up" in one.on.flags]
    return sort_by("default,type,size", IfAddrs(usable))


@_language.add("GetPrivateIP")
def get_private_ip() -> str:
    """Return the first private address."""
    return _first(get_private_interfaces())


@_language.add("GetPublicIP")
def get_public_ip() -> str:
    """Return the first public address."""
    return _first(get_public_interfaces())


@_language.add("GetPrivateIPs")
def get_private_ips() -> str:
    """Return all private addresses."""
    addresses = sort_by("type,size", _all())
    return _joined(one for one in addresses if is_private(one) and is_forwardable(one))


@_language.add("GetPublicIPs")
def get_public_ips() -> str:
    """Return all public addresses."""
    return _joined(one for one in sort_by("type,size", _all()) if not is_private(one))


@_language.add("GetInterfaceIP", "string")
def get_interface_ip(name: str) -> str:
    """Return the first forwardable address of the interfaces that match *name*."""
    named = [one for one in _all() if regex_match(name, one.Name) and is_forwardable(one)]
    return _first(sort_by("type,size", IfAddrs(named)))


@_language.add("GetInterfaceIPs", "string")
def get_interface_ips(name: str) -> str:
    """Return all addresses of the interfaces that match *name*."""
    named = [one for one in _all() if regex_match(name, one.Name)]
    return _joined(sort_by("type,size", IfAddrs(named)))


def _first(addresses: Addresses) -> str:
    return str(addresses[0].ip) if addresses else ""


def _joined(addresses: Iterable[IfAddr]) -> str:
    return " ".join(str(address.ip) for address in addresses)


# --- filters ----------------------------------------------------------------------------------


@_language.add("include", "string", "string", _LIST)
def include(selector: str, parameter: str, addresses: Addresses) -> Addresses:
    """Return the addresses that *parameter* describes."""
    chosen = chooser(selector, parameter, "include")
    return IfAddrs(filter(chosen, addresses))


@_language.add("exclude", "string", "string", _LIST)
def exclude(selector: str, parameter: str, addresses: Addresses) -> Addresses:
    """Return the addresses that *parameter* does not describe."""
    chosen = chooser(selector, parameter, "exclude")
    return IfAddrs(address for address in addresses if not chosen(address))


# --- order ------------------------------------------------------------------------------------

_ORDERS: dict[str, Callable[[IfAddr], Any]] = {
    "address": lambda one: (one.ip.version, int(one.ip)),
    "default": lambda one: one.Name != default_interface(),
    "name": lambda one: one.Name,
    "port": lambda _one: 0,
    "private": lambda one: not is_private(one),
    "size": lambda one: one.on.address.network.prefixlen,
    "type": lambda one: one.ip.version,
}


@_language.add("sort", "string", _LIST)
def sort_by(clauses: str, addresses: Addresses) -> Addresses:
    """Return the addresses in the order of ``+name,-size``."""
    ordered = list(addresses)
    for clause in reversed(clauses.split(",")):
        name = clause.strip().lower()
        order = _ORDERS.get(name.lstrip("+-"))
        if order is None:
            msg = f"unknown sort type: {quote(clause)}"
            raise GoError(msg)
        ordered.sort(key=order, reverse=name.startswith("-"))
    return IfAddrs(ordered)


@_language.add("unique", "string", _LIST)
def unique(selector: str, addresses: Addresses) -> Addresses:
    """Return the addresses without neighbours that have the same name or address."""
    keys: dict[str, Callable[[IfAddr], str]] = {
        "address": lambda one: one.with_mask,
        "name": lambda one: one.Name,
    }
    key = keys.get(selector.lower())
    if key is None:
        msg = f"unsupported unique constraint {quote(selector)}"
        raise GoError(msg)
    kept: list[IfAddr] = []
    for address in addresses:
        if not kept or key(kept[-1]) != key(address):
            kept.append(address)
    return IfAddrs(kept)


@_language.add("limit", "uint", _LIST)
def limit(count: int, addresses: Addresses) -> Addresses:
    """Return the first addresses."""
    return IfAddrs(addresses[:count])


@_language.add("offset", "int", _LIST)
def offset(count: int, addresses: Addresses) -> Addresses:
    """Return the addresses from one on, counted from the end if it is negative."""
    if abs(count) > len(addresses):
        msg = (
            "unable to seek past the end of the interface array: offset"
            f" ({abs(count)}) exceeds the number of interfaces ({len(addresses)})"
        )
        raise GoError(msg)
    return IfAddrs(addresses[len(addresses) + count if count < 0 else count :])


@_language.add("math", "string", "string", _LIST)
def math(operation: str, value: str, addresses: Addresses) -> Addresses:
    """Return the addresses with *value* added to the address or network, or a mask laid on."""
    return IfAddrs(calculated(one, operation, value) for one in addresses)


@_language.add("attr", "string", "interface {}")
def attr(name: str, value: Any) -> str:
    """Return an attribute of an address, or of the first of several."""
    if type(value) is IfAddr:
        return attribute(name, value)
    if kind(value) == "slice" and isinstance(value, IfAddrs):
        return attribute(name, value[0]) if value else ""
    msg = f"unable to obtain attribute {name} from type {type_name(value)}"
    raise GoError(msg)


@_language.add("join", "string", "string", _LIST)
def join(name: str, separator: str, addresses: Addresses) -> str:
    """Return an attribute of every address."""
    return separator.join(attribute(name, address) for address in addresses)
