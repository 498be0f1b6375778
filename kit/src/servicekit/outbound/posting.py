"""Messages posted to addresses that callers named (extra `fetch`), under the rules of
`servicekit.outbound.fetch`. No redirect is followed, and no body of an answer is read."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Annotated

import httpx
from pydantic import AfterValidator, Field, IPvAnyNetwork

from servicekit.config import ServiceSettings
from servicekit.outbound.fetch import (
    Address,
    FetchPolicy,
    GuardedClient,
    Network,
    UriUnreadable,
    allowed_hosts,
    allowed_schemes,
    shared_limits,
)

MOST_RETRY_AFTER = 86_400
"""Largest number of seconds that is read from a header `Retry-After`; more count as this many."""
_NEVER = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local; AWS, Azure and Google serve credentials of machines there
        "168.63.129.16/32",  # Azure's DNS, DHCP and health probes
        "224.0.0.0/3",  # multicast and reserved
        "fd00:ec2::/32",  # AWS's credentials of machines
        "fe80::/10",
        "ff00::/8",
        "::/128",
    )
)
"""Blocks with which no setting may allow an overlap."""


def private_networks(given: tuple[Network, ...]) -> tuple[Network, ...]:
    """Return networks that are private. Raises ValueError for others."""
    for network in given:
        if not network.is_private or any(
            block.version == network.version and network.overlaps(block) for block in _NEVER
        ):
            raise ValueError(
                f"{network}: name a private network without link-local addresses, at which machines"
                " get credentials"
            )
    return given


class WebhookSettings(ServiceSettings):
    """Settings of webhooks; a mixin of a service's settings."""

    webhook_hosts: Annotated[tuple[str, ...], AfterValidator(allowed_hosts)] = ()
    """Hosts that webhooks may name, `alerts.shop.example` or `*.hooks.example` (names below it,
    without itself), with `:port` unless it is the scheme's default. Empty: none."""

    webhook_schemes: Annotated[tuple[str, ...], AfterValidator(allowed_schemes)] = ("https",)
    """Schemes of addresses that webhooks may name: https, http."""

    webhook_networks: Annotated[tuple[IPvAnyNetwork, ...], AfterValidator(private_networks)] = ()
    """Private networks in which hosts of webhooks may be, such as `10.2.0.0/16`. Other addresses
    that are not public are always rejected."""

    webhook_refused: tuple[IPvAnyNetwork, ...] = ()
    """Networks with public addresses to which nothing may be delivered, such as your own."""

    webhook_seconds: float = Field(default=10.0, gt=0, le=60)
    """Maximum seconds of one attempt to deliver, from the connection to the status."""

    webhook_concurrency: int = Field(default=32, ge=1, le=1024)
    """Maximum number of concurrent attempts. As many more are made to receivers whose last attempt
    failed, so that these do not hold up others."""

    webhook_per_host: int = Field(default=16, ge=1, le=1024)
    """Maximum number of these to one host."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if self.webhook_hosts and "http" in self.webhook_schemes:
            schemes = self.variable("webhook_schemes")
            yield f"alerts are delivered in plain text: set {schemes}=https"


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """Answer to a message."""

    status: int
    """HTTP status."""
    retry_after: float = 0.0
    """Seconds to wait before the next attempt, as the receiver asks; 0: it does not ask."""

    @property
    def accepted(self) -> bool:
        """Return whether the receiver has the message: status 2xx."""
        return httpx.codes.is_success(self.status)


class Poster(GuardedClient):
    """Posts messages to addresses."""

    @classmethod
    def of(cls, settings: WebhookSettings) -> "Poster":
        """Return a poster with the limits of the settings."""
        limits = shared_limits(settings, "webhook")
        return cls(FetchPolicy(**limits, redirects=0, private=settings.webhook_networks))

    async def post(
        self, uri: str, headers: Callable[[], Mapping[str, str]], body: bytes
    ) -> PostAnswer:
        """Post a message. Waits for permits of the host and of all hosts, without a time limit.

        `headers`: called once the permits are there, as they may hold the time. Raises
        UriForbidden, and UriUnreadable if no answer came.
        """
        target = self._judge(uri)
        # The host's permit first: waiting for a slow host takes no permit from other hosts.
        async with self._host(target.host), self._places:
            try:
                async with asyncio.timeout(self._policy.seconds):
                    return await self._asked(target, partial(self._post, headers(), body))
            except TimeoutError:
                raise UriUnreadable(
                    f"the host did not answer within {self._policy.seconds:g} s"
                ) from None

    async def _post(
        self, headers: Mapping[str, str], body: bytes, url: httpx.URL, address: Address
    ) -> PostAnswer:
        response = await self._request("POST", url, address, headers, body)
        await response.aclose()
        return PostAnswer(response.status_code, _seconds(response.headers))


def _seconds(headers: httpx.Headers) -> float:
    """Return the seconds of a header `Retry-After`; 0 if it has none, or a date."""
    stated = headers.get("retry-after", "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", stated):
        return 0.0
    return float(min(int(stated), MOST_RETRY_AFTER))
