"""What can be said of an address of this machine, in the words of hashicorp/go-sockaddr."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from leasekeeper.templates.functions.network_interfaces import InterfaceAddress, describe
from leasekeeper.templates.functions.regular_expressions import regex_match
from leasekeeper.templates.golang.functions import Function, GoError
from leasekeeper.templates.golang.numbers import parse_uint
from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.values import GoStruct, slice_type


@dataclass(frozen=True, slots=True)
class IfAddr(GoStruct):
    """An address of an interface, as a template value."""

    go_type = "sockaddr.IfAddr"
    go_fields: ClassVar[Mapping[str, str]] = {"Name": "string"}

    on: InterfaceAddress

    @property
    def Name(self) -> str:  # noqa: N802 - Go's name
        """The interface's name."""
        return self.on.name

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address alone."""
        return self.on.address.ip

    def __str__(self) -> str:
        return f"{self.with_mask} {describe(self.Name, self.on.flags)}"

    @property
    def with_mask(self) -> str:
        """The address and the length of its network's prefix, if that is not all of it."""
        host = self.on.address.network.prefixlen == self.ip.max_prefixlen
        return str(self.ip) if host else self.on.address.with_prefixlen


IfAddr.go_methods = {"String": Function.declare("String", str)}
IfAddrs = slice_type("sockaddr.IfAddr")
Addresses = list[IfAddr]


# --- networks ---------------------------------------------------------------------------------

_RFCS = {
    "1112": "224.0.0.0/4",
    "1122": "0.0.0.0/8 127.0.0.0/8",
    "1918": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "2544": "198.18.0.0/15",
    "3927": "169.254.0.0/16",
    "4193": "fc00::/7",
    "4291": "::/128 ::1/128 ::/96 ::ffff:0:0/96 fe80::/10 fec0::/10 ff00::/8",
    "5737": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24",
    "6598": "100.64.0.0/10",
    "6890": (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24"
        " 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24"
        " 203.0.113.0/24 240.0.0.0/4 ::1/128 ::/128 64:ff9b::/96 ::ffff:0:0/96 100::/64"
        " 2001::/16 2002::/16 fc00::/7 fe80::/10"
    ),
}
_NOT_FORWARDABLE = (
    "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 198.51.100.0/24"
    " 203.0.113.0/24 240.0.0.0/4 ::1/128 ::/128 ::ffff:0:0/96 2001:db8::/32 2001:10::/28"
    " fe80::/10"
)


@lru_cache
def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part, strict=False) for part in text.split())


def _within(address: IfAddr, networks: str) -> bool:
    return any(address.ip in network for network in _networks(networks))


def is_private(address: IfAddr) -> bool:
    """Whether the address is of RFC 6890, so not for the public internet."""
    return _within(address, _RFCS["6890"])


def is_forwardable(address: IfAddr) -> bool:
    """Whether routers forward packets to the address."""
    return not _within(address, _NOT_FORWARDABLE)


# --- attributes -------------------------------------------------------------------------------


def _usable_bounds(one: IfAddr) -> tuple[Any, Any]:
    network = one.on.address.network
    wide = one.ip.version == 4 and network.prefixlen < 31
    return network[1 if wide else 0], network[-2 if wide else -1]


_ATTRIBUTES: dict[str, Callable[[IfAddr], str]] = {
    "address": lambda one: str(one.ip),
    "binary": lambda one: f"{int(one.ip):0{one.ip.max_prefixlen}b}",
    "first_usable": lambda one: str(_usable_bounds(one)[0]),
    "flags": lambda one: "|".join(one.on.flags),
    "hex": lambda one: one.ip.packed.hex(),
    "host": lambda one: str(one.ip),
    "last_usable": lambda one: str(_usable_bounds(one)[1]),
    "mask_bits": lambda one: str(one.on.address.network.prefixlen),
    "name": lambda one: one.Name,
    "netmask": lambda one: str(one.on.address.netmask),
    "network": lambda one: str(one.on.address.network.network_address),
    "octets": lambda one: " ".join(map(str, one.ip.packed)),
    "port": lambda _one: "0",
    "size": lambda one: str(one.on.address.network.num_addresses),
    "string": lambda one: one.with_mask,
    "type": lambda one: f"IPv{one.ip.version}",
}
_ATTRIBUTES_OF_V4: dict[str, Callable[[IfAddr], str]] = {
    "broadcast": lambda one: str(one.on.address.network.broadcast_address),
    "uint32": lambda one: str(int(one.ip)),
}


