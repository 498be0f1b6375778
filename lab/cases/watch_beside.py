"""Time of answers while a camera sends five frames a second, compared with answers alone, in
alternation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from bench.harness.model import BenchResult
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import own
from lab.cases import watch
from lab.cases.beside import (
    MOST_RATIO,
    ROUNDS,
    SECONDS,
    WARM_CALLS,
    BesideFigures,
    asked,
    result,
    suite_in,
)
from local_suite.programs import TARGETS
from sightline_client import (
    Box,
    CountCondition,
    FaultCondition,
    PictureFault,
    PresenceCondition,
    SightlineClient,
    UnusualCondition,
    Watch,
    WatchDirection,
    WatchFrame,
    WatchRegion,
    WatchRule,
    WatchTarget,
)

Say: TypeAlias = Callable[[str], None]

RATE = 5.0
"""Frames a second."""
KEPT = 40
"""Different frames, which are sent in turn."""
WATCH = "shelf"


def run(say: Say) -> BenchResult:
    """Measure both shapes on the example wines."""
    found = {(target, "a camera"): BesideFigures() for target in TARGETS}
    frames = _frames()
    for (target, _), figures in found.items():
        say(f"loading wines: {target}")
        with own(partial(suite_in, target)) as suite:
            asyncio.run(_measure(suite.addresses()["gateway"], frames, figures, say))
    return result(
        found,
        "Answers beside a camera",
        f"A watch with four rules and three regions gets {RATE:.0f} frames a second of"
        f" {watch.WIDTH} × {watch.HEIGHT} pixels (at most {MOST_RATIO} ×).",
    )


def _frames() -> list[bytes]:
    """Return the first frames of a stream, without changes."""
    scene = watch.Scene(0)
    return [scene.frame(number) for number in range(KEPT)]


async def _measure(gateway: str, frames: list[bytes], figures: BesideFigures, say: Say) -> None:
    products = [wine.id for wine in load_wines()]
    async with SightlineClient(gateway, timeout=30) as client:
        await loading.load_all(client)
        await client.create_watch(_watch(products[0], frames[0]))
        for _ in range(WARM_CALLS // len(products)):
            await asked(client, products)
        async with _camera(client, frames):  # loads what frames need
            await asyncio.sleep(SECONDS)
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}")
            figures.alone.append(await asked(client, products, SECONDS))
            async with _camera(client, frames):
                figures.beside.append(await asked(client, products, SECONDS))


def _watch(product: str, frame: bytes) -> Watch:
    """Return a watch with a rule of each kind."""
    regions = tuple(
        WatchRegion(
            name,
            Box(
                left / watch.WIDTH,
                top / watch.HEIGHT,
                (left + watch.BOTTLE[0]) / watch.WIDTH,
                (top + watch.BOTTLE[1]) / watch.HEIGHT,
            ),
        )
        for name, (left, top) in watch.PLACES.items()
    )
    like = WatchTarget(image=frame)
    return Watch(
        WATCH,
        regions=regions,
        rules=(
            WatchRule("gone", PresenceCondition(WatchTarget(product), WatchDirection.GONE, ("a",))),
            WatchRule("few", count=CountCondition(like, ("b", "c"), 2)),
            WatchRule("odd", unusual=UnusualCondition()),
            WatchRule("black", fault=FaultCondition(PictureFault.BLACK)),
        ),
    )


@asynccontextmanager
async def _camera(client: SightlineClient, frames: list[bytes]) -> AsyncIterator[None]:
    """Send frames while the block runs, at RATE even if answers take longer."""
    sending = set[asyncio.Task[object]]()

    async def send() -> None:
        for number in range(10**6):
            frame = WatchFrame(frames[number % len(frames)])
            task = asyncio.ensure_future(client.send_frames(WATCH, [frame]))
            sending.add(task)
            task.add_done_callback(sending.discard)
            await asyncio.sleep(1 / RATE)

    camera = asyncio.create_task(send())
    try:
        yield
    finally:
        camera.cancel()
        await asyncio.gather(camera, *sending, return_exceptions=True)
