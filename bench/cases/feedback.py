"""Time from an event or an import to the first answer that reflects it, through the client.

A whole suite has the example wines; shoppers act one after the other. The bench writes an event
about a product, and requests the home page until the product is missing from it. The time runs from
the call that writes to that answer. Counts over all shoppers' events are updated by the ranker's
worker: the bench requests them until they reflect the event. A new product has the words of
a wine that a shopper clicked on, and the photo of another wine, which it replaces: the bench
imports it and requests a long page of the shopper until the product is ranked on it by its
features.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from examples.wines.catalogue import load_wines
from examples.wines.loading import LoadingFailed, load_all
from examples.wines.local import own_suite
from examples.wines.shop import product
from sightline_client import (
    Availability,
    Event,
    EventType,
    Recommendations,
    SightlineClient,
)

Say: TypeAlias = Callable[[str], None]

SHOPPERS, WARM_UP = 150, 10
PAIRS = 40
"""Number of products whose counts are measured."""
KINDS = {
    "hidden": EventType.HIDE,
    "clicked": EventType.CLICK,
    "bought": EventType.PURCHASE,
}
AGAIN, TOGETHER = "bought: listed to be bought again", "viewed together: on the other's page"
IMPORTED = "new product imported: ranked for a shopper by its features"
PAGE, LONG_PAGE = 10, 100
"""Products of a page, and of one that nearly all wines fit on."""
OF_FEATURES = "content", "taste", "session"
"""Parts of the score that come from the features of a product that came after the training. A model
has `content` only where it helps by the training's own test, which on the wines depends on the
draw of shoppers."""
AT_ONCE_MS, COUNTED_MS, IMPORTED_MS = 100.0, 1_000.0, 1_000.0
PATIENCE = 10.0
"""Seconds after which the bench fails; for a new product those that count."""


@dataclass(slots=True)
class Waited:
    """Delays of one kind of event."""

    milliseconds: list[float] = field(default_factory=list)
    """Seconds from the call that writes to the answer that reflects the event."""
    writes: list[float] = field(default_factory=list)
    """Seconds of that for the write."""
    first: list[bool] = field(default_factory=list)
    """True if the first answer after it reflected the event."""
    leading: int = 0
    """New products among the first PAGE."""


Found: TypeAlias = dict[str, Waited]


def run(say: Say) -> BenchResult:
    """Start and fill a suite and measure it, in a minute."""
    with own_suite(say) as suite:
        return result(asyncio.run(_measured(suite.addresses()["gateway"], say)))


async def _measured(gateway: str, say: Say) -> Found:
    found = {name: Waited() for name in (*KINDS, AGAIN, TOGETHER, IMPORTED)}
    async with SightlineClient(gateway, timeout=30) as client:
        say("the wines, their ratings and a model of them")
        await load_all(client)
        say(f"{PAIRS} products that are bought, and looked at together")
        # First, because counts do not rank products that all shoppers view.
        newest = await client.recommend(scene="new", page_size=2 * PAIRS)
        ids = [row.product.product_id for row in newest.results]
        for number in range(PAIRS):
            pair = (ids[number], ids[number + PAIRS])
            await _counted(client, f"visitor-{number}", pair, found)
        say(f"{SHOPPERS} shoppers, who hide, click and buy")
        for number in range(WARM_UP + SHOPPERS):
            await _at_once(client, f"shopper-{number}", {} if number < WARM_UP else found)
        say(f"{PAIRS} new products")
        for number in range(PAIRS):
            await _imported(client, number, found[IMPORTED])
    return found


async def _at_once(client: SightlineClient, who: str, found: Found) -> None:
    """Write each kind of event about the page's first product, for a visitor with one earlier
    click.
    """

    async def page() -> Recommendations:
        return await client.recommend(scene="for-you", visitor=who, page_size=PAGE)

    first = (await page()).results[-1].product.product_id
    await client.write_events([Event(f"{who}-known", EventType.CLICK, first, visitor=who)])
    for name, kind in KINDS.items():
        item = (await page()).results[0].product.product_id
        gone = partial(_lacks, item)
        event = Event(f"{who}-{name}", kind, item, visitor=who)
        await _wait(partial(_events, client, [event]), page, gone, found.get(name, Waited()))


def _lacks(item: str, answer: Recommendations) -> bool:
    return item not in _ids(answer)


async def _counted(client: SightlineClient, who: str, pair: tuple[str, str], found: Found) -> None:
    async def again() -> Recommendations:
        return await client.recommend(scene="reorder", visitor=who, page_size=10)

    async def beside() -> Recommendations:
        return await client.recommend(scene="also-viewed", anchors=[pair[0]], page_size=100)

    bought = Event(f"{who}-bought", EventType.PURCHASE, pair[0], visitor=who)
    written = partial(_events, client, [bought])
    await _wait(written, again, lambda answer: pair[0] in _ids(answer), found[AGAIN])
    views = [Event(f"{who}-{item}", EventType.VIEW, item, visitor=who) for item in pair]
    viewed = partial(_events, client, views)
    await _wait(viewed, beside, lambda answer: pair[1] in _ids(answer, "co_view"), found[TOGETHER])


async def _imported(client: SightlineClient, number: int, waited: Waited) -> None:
    """Import a new product with the words of a wine, and wait until its features rank it for a
    shopper who clicked on that wine; note whether it is among the first. Its photo is that of
    another wine, which is deleted, because products with one picture share a place."""
    wines = load_wines()
    liked, replaced = product(wines[number]), product(wines[number + PAIRS])
    new = replace(
        liked,
        product_id=f"new-{number}",
        title=f"{liked.title}, new",
        availability=Availability.IN_STOCK,
        images=replaced.images,
    )
    who = f"reader-{number}"

    async def written() -> None:
        report = await client.upsert_products([new])
        if report.failures:
            raise LoadingFailed(f"not imported: {report.failures[0]}")

    async def page() -> Recommendations:
        return await client.recommend(scene="for-you", visitor=who, page_size=LONG_PAGE)

    await client.delete_products([replaced.product_id])
    known = Event(f"{who}-known", EventType.CLICK, liked.product_id, visitor=who)
    await _events(client, [known])
    await _wait(written, page, partial(nominates, new.product_id), waited, fails=False)
    best = [row.product.product_id for row in (await page()).results[:PAGE]]
    waited.leading += new.product_id in best


async def _events(client: SightlineClient, events: Sequence[Event]) -> None:
    report = await client.write_events(events)
    if report.written_count != len(events):
        raise LoadingFailed(f"{report.written_count} of {len(events)} events were taken")


async def _wait(
    write: Callable[[], Awaitable[None]],
    ask: Callable[[], Awaitable[Recommendations]],
    shows: Callable[[Recommendations], bool],
    waited: Waited,
    *,
    fails: bool = True,
) -> None:
    """Write something, and repeat a request until the answer reflects it. After PATIENCE, fail if
    `fails`, otherwise count the time until then."""
    began = time.perf_counter()
    await write()
    written, asked = time.perf_counter(), 1
    while not shows(await ask()):
        asked += 1
        if time.perf_counter() - began > PATIENCE:
            if fails:
                raise LoadingFailed(f"no answer shows {write}")
            break
    waited.milliseconds.append(1e3 * (time.perf_counter() - began))
    waited.writes.append(1e3 * (written - began))
    waited.first.append(asked == 1)


def nominates(item: str, answer: Recommendations) -> bool:
    """Return whether a product is in the answer with a part of its features, which is below 0 if
    it is less like what the shopper likes than others are."""
    return any(
        part.name in OF_FEATURES and part.value != 0
        for row in answer.results
        if row.product.product_id == item
        for part in row.parts
    )


def _ids(answer: Recommendations, part: str = "") -> set[str]:
    """Return the products of the answer; with `part` only those that have it."""
    return {
        row.product.product_id
        for row in answer.results
        if not part or any(one.name == part and one.value > 0 for one in row.parts)
    }


def result(found: Found) -> BenchResult:
    """Return the figures as a table and goals."""
    at_once = [found[name] for name in KINDS]
    firsts = [each for waited in at_once for each in waited.first]
    share = sum(firsts) / len(firsts)
    counted = [each for name in (AGAIN, TOGETHER) for each in found[name].milliseconds]
    whole = [each for waited in at_once for each in waited.milliseconds]
    return BenchResult(
        tables=(_table(found),),
        goals=(
            Goal(
                "first answers after a hide, click or purchase that show it",
                *(None, "", Interval(share, share, share), 1.0),
            ),
            Goal(
                "from an event to the next answer, which shows it, p99",
                *(AT_ONCE_MS, "ms", percentile(whole, 0.99)),
                by_figure=True,
            ),
            Goal(
                "from an event to an answer by counts that shows it, p99",
                *(COUNTED_MS, "ms", percentile(counted, 0.99)),
                by_figure=True,
            ),
            Goal(
                "from the import of a product to an answer that ranks it by its features, p99",
                *(IMPORTED_MS, "ms", percentile(found[IMPORTED].milliseconds, 0.99)),
                by_figure=True,
            ),
        ),
        figures={
            name: {
                "ms": each.milliseconds,
                "write_ms": each.writes,
                "first": sum(each.first),
                "leading": each.leading,
            }
            for name, each in found.items()
        },
    )


def _table(found: Found) -> BenchTable:
    rows = [
        (
            name,
            str(len(each.milliseconds)),
            *(f"{percentile(each.writes, share).value:.1f}" for share in (0.5, 0.99)),
            *(f"{percentile(each.milliseconds, share).value:.1f}" for share in (0.5, 0.99)),
            f"{sum(each.first)} of {len(each.first)}",
        )
        for name, each in found.items()
    ]
    headers = ("event", "n", "write p50 ms", "write p99", "shown p50 ms", "shown p99", "at once")
    caption = (
        "Shown: from the start of the write's call to the answer that reflects the event, one"
        " caller. At once: events that the first answer after the write reflects. Bought again and"
        " viewed together depend on counts, which the ranker's worker updates every fifth of a"
        " second. The write of a new product includes the vectors of its words and its photo. A new"
        f" product without a part of its features after {PATIENCE:g} s counts with these;"
        f" {found[IMPORTED].leading} of them are among the first {PAGE} of {LONG_PAGE} wines."
    )
    return BenchTable("From an event to an answer", headers, tuple(rows), caption, section=None)
