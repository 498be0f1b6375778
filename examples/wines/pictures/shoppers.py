"""Shoppers for a dashboard: they send requests for two minutes, as many as one machine answers
with ease."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Sequence
from typing import Any

from examples.wines.loading import Wine
from sightline_client import Event, EventType, SightlineClient, SightlineError

SHOPPERS = 2
WARM, SECONDS = 10.0, 130.0
"""When the picture begins, and when the shoppers leave, in seconds from the start."""
PAUSE = 0.4
"""Mean seconds between a shopper's requests; the maximum is twice as long."""


async def busy(client: SightlineClient, wines: Sequence[Wine]) -> tuple[float, float]:
    """Send requests, and return the start and end times of the picture."""
    since = time.time()
    await asyncio.gather(*[_shop(client, wines, seed, since + SECONDS) for seed in range(SHOPPERS)])
    return since + WARM, time.time()


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
            await client.recommend(visitor=f"shopper-{seed}", **draw.choice(looks))
            await client.write_events([event])
            if number % 5 == 0:
                await client.search(text=wine.type)
        await asyncio.sleep(PAUSE * 2 * draw.random())
