"""Events of generated shoppers, each of whom prefers some kinds of products."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from examples.wines import loading
from sightline_client import Event, EventType, SightlineClient

SEED = 16
DAYS = 120
LIKED = 3
"""Number of kinds that a shopper prefers."""
FAITHFUL = 0.8
"""Fraction of a shopper's events that are about these kinds."""
TYPES = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)
SHARES = (60, 20, 12, 8)
"""Percentage of each type."""
_FIRST = datetime(2026, 7, 1, tzinfo=UTC)


def shopper_id(number: int) -> str:
    """Return a shopper's id by number."""
    return f"shopper-{number:04}"


def events(kinds: Mapping[str, Sequence[str]], count: int, shoppers: int) -> list[Event]:
    """Return `count` events about products by their kinds, in order of time; deterministic.

    The first products of a kind get the most events (Zipf), as popularity is never even.
    """
    draw = random.Random(f"{SEED}/{count}/{shoppers}")
    names = sorted(kinds)
    weights = {name: [1 / (place + 10) for place in range(len(kinds[name]))] for name in names}
    tastes = [draw.sample(names, min(LIKED, len(names))) for _ in range(shoppers)]
    found = []
    for number in range(count):
        shopper = draw.randrange(shoppers)
        kind = draw.choice(tastes[shopper] if draw.random() < FAITHFUL else names)
        product = draw.choices(kinds[kind], weights[kind])[0]
        found.append(
            Event(
                event_id=f"event-{number}",
                type=draw.choices(TYPES, SHARES)[0],
                product_id=product,
                user=shopper_id(shopper),
                time=_FIRST + timedelta(seconds=number * DAYS * 86_400 / count),
            )
        )
    return found


def learned(
    target: str,
    kinds: Mapping[str, Sequence[str]],
    count: int,
    shoppers: int,
    seconds: float = loading.TRAIN_SECONDS,
) -> list[str]:
    """Write events, train within `seconds`, and promote.

    Return the shoppers' ids. Raise LoadingFailed when a step fails.
    """
    made = events(kinds, count, shoppers)
    asyncio.run(_learned(target, made, seconds))
    return sorted({event.user for event in made if event.user})


async def _learned(target: str, made: Sequence[Event], seconds: float) -> None:
    async with SightlineClient(target, timeout=60.0) as client:
        report = await client.write_events(made)
        stored = report.written_count + report.duplicate_count
        if stored != len(made):
            raise loading.LoadingFailed(f"{stored} of {len(made)} events were stored")
        await loading.promote(client, await loading.train(client, seconds=seconds))
