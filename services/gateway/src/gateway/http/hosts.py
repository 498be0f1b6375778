"""Requests that browsers send for pages of others: rejected by Host, Origin and Sec-Fetch-Site.

Where callers need no key, or a browser holds one, a page of another origin must not call for its
reader: neither by a name that its owner lets resolve to this machine (DNS rebinding), nor by a form
or a request that needs no consent of the server (CORS).
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.http.errors import HostForbidden, OriginForbidden
from gateway.http.exchange import HttpRequest

ANY = "*"
"""Every host, or every origin."""


class KnownHosts:
    """The names by which callers reach this server, and the origins whose pages may call it."""

    def __init__(self, hosts: Collection[str], origins: Collection[str]) -> None:
        """`hosts`: names without ports; addresses, which no name can be made to resolve to, and
        localhost need not be named."""
        self._hosts = {each.lower() for each in hosts}
        self._origins = {each.lower() for each in origins}

    def check(self, request: HttpRequest) -> None:
        """Raise HostForbidden, OriginForbidden."""
        host = request.headers.get("host", "").lower()
        if not self._is_known(host):
            raise HostForbidden
        origin = request.headers.get("origin", "").lower()
        if ANY in self._origins or origin in self._origins:
            return
        if origin and _place(origin) != host:
            raise OriginForbidden
        if request.headers.get("sec-fetch-site", "").lower() == "cross-site":
            raise OriginForbidden

    def _is_known(self, host: str) -> bool:
        name = _name(host)
        return ANY in self._hosts or name in self._hosts or is_own(name)


def is_own(name: str) -> bool:
    """Return whether a host needs no permission: an address, or this machine's name for itself."""
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


def _name(host: str) -> str:
    """Return a host without its port, and an address of IPv6 without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _place(origin: str) -> str:
    """Return host and port of an origin; empty for `null` and for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
