"""Slow readers and slow writers, by a relay that forwards bytes slowly."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import grpc

from sightline.common.v1.product_pb2 import Product, ProductImage
from sightline.gateway.v1.catalog_service_pb2 import ListProductsRequest, UpsertProductsRequest
from tests.fuzz.callers import Callers
from tests.fuzz.model import FUZZ, KEPT, Call, Caller, Outcome
from tests.fuzz.surface import named
from tests.relays import HOST, PIECE, relay

_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


@dataclass(frozen=True, slots=True)
class Pace:
    """Pace at which bytes are forwarded."""

    at_once: float
    """Bytes that are forwarded at once."""
    a_second: int = 1
    """Bytes a second from then on."""


FAST = Pace(float("inf"))
READS = Pace(4_096, 16)
"""Pace that allows the connection and the beginning of an answer."""
WRITES = Pace(4_096, 1)
"""Pace that allows the connection and the headers of a call."""
READERS, UNREAD = 4, 75
"""Connections, and calls of each. A page takes up to a megabyte: if the server kept all of them
for a slow reader, it would grow by many times the allowed memory."""
WRITERS = 4
LATE_SECONDS = 30.0
"""Seconds within which an incomplete request must be rejected: three times the limit in
docs/operate/limits.md."""


@asynccontextmanager
async def slowed(target: str, up: Pace, down: Pace) -> AsyncIterator[str]:
    """Yield the address of a slow proxy of `target`; `up`: pace of requests, `down`: of answers."""
    ways = partial(_hand_on, pace=up), partial(_hand_on, pace=down)
    async with relay(int(target.rpartition(":")[2]), lambda _cut: ways) as port:
        yield f"{HOST}:{port}"


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: Pace) -> None:
    """Forward bytes until one side ends."""
    handed = 0
    with contextlib.suppress(OSError):
        while data := await reader.read(
            int(min(PIECE, pace.at_once - handed)) if handed < pace.at_once else pace.a_second
        ):
            writer.write(data)
            await writer.drain()
            handed += len(data)
            if handed >= pace.at_once:
                await asyncio.sleep(1)


class SlowCallers:
    """Ask for long pages and do not read them; begin long requests and do not end them."""

    def __init__(self, address: str, who: Callers, late: float = LATE_SECONDS) -> None:
        self._address, self._who, self._late = address, who, late
        self.may_read = asyncio.Event()
        """Set when readers may begin: memory held for them then counts as growth."""
        self._unread = 0
        self._ended: Counter[str] = Counter()
        self._one_ended = asyncio.Event()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Run all slow callers during the block."""
        tasks = [asyncio.create_task(self._read_slowly()) for _ in range(READERS)]
        tasks += [asyncio.create_task(self._write_slowly()) for _ in range(WRITERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def outcome(self) -> Outcome:
        """Return the outcome: held if incomplete requests were rejected and other calls did not
        wait for them."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._one_ended.wait(), self._late + 1)
        ended = ", ".join(f"{count} × {code}" for code, count in self._ended.most_common())
        measured = f"{self._unread} long answers hardly read; long requests hardly sent: {ended}"
        late = self._ended["DEADLINE_EXCEEDED"] + self._ended["RESOURCE_EXHAUSTED"]
        return Outcome(0 < late == self._ended.total(), measured)

    async def _read_slowly(self) -> None:
        """Open a connection and add a call without a deadline each second."""
        request = ListProductsRequest(catalog_id=KEPT, page_size=1_000).SerializeToString()
        path = named("ListProducts").path
        headers = self._who.headers(Call(path, request, 0.0, caller=Caller.SLOW))
        await self.may_read.wait()
        async with _slowed(self._address, FAST, READS) as channel:
            calls = []
            for _ in range(UNREAD):
                calls.append(channel.unary_unary(path, None, None)(request, metadata=headers))
                self._unread += 1
                await asyncio.sleep(1)
            await asyncio.wait([asyncio.create_task(call.code()) for call in calls])

    async def _write_slowly(self) -> None:
        """Send requests whose last byte would take a day, repeatedly."""
        photo = ProductImage(content=bytes(86_400))
        product = Product(product_id="slow", title="Slow", images=[photo])
        request = UpsertProductsRequest(catalog_id=FUZZ, products=[product]).SerializeToString()
        path = named("UpsertProducts").path
        headers = self._who.headers(Call(path, request, 0.0, caller=Caller.SLOW))
        while True:
            async with _slowed(self._address, WRITES, FAST) as channel:
                call = channel.unary_unary(path, None, None)(request, metadata=headers)
                try:
                    async with asyncio.timeout(self._late):
                        code = (await call.code()).name
                except TimeoutError:
                    code = "waited for"
                self._ended[code] += 1
                self._one_ended.set()


@asynccontextmanager
async def _slowed(address: str, up: Pace, down: Pace) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        slowed(address, up, down) as slow,
        grpc.aio.insecure_channel(slow, options=_OWN_CONNECTION) as channel,
    ):
        yield channel
