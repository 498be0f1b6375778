"""Time of each screen's page of the console, beside the call to the suite that it is made of, with
100,000 made products, in alternation.

A page may make further calls, such as counts for facets: its time has all of them. The browser is
a client on the same machine; photos, styles and scripts are other requests.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

import httpx

from bench.cases.monolith import cases
from bench.cases.monolith.filled import FilledFacts, filled
from bench.cases.monolith.made import MadeCatalog
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import percentile
from examples.wines.local import own
from local_suite.programs import console
from local_suite.suite import Suite
from retriever.domain.product import ProductContent
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]
Call: TypeAlias = Callable[[SightlineClient, str, str], Awaitable[object]]
"""Makes a call about a product and a shopper."""

PAGES, FEW_PAGES = 200, 40
"""Maximum number of pages of each screen, after the first WARM, which are left out."""
MEASURED_SECONDS = 240.0
"""Seconds after which no further pages are opened: fewer pages have wider intervals."""
WARM = 10
SHARE, MOST_MS = 0.95, 300.0
MANY, SMALL, DIMENSION = 100_000, 2_000, 80
"""Products, and dimensions of the vectors of their photos."""
CROWD, SMALL_CROWD = 200, 50
PICTURED = 5
"""One in this many products has a photo: filling the index takes longest."""


@dataclass(frozen=True)
class SomePictured(MadeCatalog):
    """A catalog of which the first products alone have a photo."""

    @property
    def photo_count(self) -> int:
        """Number of photos in the index."""
        return self.count // PICTURED

    def pictured(self, number: int) -> int:
        """Return the number of the product whose photo is shown; -1: none is."""
        return number if number < self.photo_count else -1

    def content(self, number: int) -> ProductContent:
        """Return a product's content without its vector."""
        made = super().content(number)
        return made if self.pictured(number) == number else replace(made, image_ids=())


@dataclass(frozen=True, slots=True)
class Measured:
    """A screen's page, and the call that it is made of."""

    path: str
    """Address, with `product` and, of a shopper, the reference `of` that the console gives."""
    call: Call


SCREENS: Mapping[str, Measured] = MappingProxyType(
    {
        "Try it": Measured(
            "/?product={product}", lambda suite, it, _who: suite.recommend(products=it)
        ),
        "Why": Measured(
            "/why?why={product}&size=12", lambda suite, it, _who: suite.explain(it, page_size=12)
        ),
        "Shelf": Measured(
            "/shelf?scene=default&product={product}",
            lambda suite, it, _who: suite.recommend(products=it, scene="default"),
        ),
        "Synonyms": Measured("/synonyms", lambda suite, _it, _who: suite.get_synonyms()),
        "Import": Measured("/import", lambda suite, _it, _who: suite.status()),
        "Results": Measured("/results", lambda suite, _it, _who: suite.online_report(days=7)),
        "Shopper": Measured(
            "/shopper?of={of}", lambda suite, _it, who: suite.export_user(user=who)
        ),
        "Models": Measured("/models", lambda suite, _it, _who: suite.list_models()),
        "Health": Measured("/health", lambda suite, _it, _who: suite.status()),
        "Catalogs": Measured("/catalogs", lambda suite, _it, _who: suite.list_catalogs()),
    }
)
"""The form of an import makes no call: the state of the suite stands for an empty one."""


@dataclass(slots=True)
class ScreenFigures:
    """Milliseconds of a screen."""

    pages: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    wrong: int = 0
    """Status of a page that was none; 0: all were pages."""


def run(say: Say) -> BenchResult:
    """Measure 100,000 products."""
    return _measured(MANY, CROWD, PAGES, "console", say)


def sample(say: Say) -> BenchResult:
    """Measure 2,000 products, quickly. The intervals are wide."""
    return _measured(SMALL, SMALL_CROWD, FEW_PAGES, "console-small", say)


def _measured(count: int, crowd: int, pages: int, name: str, say: Say) -> BenchResult:
    made = SomePictured("default", count, DIMENSION)
    with filled(cases.filling(name, [made], crowd), say) as (suite, facts):
        gateway = suite.addresses()["gateway"]
        program = console(int(gateway.rpartition(":")[2]), "default")
        with own(lambda data: Suite(data, [program], report=lambda _: None)):
            address = f"http://127.0.0.1:{program.ports['page']}"
            return result(asyncio.run(_opened(address, gateway, facts, pages, say)), made)


async def _opened(
    address: str, gateway: str, facts: FilledFacts, pages: int, say: Say
) -> Mapping[str, ScreenFigures]:
    """Open each screen, and make its call, in turn."""
    found = {name: ScreenFigures() for name in SCREENS}
    async with (
        httpx.AsyncClient(base_url=address, timeout=60) as browser,
        SightlineClient(gateway, timeout=60) as suite,
    ):
        shoppers = [(who, await _reference(browser, who)) for who in facts.users[:5]]
        until = time.monotonic() + MEASURED_SECONDS
        for number in range(WARM + pages):
            if time.monotonic() > until:
                break
            if number % 50 == 0:
                say(f"page {number} of {WARM + pages}")
            product = facts.products[number % len(facts.products)]
            who, reference = shoppers[number % len(shoppers)]
            for name, screen in SCREENS.items():
                path = screen.path.format(product=product, of=reference)
                since = time.perf_counter()
                page = await browser.get(path)
                between = time.perf_counter()
                await screen.call(suite, product, who)
                figures = found[name]
                if page.status_code != httpx.codes.OK:
                    figures.wrong = page.status_code
                if number >= WARM:
                    figures.pages.append(1000 * (between - since))
                    figures.calls.append(1000 * (time.perf_counter() - between))
    return found


async def _reference(browser: httpx.AsyncClient, who: str) -> str:
    """Return the console's reference to a shopper: ids are in no address."""
    csrf = (await browser.get("/shopper")).text.partition('name="csrf" value="')[2].partition('"')
    sent = await browser.post(
        "/shopper",
        data={"csrf": csrf[0], "do": "find", "kind": "user", "shopper": who},
        headers={"origin": str(browser.base_url).rstrip("/")},
    )
    return sent.headers["location"].rpartition("of=")[2]


def result(found: Mapping[str, ScreenFigures], made: MadeCatalog) -> BenchResult:
    """Return the table and a goal for each screen."""
    rows = [
        (name, *(percentile(each, SHARE).shown(0) for each in (one.pages, one.calls)))
        for name, one in found.items()
    ]
    table = BenchTable(
        f"Pages of the console, {made.count:,} products, {made.photo_count:,} with a photo",
        ("screen", "page, p95 ms", "its call, p95 ms"),
        tuple(rows),
        f"One browser on the same machine, {min(len(one.pages) for one in found.values())} pages of"
        " each screen, pages and calls in alternation, with 95% intervals.",
    )
    figures = {name: {"page_ms": one.pages, "call_ms": one.calls} for name, one in found.items()}
    return BenchResult((table,), {"screens": figures}, tuple(_goals(found)))


def _goals(found: Mapping[str, ScreenFigures]) -> Sequence[Goal]:
    return [
        Goal(
            f"{name}: p95 of a page",
            MOST_MS,
            "ms",
            None if one.wrong else percentile(one.pages, SHARE),
            missing=f"a page was answered with {one.wrong}" if one.wrong else "",
        )
        for name, one in found.items()
    ]
