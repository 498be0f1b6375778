"""A shop in a whole suite: its products, reads and writes at an open rate, and their outcomes.

All by the client of this project, as a shop's own servers would: with its deadline and retries.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from examples.wines import loading
from examples.wines.catalogue import Wine, load_ratings, load_wines
from examples.wines.shelf.making import made
from sightline_client import (
    Event,
    EventType,
    Product,
    Recommendations,
    SightlineClient,
    SightlineError,
)
from tests.chaos.model import NotMeasured
from tests.fakes.pieces import piece

SECONDS: Final = 10.0
"""The deadline of each call: the client's own."""
GRACE_SECONDS: Final = 0.5
"""Seconds beyond the deadline in which an error may reach a caller on a busy machine."""
WHOLE: Final[Mapping[str, str]] = {
    "photo": "visual",
    "text": "text",
    "product": "visual",
    "user": "collaborative",
}
"""Each kind of shopper, and the branch that names products when nothing is lost."""
WRITES: Final = ("product written", "event written")
CAMERAS: Final = ("shelf", "piece")
"""Calls of cameras: DetectProducts and Inspect. They have no fallback."""
REFERENCE, GOOD = "chaos", 20
"""The reference that pieces are compared with, and its photos."""
CALM_SECONDS: Final = 2.0
"""Seconds without a fault after which the suite counts as recovered."""
PATIENCE_SECONDS: Final = 120.0
PAGE: Final = 10
LIKED: Final = 4.0
"""Stars."""

Ask = Callable[[], Awaitable[Recommendations | None]]
"""One call; None = a write was acknowledged."""


@dataclass(frozen=True, slots=True)
class Got:
    """Outcome of one call; times by time.monotonic()."""

    kind: str
    began: float
    ended: float
    error: str = ""
    """Why it was not answered; empty = it was."""
    causes: frozenset[str] = frozenset()
    """Why it is degraded, as it says itself."""
    branches: frozenset[str] = frozenset()
    """Branches that found its products."""
    ranked: bool = True
    """True if the ranker ordered them."""

    @property
    def whole(self) -> bool:
        """True if it is the answer that callers get when nothing is lost."""
        return not (self.error or self.causes) and self.best(WHOLE.get(self.kind, ""))

    def best(self, branch: str) -> bool:
        """Return whether it is ranked and `branch` named products; "": any branch."""
        return self.ranked and (not branch or branch in self.branches)


def got(kind: str, began: float, ended: float, answer: Recommendations | None) -> Got:
    """Return the outcome that an answer represents."""
    if ended - began > SECONDS + GRACE_SECONDS:
        return Got(kind, began, ended, "late")
    if answer is None:
        return Got(kind, began, ended)
    if not answer.results:
        return Got(kind, began, ended, "empty success")
    parts = {part.name for item in answer.results for part in item.parts}
    return Got(
        kind,
        began,
        ended,
        causes=frozenset(str(each.cause) for each in answer.degradations),
        branches=frozenset(name for item in answer.results for name in item.branches),
        ranked=parts != {"fusion"},
    )


async def open_shop(client: SightlineClient) -> None:
    """Load wines with photos and ratings, and promote a model. Raise NotMeasured."""
    try:
        await loading.load_all(client)
    except loading.LoadingFailed as error:
        raise NotMeasured(str(error)) from error


def shoppers(client: SightlineClient, seed: int) -> dict[str, Ask]:
    """Return the shoppers' requests: by photo, by text, by product and by history."""
    chance, wines, numbers = random.Random(seed), load_wines(), itertools.count()
    # Of who liked nothing, no taste is known.
    users = sorted({rating.user_id for rating in load_ratings() if rating.value >= LIKED})

    def any_wine() -> Wine:
        return chance.choice(wines)

    async def by_photo() -> Recommendations:
        # A new photo each time, by what follows its end, so that no cache answers for the model.
        image = any_wine().image.read_bytes() + b"%012d" % next(numbers)
        return await client.recommend(image=image, page_size=PAGE)

    async def by_text() -> Recommendations:
        return await client.recommend(text=f"{any_wine().title} {next(numbers)}", page_size=PAGE)

    async def by_product() -> Recommendations:
        return await client.recommend(products=any_wine().id, page_size=PAGE)

    async def by_user() -> Recommendations:
        return await client.recommend(user=chance.choice(users), page_size=PAGE)

    return dict(zip(WHOLE, (by_photo, by_text, by_product, by_user), strict=True))


