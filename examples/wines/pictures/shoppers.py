"""Shoppers for a dashboard: they send requests for two minutes; the ranker is down once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Sequence
from typing import Any

from examples.wines.loading import Wine
from local_suite.suite import Suite
from sightline_client import Event, EventType, SightlineClient, SightlineError

SHOPPERS = 3
SECONDS = 130.0
DOWN, UP = 60.0, 80.0
"""When the ranker stops and starts again, in seconds from the start."""
PAUSE = 0.06
"""Mean seconds between a shopper's requests; the maximum is twice as long."""


async def busy(client: SightlineClient, suite: Suite, wines: Sequence[Wine]) -> tuple[float, float]:
    """Send requests continuously, stop and start the ranker, and return the start and end times."""
    since = time.time()
    asking = [_shop(client, wines, seed, since + SECONDS) for seed in range(SHOPPERS)]
    await asyncio.gather(*asking, _disturb(suite))
    return since + 10, time.time()


async def _disturb(suite: Suite) -> None:
    await asyncio.sleep(DOWN)
    await asyncio.to_thread(suite.stop, "ranker", kill=True)
    await asyncio.sleep(UP - DOWN)
    await asyncio.to_thread(suite.start, "ranker")


async def _shop(client: SightlineClient, wines: Sequence[Wine], seed: int, until: float) -> None:
    draw = random.Random(seed)
    for number in itertools.count():
        if time.time() > until:
            return
        wine = draw.choice(wines)
        looks: list[dict[str, Any]] = [
            {},
            {"scene": "similar", "anchors": [wine.id]},
            {"scene": "for-you"},
            {"image": wine.image.read_bytes()},
        ]
        event = Event(f"seen-{seed}-{number}", EventType.VIEW, wine.id, visitor=f"shopper-{seed}")
        with contextlib.suppress(SightlineError):  # failed calls are part of the picture
            answer = await client.recommend(visitor=f"shopper-{seed}", **draw.choice(looks))
            if not answer.degradations:  # otherwise the ranker, which stores events, is down
                await client.write_events([event])
            if number % 5 == 0:
                await client.search(text=wine.type)
        await asyncio.sleep(PAUSE * 2 * draw.random())