def attribute(name: str, address: IfAddr) -> str:
    """Return an attribute of an address.

    :raises GoError: if there is none of that name.
    """
    known = _ATTRIBUTES | (_ATTRIBUTES_OF_V4 if address.ip.version == 4 else {})
    if name.lower() not in known:
        msg = f"unsupported attribute name {quote(name.lower())}"
        raise GoError(msg)
    return known[name.lower()](address)


# --- filters ----------------------------------------------------------------------------------


def chooser(selector: str, parameter: str, verb: str) -> Callable[[IfAddr], bool]:
    """Return the test that *selector* and *parameter* describe, for ``include`` or ``exclude``.

    :raises GoError: if there is no such selector.
    """
    choosers: dict[str, Callable[[IfAddr, str], bool]] = {
        "address": lambda one, pattern: _matches(pattern, one.with_mask, "address"),
        "flag": _has_flag,
        "flags": _has_flag,
        "name": lambda one, pattern: _matches(pattern, one.Name, "name"),
        "network": lambda one, text: _within(one, _checked_networks(text)),
        "rfc": _is_of_rfc,
        "rfcs": _is_of_rfc,
        "port": lambda _one, pattern: _matches(pattern, "0", "port"),
        "size": _is_of_size,
        "type": _is_of_type,
    }
    choose = choosers.get(selector.lower())
    if choose is None:
        msg = f"invalid {verb} selector {quote(selector)}"
        raise GoError(msg)
    return lambda address: choose(address, parameter)


def _matches(pattern: str, text: str, what: str) -> bool:
    try:
        return regex_match(pattern, text)
    except GoError as error:
        msg = f"Unable to compile {what} regexp {quote(pattern)}: {error}"
        raise GoError(msg) from None


def _is_of_size(address: IfAddr, size: str) -> bool:
    try:
        return address.on.address.network.prefixlen == parse_uint(size)
    except GoError as error:
        msg = f"invalid exclude size argument ({quote(size)}): {error}"
        raise GoError(msg) from None


def _checked_networks(text: str) -> str:
    networks = text.replace("|", " ")
    try:
        _networks(networks)
    except ValueError:
        msg = f"unable to create an IP address from {quote(text)}: invalid IPAddr {text}"
        raise GoError(msg) from None
    return networks


def _is_of_rfc(address: IfAddr, numbers: str) -> bool:
    for number in numbers.split("|"):
        if number not in _RFCS:
            msg = f"unable to lookup RFC number {quote(number)}: {_fault_of_rfc(number)}"
            raise GoError(msg)
    return any(_within(address, _RFCS[number]) for number in numbers.split("|"))


def _fault_of_rfc(number: str) -> str:
    try:
        parse_uint(number)
    except GoError as error:
        return f"unable to parse RFC number {quote(number)}: {error}"
    return f"unsupported RFC {number}"


def _is_of_type(address: IfAddr, types: str) -> bool:
    wanted = types.lower().split("|")
    for name in wanted:
        if name not in {"ip", "ipv4", "ipv6", "unix"}:
            msg = f"unsupported type {quote(name)} {quote(types)}"
            raise GoError(msg)
    return "ip" in wanted or f"ipv{address.ip.version}" in wanted


_FLAGS: dict[str, Callable[[IfAddr], bool]] = {
    "broadcast": lambda one: "broadcast" in one.on.flags,
    "down": lambda _one: True,
    "forwardable": is_forwardable,
    "global unicast": lambda one: (
        not (
            one.ip.is_loopback
            or one.ip.is_multicast
            or one.ip.is_link_local
            or one.ip.is_unspecified
        )
    ),
    "link-local unicast": lambda one: one.ip.is_link_local,
    "loopback": lambda one: one.ip.is_loopback or "loopback" in one.on.flags,
    "multicast": lambda one: one.ip.is_multicast or "multicast" in one.on.flags,
    "point-to-point": lambda one: "pointtopoint" in one.on.flags,
    "unspecified": lambda one: one.ip.is_unspecified,
    "up": lambda one: "up" in one.on.flags,
}


def _has_flag(address: IfAddr, flags: str) -> bool:
    for flag in flags.lower().split("|"):
        if flag not in _FLAGS:
            msg = f"Unknown interface flag: {quote(flag)}"
            raise GoError(msg)
    return any(_FLAGS[flag](address) for flag in flags.lower().split("|"))
