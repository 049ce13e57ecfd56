"""Calculating with addresses: sockaddr's ``math``."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace

from leasekeeper.templates.functions.address_attributes import IfAddr
from leasekeeper.templates.functions.network_interfaces import Interface
from leasekeeper.templates.golang.functions import GoError
from leasekeeper.templates.golang.numbers import parse_int, parse_uint
from leasekeeper.templates.golang.quoting import quote

_Moved = tuple[int, int]
"""An address, which wraps, and the length of its mask."""


def _of_address(start: Interface, number: int) -> _Moved:
    return int(start.ip) + number, start.network.prefixlen


def _of_network(start: Interface, number: int) -> _Moved:
    network = start.network
    return int(network.network_address) + number % network.num_addresses, network.prefixlen


def _mask(start: Interface, length: int) -> _Moved:
    cut = start.max_prefixlen - length
    return int(start.ip) >> cut << cut, min(length, start.network.prefixlen)


_OPERATIONS: dict[str, Callable[[Interface, int], _Moved]] = {
    "address": _of_address,
    "network": _of_network,
    "mask": _mask,
}


def calculated(address: IfAddr, operation: str, value: str) -> IfAddr:
    """Return *address* after ``math OPERATION VALUE``.

    :raises GoError: if there is no such operation, or the value does not suit it.
    """
    start = address.on.address
    try:
        operate = _OPERATIONS.get(operation.lower())
        if operate is None:
            msg = f"unsupported math operation: {quote(operation)}"
            raise GoError(msg)
        number, length = operate(start, _number(operation, value, start.max_prefixlen))
    except GoError as error:
        msg = f"unable to perform an IPMath operation on {address}: {error}"
        raise GoError(msg) from None
    packed = (number % (1 << start.max_prefixlen)).to_bytes(start.max_prefixlen // 8, "big")
    moved = ipaddress.ip_interface((packed, length))
    return replace(address, on=replace(address.on, address=moved))


def _number(operation: str, value: str, bits: int) -> int:
    masks = operation.lower() == "mask"
    if not masks and value[:1] not in {"+", "-"}:
        msg = f"sign (+/-) is required for operation {quote(operation)}"
        raise GoError(msg)
    try:
        # Any number of an IPv4 network's addresses, with a sign, has 33 bits.
        number = parse_uint(value) if masks else parse_int(value, 10, 33 if bits == 32 else 64)
    except GoError as error:
        msg = f"unable to convert {quote(value)} to int for operation {quote(operation)}: {error}"
        raise GoError(msg) from None
    if masks and number > bits:
        family = f"ipv{4 if bits == 32 else 6} addresses must be between 0 and {bits}"
        msg = f"parameter for operation {quote(operation)} on {family}"
        raise GoError(msg)
    return number
