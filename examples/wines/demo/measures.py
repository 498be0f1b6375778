"""Measurements of the demo."""

import asyncio
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from statistics import fmean

from examples.wines import transforms
from examples.wines.catalogue import Wine
from examples.wines.transforms import Transform
from sightline_client import (
    Availability,
    Event,
    EventType,
    F,
    Filter,
    Recommendations,
    SightlineClient,
)

SEED = 2026
"""Seed of every photo transform of the demo."""

VIEWS = (0, 1, 3)

WHOLE_CATALOG: Filter = F.availability.in_(
    Availability.IN_STOCK,
    Availability.OUT_OF_STOCK,
    Availability.PREORDER,
    Availability.BACKORDER,
)
"""Filter that also passes sold-out wines: a filter on availability replaces the scene's own rule.
"""

_CLIENTS = 4
_TOP = 5
_TRIES = 20
"""Maximum number of requests per photo, a second apart, while answers are degraded, so that only
similarity is measured.
"""


@dataclass(frozen=True, slots=True)
class Hits:
    """Numbers of changed photos that found their own wine."""

    transform: Transform
    photos: int
    at_1: int
    """Photos whose wine came first."""
    at_5: int
    """Photos whose wine was among the first five."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Ranks of the wines of one type for a visitor who views some of them."""

    type: str
    viewed: tuple[Wine, ...]
    mean_ranks: tuple[float, ...]
    """Mean rank of the type's wines after each of VIEWS, over the whole catalog."""
    unseen_mean_ranks: tuple[float, ...]
    """The same without the viewed wines; NaN where the type has no others."""
    answers: tuple[Recommendations, ...]
    """The whole answers, one for each of VIEWS."""

    @property
    def falls(self) -> bool:
        """Return whether the type's other wines rank higher after the last view than before the
        first."""
        return self.unseen_mean_ranks[-1] < self.unseen_mean_ranks[0]


async def hits(
    client: SightlineClient, wines: Sequence[Wine], progress: Callable[[int, int], None]
) -> tuple[Hits, ...]:
    """Measure hit@1 and hit@5 of Recommend for every wine under every transform."""
    gate = asyncio.Semaphore(_CLIENTS)
    done = 0

    async def place(wine: Wine, kind: Transform) -> int:
        """Return the wine's place among the first five; 0 = not among them."""
        nonlocal done
        async with gate:
            photo = await asyncio.to_thread(
                transforms.apply, wine.image.read_bytes(), kind, seed=SEED, key=wine.id
            )
            for _ in range(_TRIES):
                answer = await client.recommend(
                    image=photo, filter=WHOLE_CATALOG, page_size=_TOP, timeout=30
                )
                if not any(loss.stage == "visual" for loss in answer.degradations):
                    break
                await asyncio.sleep(1)
        done += 1
        progress(done, len(wines) * len(transforms.ALL))
        ids = [item.product.product_id for item in answer.results]
        return ids.index(wine.id) + 1 if wine.id in ids else 0

    measured = []
    for kind in transforms.ALL:
        places = await asyncio.gather(*(place(wine, kind) for wine in wines))
        at_1, at_5 = places.count(1), len(places) - places.count(0)
        measured.append(Hits(kind, len(wines), at_1, at_5))
    return tuple(measured)


async def newcomers(
    client: SightlineClient,
    wines: Sequence[Wine],
    types: Sequence[str],
    progress: Callable[[int, int], None],
) -> tuple[Newcomer, ...]:
    """Return for each type a new visitor, who views three of its wines."""
    measured = []
    for done, kind in enumerate(types, start=1):
        viewed = tuple(wine for wine in wines if wine.type == kind)[: VIEWS[-1]]
        measured.append(await _newcomer(client, wines, kind, viewed))
        progress(done, len(types))
    return tuple(measured)


async def _newcomer(
    client: SightlineClient, wines: Sequence[Wine], kind: str, viewed: tuple[Wine, ...]
) -> Newcomer:
    visitor = f"newcomer-{kind}"
    answers: list[Recommendations] = []
    written = 0
    for views in VIEWS:
        for wine in viewed[written:views]:
            event = Event(f"{visitor}-{wine.id}", EventType.VIEW, wine.id, visitor=visitor)
            report = await client.write_events([event])
            for failure in report.failures:
                raise failure.error
        written = views
        answers.append(
            await client.recommend(
                visitor=visitor, filter=WHOLE_CATALOG, page_size=len(wines), timeout=30
            )
        )
    all_ids = {wine.id for wine in wines if wine.type == kind}
    other_ids = all_ids - {wine.id for wine in viewed}
    return Newcomer(
        type=kind,
        viewed=viewed,
        mean_ranks=tuple(mean_rank(answer, all_ids, len(wines)) for answer in answers),
        unseen_mean_ranks=tuple(mean_rank(answer, other_ids, len(wines)) for answer in answers),
        answers=tuple(answers),
    )


def mean_rank(answer: Recommendations, product_ids: Set[str], last: int) -> float:
    """Return the mean rank of these products; a product missing from the answer has rank ``last``.
    NaN without products.
    """
    ranks = {item.product.product_id: item.rank for item in answer.results}
    return fmean(ranks.get(each, last) for each in product_ids) if product_ids else math.nan