async def cameras(client: SightlineClient) -> dict[str, Ask]:
    """Return the calls of cameras, after making the reference of one."""
    numbers, photo = itertools.count(), made([["100062", "100062", "102079"]])
    await client.add_reference_photos(REFERENCE, [piece(seed) for seed in range(GOOD)])
    await client.fit_reference(REFERENCE)
    await client.promote_reference(REFERENCE)

    async def shelf() -> None:
        # A new photo each time, as a shopper's above.
        await client.detect_products(photo + b"%012d" % next(numbers), max_detections=3)

    async def inspected() -> None:
        await client.inspect(piece(GOOD + next(numbers)), reference_id=REFERENCE)

    return dict(zip(CAMERAS, (shelf, inspected), strict=True))


@dataclass(slots=True)
class Ledger:
    """Acknowledged writes."""

    products: dict[str, str] = field(default_factory=dict)
    """Id → title."""
    events: list[Event] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.products)} products and {len(self.events)} events"

    async def lost(self, client: SightlineClient) -> list[str]:
        """Return the ids of acknowledged writes that are missing or changed. A repeated event is
        new only if the first one was lost."""
        found = {each.product_id: each.title async for each in client.list_products()}
        lost = [name for name, title in self.products.items() if found.get(name) != title]
        again = client.write_events(self.events, batch_size=1)
        fresh = [one.done - 1 async for one in again if one.failures or one.written_count]
        return [*lost, *(self.events[place].event_id for place in fresh)]


def writers(client: SightlineClient, ledger: Ledger, first: int = 0) -> dict[str, Ask]:
    """Return the writes, each of another product or event, numbered from `first`."""
    numbers, wine = itertools.count(first), load_wines()[0].id

    async def product() -> None:
        number = next(numbers)
        written = Product(f"written-{number}", f"Written {number}")
        report = await client.upsert_products([written])
        for refused in report.failures:
            raise refused.error or AssertionError(refused)
        ledger.products[written.product_id] = written.title

    async def event() -> None:
        number, now = next(numbers), datetime.now(UTC)
        written = Event(f"written-{number}", EventType.VIEW, wine, f"u-{number}", time=now)
        report = await client.write_events([written])
        for refused in report.failures:
            raise refused.error
        ledger.events.append(written)

    return dict(zip(WRITES, (product, event), strict=True))


@dataclass(slots=True)
class Load:
    """Calls at scheduled times, independent of the results of earlier calls."""

    asks: Mapping[str, Ask]
    rates: Mapping[str, float]
    """Calls a second, by kind."""
    got: list[Got] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    """Start times of the calls in progress."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send all calls during the block, and wait for the running ones at its end."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for kind, ask in self.asks.items():
                group.create_task(self._arrivals(kind, ask, stop))
            try:
                yield
            finally:
                stop.set()

    async def calm(self, since: float) -> float:
        """Wait until requests of every kind got only complete answers for a while. Return the time
        of the last other one. Raise NotMeasured."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            now = time.monotonic()
            bad = [each for each in self.got if each.ended >= since and not each.whole]
            last = max([since, *(each.ended for each in bad)])
            recent = {each.kind for each in self.got if each.began > last}
            settled = all(began > last for began in self.waiting)
            if settled and recent >= self.asks.keys() and now - last > CALM_SECONDS:
                return last
            if now > until:
                raise NotMeasured(f"not well within {PATIENCE_SECONDS:.0f} s: {bad[-3:]}")
            await asyncio.sleep(0.05)

    async def _arrivals(self, kind: str, ask: Ask, stop: asyncio.Event) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as calls:
            while not stop.is_set():
                calls.create_task(self._call(kind, ask))
                due += 1 / self.rates[kind]
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _call(self, kind: str, ask: Ask) -> None:
        began = time.monotonic()
        self.waiting.append(began)
        try:
            answer = await ask()
        except SightlineError as error:
            why = error.reason or error.code.name
            self.got.append(Got(kind, began, time.monotonic(), why))
        else:
            self.got.append(got(kind, began, time.monotonic(), answer))
        finally:
            self.waiting.remove(began)


def counted(got: Iterable[Got]) -> str:
    """Return the numbers of answered and of all calls, and the reasons of failures."""
    every = list(got)
    missed: dict[str, int] = {}
    for each in every:
        if each.error:
            words = f"{each.kind}: {each.error}"
            missed[words] = missed.get(words, 0) + 1
    said = ", ".join(f"{number} {words}" for words, number in missed.items())
    return f"{answered(every):.2%} of {len(every)} answered" + (f" ({said})" if said else "")


def answered(got: Sequence[Got]) -> float:
    """Return the share of answered calls; 0 without calls."""
    return sum(not each.error for each in got) / len(got) if got else 0.0
