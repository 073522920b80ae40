"""Addresses: what names resolve to, and which of this machine's interfaces leads there."""

from __future__ import annotations

import ipaddress
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Route", "interface_of", "is_loopback", "resolve", "route_to"]

_SIOCGIFADDR = 0x8915  # Linux, sys/ioctl.h


@dataclass(frozen=True)
class Route:
    """How this machine reaches a place.

    Attributes:
        addresses: that the place's name resolves to; empty: the name isn't known here.
        source: this machine's own address on the way there; None: no way.
        interface: that has it; None: not found out.
        own_address: what this machine's own name resolves to; None: it doesn't. Gloo tells the others to come there.
    """

    addresses: tuple[str, ...]
    source: str | None
    interface: str | None
    own_address: str | None


def route_to(name: str, port: int) -> Route:
    """How this machine reaches `name`; sends nothing."""
    addresses = resolve(name)
    source = next((found for address in addresses if (found := _source_for(address, port))), None)
    own = resolve(socket.gethostname())
    return Route(addresses, source, interface_of(source) if source else None, own[0] if own else None)


def resolve(name: str) -> tuple[str, ...]:
    """The addresses of a name, none if it isn't known."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def is_loopback(address: str | None) -> bool:
    """Whether an address is one that only this machine itself can reach."""
    with suppress(ValueError):
        return ipaddress.ip_address((address or "").partition("%")[0]).is_loopback
    return False


def interface_of(address: str) -> str | None:
    """The name of the interface that has an IPv4 address; on Linux only."""
    if is_loopback(address):
        return "lo"
    try:
        import fcntl  # noqa: PLC0415  # not on Windows

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _, name in socket.if_nameindex():
                with suppress(OSError):
                    answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                    if socket.inet_ntoa(answer[20:24]) == address:
                        return name
    except (ImportError, OSError):
        pass
    return None


def _source_for(address: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port or 9))  # of a datagram: only chooses the way
            return str(probe.getsockname()[0])
    except OSError:
        return None
