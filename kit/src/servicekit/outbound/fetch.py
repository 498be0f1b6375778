"""Files fetched from untrusted addresses (extra `fetch`).

An untrusted address must not become a way into this network (server-side request forgery). So: only
allowed schemes and hosts; no credentials in the address; the name is resolved here, every address
of it has to be public, and the connection goes to the address that was checked, under the name that
was asked for, so that a second DNS answer has no effect; each redirect is checked in the same way;
proxies of the environment are not used; nothing is decompressed; one connection serves one request,
so that a connection checked for one host never serves another.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any, Self, TypeVar
from weakref import WeakValueDictionary

import httpx
from pydantic import AfterValidator, Field, IPvAnyNetwork

from servicekit.admission.memory_budget import holding
from servicekit.clock import in_utc
from servicekit.config import ServiceSettings
from servicekit.errors import FailedPrecondition, FieldViolation, InvalidArgument, ServiceError

MAX_URI = 2_048
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
T = TypeVar("T")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, as text, best first. Raises OSError."""

_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    ip_network(block)
    for block in (
        "168.63.129.16/32",  # Azure's DNS, DHCP and health probes, as each of its machines sees it
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments; Teredo, which hides an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which hides an IPv4 address
        "3fff::/20",  # documentation
    )
)
"""Blocks that Python 3.11 takes for global, in part or whole
(https://www.iana.org/assignments/iana-ipv6-special-registry;
https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16)."""
_HOST = re.compile(r"((\*\.)?[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


class _UriError(ServiceError):
    """An error about an address; `path` is the field that holds it."""

    def __init__(self, message: str, path: str = "") -> None:
        violations = (FieldViolation(path, message),) if path else ()
        super().__init__(message, violations=violations)

    def at(self, path: str) -> Self:
        """Return the error with the path of the field that holds the address."""
        return type(self)(self.message, path)


class UriForbidden(_UriError, InvalidArgument, reason="URI_FORBIDDEN"):
    """Fetching from this address is not allowed."""


class UriUnreadable(_UriError, FailedPrecondition, reason="URI_UNREADABLE"):
    """Fetching from this address is allowed, but failed."""


def allowed_hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return hosts in lower case. Raises ValueError."""
    folded = tuple(name.lower() for name in names)
    if bad := [name for name in folded if not _HOST.fullmatch(name)]:
        raise ValueError(
            f"{', '.join(map(repr, bad))}: a host is a name, `*.` and a name, or an address, "
            "with `:port` unless it is the scheme's own"
        )
    return folded


def allowed_schemes(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return schemes in lower case. Raises ValueError."""
    folded = tuple(name.lower() for name in names)
    if bad := sorted(set(folded) - PORTS.keys()):
        raise ValueError(f"{', '.join(map(repr, bad))}: only http and https are possible")
    return folded


class FetchSettings(ServiceSettings):
    """Settings of fetching; a mixin of a service's settings."""

    fetch_hosts: Annotated[tuple[str, ...], AfterValidator(allowed_hosts)] = ()
    """Hosts from which photos may be fetched, `images.shop.example` or `*.cdn.example` (names below
    it, without itself), with `:port` unless it is the scheme's default. Empty: none."""

    fetch_schemes: Annotated[tuple[str, ...], AfterValidator(allowed_schemes)] = ("https",)
    """Schemes by which photos may be fetched: https, http."""

    fetch_refused: tuple[IPvAnyNetwork, ...] = ()
    """Networks with public addresses from which nothing may be fetched, such as your own:
    `203.0.113.0/24,2001:db8::/32`. Private, local and reserved addresses are always rejected."""

    fetch_seconds: float = Field(default=10.0, gt=0, le=300)
    """Maximum seconds to fetch one photo, including redirects and waiting."""

    fetch_redirects: int = Field(default=3, ge=0, le=20)
    """Maximum number of redirects followed for one photo; the target of each must be allowed too.
    """

    fetch_concurrency: int = Field(default=16, ge=1, le=1024)
    """Maximum number of photos fetched concurrently."""

    fetch_per_host: int = Field(default=8, ge=1, le=1024)
    """Maximum number of photos fetched concurrently from one host: a host that hangs does not block
    the others."""


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits on what may be fetched."""

    hosts: tuple[str, ...] = ()
    """See FetchSettings."""
    schemes: tuple[str, ...] = ("https",)
    refused: tuple[Network, ...] = ()
    """See FetchSettings."""
    max_bytes: int = 10 * 2**20
    """Maximum bytes of a file."""
    seconds: float = 10.0
    """Maximum seconds for one file, including redirects and the wait for a permit."""
    redirects: int = 3
    """Maximum number of redirects for one file."""
    concurrency: int = 16
    """Maximum number of concurrent files."""
    per_host: int = 8
    """Maximum number of these from one host."""
    hosts_setting: str = "fetch_hosts"
    """The variable that allows hosts, for messages."""
    schemes_setting: str = "fetch_schemes"
    """The variable that allows schemes, for messages."""
    private: tuple[Network, ...] = ()
    """Networks that are allowed although they are not public. Photos of products are fetched from
    none."""

    @classmethod
    def of(
        cls, settings: FetchSettings, max_bytes: int, private: tuple[Network, ...] = ()
    ) -> FetchPolicy:
        """Return the policy that the settings describe."""
        return cls(
            **shared_limits(settings, "fetch"),
            max_bytes=max_bytes,
            redirects=settings.fetch_redirects,
            private=private,
        )


def shared_limits(settings: ServiceSettings, kind: str) -> dict[str, Any]:
    """Return the limits that FetchSettings and WebhookSettings both have, by fields of FetchPolicy.
    `kind`: beginning of the settings' names."""
    names = ("hosts", "schemes", "refused", "seconds", "concurrency", "per_host")
    return {name: getattr(settings, f"{kind}_{name}") for name in names} | {
        f"{name}_setting": settings.variable(f"{kind}_{name}") for name in ("hosts", "schemes")
    }


def public(address: Address, refused: Iterable[Network] = ()) -> bool:
    """Return whether an address is on the public internet, embeds no other address and is outside
    the `refused` networks."""
    if any(address in block for block in (*_NOT_PUBLIC, *refused)):
        return False
    if isinstance(address, IPv6Address):
        return address in _UNICAST and address.is_global and address.scope_id is None
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host by the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedClient:
    """HTTP client for untrusted addresses. Keeps no connections and no cookies."""

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolver: Resolve = resolve,
        loopback_for_tests: bool = False,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """`loopback_for_tests` lets tests serve from this machine; no setting may reach it."""
        self._policy = policy
        self._resolve = resolver
        self._loopback = loopback_for_tests
        self._verify = verify
        self._places = asyncio.Semaphore(policy.concurrency)
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def close(self) -> None:
        """Close open connections."""
        if self._transport is not None:
            await self._transport.aclose()

    def check(self, uri: str) -> None:
        """Raise UriForbidden unless the scheme and the host of an address are allowed. The host's
        IP addresses are checked with each request."""
        self._judge(uri)

    def _host(self, name: str) -> asyncio.Semaphore:
        """Return the semaphore of a host, which exists while requests hold or await it."""
        return self._hosts.setdefault(name.lower(), asyncio.Semaphore(self._policy.per_host))

    def _judge(self, uri: str) -> httpx.URL:
        """Parse and check an address. Raises UriForbidden."""
        policy = self._policy
        if not 1 <= len(uri) <= MAX_URI:
            raise UriForbidden(f"an address has 1 to {MAX_URI:,} characters")
        try:
            url = httpx.URL(uri)
            host = url.raw_host.decode("ascii").lower().rstrip(".")
            port = url.port
        except (httpx.InvalidURL, ValueError) as error:
            raise UriForbidden("is not an address") from error
        if url.scheme not in PORTS or not host:
            raise UriForbidden("must be an http or https address")
        if url.userinfo:
            raise UriForbidden("must not hold a user name or password")
        if url.scheme not in policy.schemes:
            raise UriForbidden(f"{url.scheme} is not allowed by {policy.schemes_setting}")
        if port == PORTS[url.scheme]:
            port = None
        if not any(_matches(host, port, allowed) for allowed in policy.hosts):
            raise UriForbidden(f"its host is not allowed by {policy.hosts_setting}")
        return url.copy_with(fragment=None)

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """Return the addresses of the host. Raises UriForbidden unless all are public."""
        host = url.raw_host.decode("ascii").strip("[]")
        try:
            found = [ip_address(host)]
        except ValueError:
            try:
                names = await self._resolve(host, url.port or PORTS[url.scheme])
                found = [ip_address(name) for name in names]
            except (OSError, ValueError) as error:
                raise UriUnreadable("the host's name can't be resolved") from error
        for address in found:
            ours = self._loopback and address.is_loopback
            private = any(address in network for network in self._policy.private)
            if not (ours or private or public(address, self._policy.refused)):
                raise UriForbidden("its host is not on the public internet")
        return found

    async def _asked(self, url: httpx.URL, ask: Callable[[httpx.URL, Address], Awaitable[T]]) -> T:
        """Return the answer of the first of the host's addresses that can be reached."""
        addresses = await self._addresses(url)
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return await ask(url, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if not last:
                    raise UriUnreadable("the host can't be reached") from error
            except httpx.HTTPError as error:
                raise UriUnreadable(
                    "the host closed the connection, or does not speak HTTP"
                ) from error
        raise UriUnreadable("the host has no address")

    async def _request(
        self, method: str, url: httpx.URL, address: Address, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        """Send one request to one address, under the host's name. The caller closes the response.
        Raises httpx.HTTPError."""
        request = httpx.Request(
            method,
            url.copy_with(host=str(address)),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept-Encoding": "identity",
                "Connection": "close",
                "User-Agent": "Sightline",
                **headers,
            },
            content=body or None,
            extensions={
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": httpx.Timeout(self._policy.seconds).as_dict(),
            },
        )
        return await self._opened().handle_async_request(request)

    def _opened(self) -> httpx.AsyncHTTPTransport:
        if self._transport is None:
            self._transport = httpx.AsyncHTTPTransport(
                verify=self._verify or ssl.create_default_context(),
                trust_env=False,
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._transport


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file from an address."""

    data: bytes
    modified: float = 0.0
    """When it was last modified, as its host says (seconds since 1970, UTC); 0: it does not say."""


class Fetcher(GuardedClient):
    """Fetches files by their addresses."""

    @asynccontextmanager
    async def fetched(self, uri: str) -> AsyncIterator[bytes]:
        """Yield the bytes of the file at `uri`; see `fetched_file`."""
        async with self.fetched_file(uri) as file:
            yield file.data

    @asynccontextmanager
    async def fetched_file(self, uri: str) -> AsyncIterator[FetchedFile]:
        """Yield the file at `uri`, not empty, at most max_bytes.

        Its bytes are counted as those of the current call's request until the block ends, and
        max_bytes until they are here. Raises UriForbidden, UriUnreadable.
        """
        target = self._judge(uri)  # a forbidden address need not wait for a permit
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._policy.seconds):
                    held = await stack.enter_async_context(holding(self._policy.max_bytes))
                    file = await self._follow(target)
            except TimeoutError:
                raise UriUnreadable(
                    f"the host did not send the whole file within {self._policy.seconds:g} s"
                ) from None
            held.shrink(len(file.data))
            yield file

    async def _follow(self, target: httpx.URL) -> FetchedFile:
        for _ in range(self._policy.redirects + 1):
            # The host's permit first: waiting for a slow host takes no permit from other hosts.
            async with self._host(target.host), self._places:
                answer = await self._asked(target, self._get)
            if isinstance(answer, FetchedFile):
                return answer
            target = self._judge(answer)
        raise UriUnreadable(f"the host redirects more than {self._policy.redirects} times")

    async def _get(self, url: httpx.URL, address: Address) -> FetchedFile | str:
        """Return the file, or the address that it redirects to."""
        response = await self._request("GET", url, address, {"Accept": "image/*"}, b"")
        try:
            if response.status_code in REDIRECTS and (place := response.headers.get("location")):
                return _joined(url, place)
            if response.status_code != httpx.codes.OK:
                raise UriUnreadable(f"the host answered {response.status_code}")
            return FetchedFile(await self._body(response), _modified(response))
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UriUnreadable("the host compressed the file although it was asked not to")
        most = self._policy.max_bytes
        stated = response.headers.get("content-length", "")
        body = bytearray()
        too_large = stated.isascii() and stated.isdigit() and int(stated[:20]) > most
        if not too_large:
            async for chunk in response.aiter_raw():
                body += chunk
                if too_large := len(body) > most:
                    break
        if too_large:
            raise UriUnreadable(f"the file has more than {most:,} bytes")
        if not body:
            raise UriUnreadable("the file is empty")
        return bytes(body)


def _modified(response: httpx.Response) -> float:
    """Return the time of a header `Last-Modified`; 0 if there is none, or no valid one."""
    try:
        found = parsedate_to_datetime(response.headers.get("last-modified", "")[:64])
        # Without a zone, or with -0000, which states none: times of HTTP are in UTC (RFC 9110).
        return max(in_utc(found).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        return 0.0


def _matches(host: str, port: int | None, allowed: str) -> bool:
    name, _, stated = allowed.rpartition(":") if re.search(r":\d+$", allowed) else (allowed, "", "")
    if (int(stated) if stated else None) != port:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) > len(name) - 1
    return host == name.strip("[]")


def _joined(url: httpx.URL, place: str) -> str:
    try:
        return str(url.join(place))
    except (httpx.InvalidURL, ValueError) as error:
        raise UriForbidden("it redirects to an invalid address") from error
