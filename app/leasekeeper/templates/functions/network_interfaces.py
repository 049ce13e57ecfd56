"""The network interfaces of this machine and their addresses, from the C library."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

# (bit, name) as Go shows them.
_FLAGS = (
    (0x1, "up"),
    (0x2, "broadcast"),
    (0x8, "loopback"),
    (0x10, "pointtopoint"),
    (0x1000, "multicast"),
    (0x40, "running"),
)


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address of one interface. *flags* are named as Go names them."""

    name: str
    flags: tuple[str, ...]
    address: Interface


class _SocketAddress(ctypes.Structure):
    _fields_: ClassVar = [("family", ctypes.c_ushort), ("data", ctypes.c_ubyte * 26)]


class _Entry(ctypes.Structure):
    pass


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_SocketAddress)),
    ("netmask", ctypes.POINTER(_SocketAddress)),
    ("broadcast", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]

# Family -> where the address is in the structure, after the family, and how long it is.
_PLACES = {socket.AF_INET: (2, 4), socket.AF_INET6: (6, 16)}


def interface_addresses() -> list[InterfaceAddress]:
    """Return all addresses, by the number of their interface.

    :raises OSError: if the C library does not tell.
    """
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Entry)()
    if library.getifaddrs(ctypes.byref(first)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        found = list(_addresses(first))
    finally:
        library.freeifaddrs(first)
    order = {name: number for number, name in socket.if_nameindex()}
    return sorted(found, key=lambda one: order.get(one.name, 0))


def _addresses(entry: ctypes._Pointer[_Entry]) -> Iterator[InterfaceAddress]:
    while entry:
        here = entry.contents
        entry = here.next
        if here.address and here.address.contents.family in _PLACES:
            address = _bytes(here.address.contents)
            mask = _bytes(here.netmask.contents) if here.netmask else b"\xff" * len(address)
            length = sum(byte.bit_count() for byte in mask)
            yield InterfaceAddress(
                here.name.decode(),
                tuple(name for bit, name in _FLAGS if here.flags & bit),
                ipaddress.ip_interface((address, length)),
            )


def _bytes(address: _SocketAddress) -> bytes:
    start, length = _PLACES.get(address.family, (2, 4))
    return bytes(address.data[start : start + length])


def describe(name: str, flags: Iterable[str]) -> str:
    """Return what Go prints of an interface: its number, MTU, name, hardware address and flags."""
    try:
        number = socket.if_nametoindex(name)
    except OSError:  # it has just gone
        number = 0
    hardware = _told(name, "address")
    if not hardware.strip("0:"):
        hardware = ""
    return f"{{{number} {_told(name, 'mtu') or 0} {name} {hardware} {'|'.join(flags)}}}"


def _told(name: str, what: str) -> str:
    try:
        return Path("/sys/class/net", name, what).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def default_interface() -> str:
    """Return the name of the interface with the default route, or nothing."""
    try:
        routes = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return ""
    fields = (line.split() for line in routes)
    return next((one[0] for one in fields if len(one) > 7 and one[1] == one[7] == "00000000"), "")
