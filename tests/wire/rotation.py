"""Every key and certificate of a running installation, changed in the three steps of
docs/operate/keys.md: add the new one, put it first, remove the old one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from servicekit.admission.access import Role
from servicekit.watched_files import LOOK_SECONDS
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline_client import Event, EventType, SightlineClient, SightlineError, tls_credentials
from tests import certificates, peers
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import SECONDS

CALLERS = 3
"""Number of concurrent callers of each kind."""
PAUSE = 0.03
"""Seconds between a caller's calls: there are other tests on this machine."""


@dataclass(slots=True)
class Traffic:
    """Callers that continue while keys and certificates change."""

    clients: list[SightlineClient]
    """The last one is used."""
    pages: list[str] = field(default_factory=lambda: [""])
    """Tokens of later pages; the last one is used."""
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    async def look(self) -> None:
        """Request another page of an earlier answer: the gateway calls the retriever."""
        request = catalog_pb2.ListProductsRequest(page_size=1, page_token=self.pages[-1])
        client = self.clients[-1]
        answer = await client._call(client.calls.catalog.ListProducts, request, None)
        if not self.pages[-1]:
            self.pages.append(answer.next_page_token)

    async def click(self) -> None:
        """Write an event: the gateway calls the ranker."""
        event = Event(secrets.token_hex(8), EventType.VIEW, "p0", user="u")
        report = await self.clients[-1].write_events([event])
        for refused in report.failures:
            raise refused.error

    async def ask(self) -> None:
        """Request the status: every component answers the gateway."""
        components = (await self.clients[-1].status()).components
        wrong = {each.component: each.error for each in components if each.error}
        for name in ("gateway", "embedder", "retriever", "ranker"):
            if name in wrong:
                self.failed.append(f"{name}: {wrong[name]}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for call in (self.look, self.click, self.ask):
                for _ in range(CALLERS):
                    task = asyncio.create_task(self._again(call))
                    stack.push_async_callback(_ended, task)
            yield

    async def _again(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await call()
            except SightlineError as error:
                self.failed.append(f"{call.__name__}: {error}")
            else:
                self.answered[call.__name__] += 1
            await asyncio.sleep(PAUSE)

    async def go_on(self) -> None:
        """Wait until every change was reloaded, and each kind of call was answered since."""
        await asyncio.sleep(1.3 * LOOK_SECONDS)
        before = self.answered.copy()
        while any(self.answered[name] < before[name] + CALLERS for name in before):
            if len(self.failed) > 100:
                return
            await asyncio.sleep(0.01)


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def peers_of(folder: Path) -> peers.Keys:
    """Return the keys of an installation, one for each pair."""
    return {
        (one, other): (folder / one / "keys" / f"{other}.key").read_text().strip()
        for one, other in peers.PAIRS
    }


async def change(
    folder: Path, target: str, signer: trustme.CA, before: trustme.CA, old: str, new: str
) -> Traffic:
    """Change everything at once while callers continue. `signer`: authority of the gateway's
    certificates; `before`: of its peers'; `old`, `new`: the tokens of its caller."""
    after = certificates.authority()
    credentials = tls_credentials(ca=folder / "gateway-tls/ca.crt")
    key, fresh = (folder / "tokens.keys").read_text().strip(), secrets.token_hex(32)
    between, renewed = peers_of(folder), peers.drawn()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                SightlineClient(target, token=token, credentials=credentials, timeout=SECONDS)
            )
            for token in (old, new)
        ]
        traffic = Traffic(clients[:1])
        async with traffic.running():
            await traffic.go_on()
            _keys(folder, [key, fresh], [old, new])
            peers.write_keys(folder, between, renewed)
            peers.write_certificates(folder, before, after)
            await traffic.go_on()
            _keys(folder, [fresh, key], [old, new])
            peers.write_keys(folder, renewed, between)
            peers.write_certificates(folder, after, before)
            peers.show(folder, "gateway-tls", signer)
            traffic.clients.append(clients[1])
            await traffic.go_on()
            traffic.pages.append("")  # whose token the new key signs
            await traffic.go_on()
            _keys(folder, [fresh], [new])
            peers.write_keys(folder, renewed)
            peers.write_certificates(folder, after)
            await traffic.go_on()
    return traffic


def _keys(folder: Path, keys: Sequence[str], tokens: Sequence[str]) -> None:
    """Write the keys of tokens and of callers."""
    (folder / "tokens.keys").write_text("".join(f"{key}\n" for key in keys))
    roles = str([role.value for role in Role])
    entries = [entry(f"ops-{place}", token, roles) for place, token in enumerate(tokens)]
    (folder / "keys.toml").write_text("".join(entries))
