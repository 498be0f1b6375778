"""Time until a new pod gets its share of the calls, by maximum age of connections.

Pods are local servers on loopback addresses, resolved by a local name server as those of a headless
Service. Callers use our channel, each with its own connections; they start spread over the lifetime
of a connection, and call ten times a second. A cluster adds the time for which it caches names,
which is zero here.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from statistics import median

import grpc
import uvloop

from bench.harness.model import BenchResult, BenchTable
from servicekit import telemetry
from servicekit.rpc import channel
from tests.fakes.kit_names import METHOD, Pods, pods

AGES = (0.0, 30.0, 60.0)
"""Maximum ages in seconds; 0 means no limit."""
CALLERS = 20
PAUSE = 0.1
PODS = 2
"""Number of pods before one more is added."""
WATCHED = 45.0
"""Seconds for which calls are counted if connections have no maximum age."""


class PodCaller:
    """One caller and its connections."""

    def __init__(self) -> None:
        self.found: float | None = None
        """Time of the new pod's first answer to this caller."""
        self.failed = 0

    async def call(self, target: str, end: asyncio.Event) -> None:
        """Call repeatedly until `end`, over connections of its own."""
        async with channel.connect(target) as peer:
            ask = peer.unary_unary(METHOD, None, None)
            while not end.is_set():
                try:
                    number = int(await ask(b"", timeout=10.0))
                except grpc.aio.AioRpcError:
                    self.failed += 1
                    continue
                if number == PODS and self.found is None:
                    self.found = time.monotonic()
                await asyncio.sleep(PAUSE)


def run(say: Callable[[str], None]) -> BenchResult:
    """Add a pod under each maximum age."""
    telemetry.configure_logging("bench", "warning")
    found = {age: uvloop.run(_measure(age, say)) for age in AGES}
    return BenchResult((table(found),), {"ages": {f"{age:g}": each for age, each in found.items()}})


def table(found: Mapping[float, Mapping[str, float | None]]) -> BenchTable:
    """Return the table of the seconds measured at each connection age."""
    return BenchTable(
        "A new pod's share",
        ("connections end after", "half of the callers", "all", "nine tenths of a share", "failed"),
        tuple(_row(age, figures) for age, figures in found.items()),
        f"Seconds from the start of a third pod to the first call of {CALLERS} callers to it, and "
        "to nine tenths of an even share of all calls; calls that failed.",
    )


def _row(age: float, figures: Mapping[str, float | None]) -> tuple[str, ...]:
    cells = ["never" if value is None else f"{value:.0f} s" for value in figures.values()]
    return (f"{age:g} s" if age else "never", *cells[:3], f"{figures['failed']:g}")


async def _measure(age: float, say: Callable[[str], None]) -> dict[str, float | None]:
    say(f"a new pod, connections that end after {age:g} s")
    callers, end = [PodCaller() for _ in range(CALLERS)], asyncio.Event()
    async with pods(PODS, age) as shop:
        calling = []
        for each in callers:
            calling.append(asyncio.create_task(each.call(shop.target, end)))
            await asyncio.sleep((age or 1.0) / CALLERS)
        await shop.add()
        began = time.monotonic()
        shared = await _shared(shop, 1.2 * age or WATCHED)
        end.set()
        await asyncio.gather(*calling)
    seconds = [each.found - began for each in callers if each.found is not None]
    return {
        "half_s": median(seconds) if len(seconds) == CALLERS else None,
        "all_s": max(seconds) if len(seconds) == CALLERS else None,
        "share_s": shared,
        "failed": float(sum(each.failed for each in callers)),
    }


async def _shared(shop: Pods, seconds: float) -> float | None:
    """Return the seconds until the new pod had nine tenths of its share of two seconds' calls, or
    None.
    """
    began, shared = time.monotonic(), None
    while (passed := time.monotonic() - began) < seconds:
        before = shop.answered.total(), shop.answered[PODS]
        await asyncio.sleep(2.0)
        new, calls = shop.answered[PODS] - before[1], shop.answered.total() - before[0]
        if shared is None and new * (PODS + 1) >= 0.9 * calls:
            shared = passed
    return shared
