"""Whole calls of List at a gateway, over a made catalog of a million products.

The products are written into the record before the start, without photos and without the space of
texts: the suite would embed a million titles meanwhile. It is asked when it is idle. A cold page
has a filter that was not asked before; a filter passes about 5% of the products.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import grpc
import sqlalchemy as sa

from bench.cases.monolith.filled import FilledFacts, Filling, another, filled, key, rest
from bench.harness import processes
from bench.harness.filling import product_rows, seal
from bench.harness.model import BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from local_suite.processes import marked
from local_suite.programs import ALL, APART, TARGETS
from local_suite.suite import Suite
from retriever.domain.product import ProductContent
from retriever.record import tables
from servicekit.sql.database import Database
from sightline.common.v1 import event_pb2, facet_pb2, filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc
from sightline_client import Event, EventType, SightlineClient
from sightline_rules.filters import Money

Say: TypeAlias = Callable[[str], None]
Stub: TypeAlias = "recommendation_service_pb2_grpc.RecommendationServiceAsyncStub"

PRODUCTS, CATEGORIES, BRANDS, SEED = 1_000_000, 20, 500, 7
RECORD_ROWS = 20_000
PAGE, LATER = 20, 50
ROUNDS = 60
EVENTS, SHOPPERS, POPULAR = 20_000, 500, 2_000
READ_SECONDS, REST_SECONDS = 600.0, 120.0
GOAL, EQUAL = 60.0, 1.25
"""Milliseconds of a cold page at the 95th percentile, and time of page 50 by that of page 1."""
SORTS = (
    pb.SORT_PRICE_RISING,
    pb.SORT_NEWEST,
    pb.SORT_RATING,
    pb.SORT_BRAND,
    pb.SORT_POPULARITY,
    pb.SORT_UNSPECIFIED,
)
"""The last one is asked for a shopper, whose order it then is."""
COLD, FACETED, WARM, LAST = ("page 1, cold", "page 1, cold, 2 facets", "page 1", "page 50")


@dataclass(slots=True)
class CallFigures:
    """Milliseconds of calls by services, order and page, with the products that pass."""

    calls: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    passing: list[int] = field(default_factory=list)
    processor: dict[str, float] = field(default_factory=dict)
    """Processor milliseconds of all processes for a cold page, by services."""

    def each(self, target: str, case: str) -> list[float]:
        """Return the milliseconds of all orders."""
        return [
            value
            for (shape, _, page), values in self.calls.items()
            if (shape, page) == (target, case)
            for value in values
        ]


def measure(say: Say) -> CallFigures:
    """Ask each shape of the suite, one after the other."""
    found = CallFigures()
    filling = Filling(
        key("listing-calls", PRODUCTS, CATEGORIES, BRANDS, SEED, EVENTS, SHOPPERS, POPULAR),
        _fill,
        prepare=lambda data: write(data, PRODUCTS),
        spaces="visual",
    )
    with filled(filling, say) as (suite, _):
        asyncio.run(_asked(found, APART, suite, say))
    with another(filling, partial(filling.programs, target=ALL)) as suite:
        asyncio.run(_asked(found, ALL, suite, say))
    return found


def _fill(suite: Suite, say: Say) -> FilledFacts:
    """Write the events."""
    say("writing events")

    async def write_events() -> None:
        async with SightlineClient(suite.addresses()["gateway"], timeout=60) as client:
            await client.write_events(_events())

    asyncio.run(write_events())
    return FilledFacts((), (), {})


def products(count: int) -> Iterator[ProductContent]:
    """Make products deterministically: equal counts give equal products."""
    draw = random.Random(SEED)
    for number in range(count):
        yield ProductContent(
            product_id=product_id(number),
            title=f"Product {number}",
            category_path=("Shop", f"{number % CATEGORIES:02}"),
            brand=f"Brand {draw.randrange(BRANDS)}",
            price=Money("EUR", draw.randrange(1, 20_000) * 10_000),
            rating=draw.choice((None, *(each / 10 for each in range(10, 51)))),
        )


def product_id(number: int) -> str:
    """Return a product's id by its number."""
    return f"product-{number:07}"


def write(data: Path, count: int) -> None:
    """Write products into the record of a suite that has not started yet."""
    folder = data / "retriever"
    folder.mkdir(parents=True, exist_ok=True)
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
    db.migrate()
    try:
        made = products(count)
        while rows := product_rows(islice(made, RECORD_ROWS)):
            for row in rows:
                row["create_time"] = int(row["product_id"][-7:])
            with db.engine.begin() as connection:
                connection.execute(sa.insert(tables.products), rows)
        seal(db)
    finally:
        db.close()


async def _asked(found: CallFigures, target: str, suite: Suite, say: Say) -> None:
    async with grpc.aio.insecure_channel(suite.addresses()["gateway"]) as channel:
        stub = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)
        await _read(stub)
        await asyncio.to_thread(rest, suite, REST_SECONDS)
        say(f"{target}: listing")
        before = sum(processes.spent({}, marked(suite.layout.data)).values())
        for turn in range(ROUNDS):
            for sort in SORTS:
                for case, facets in ((COLD, ()), (FACETED, FACETS)):
                    request = request_of(sort, turn, case, facets)
                    found.calls.setdefault((target, order_name(sort), case), []).append(
                        await _timed(stub, request, found.passing)
                    )
        spent = sum(processes.spent({}, marked(suite.layout.data)).values()) - before
        found.processor[target] = 1e3 * spent / (2 * ROUNDS * len(SORTS))
        for sort in SORTS:
            await _pages(found, target, stub, sort)


async def _pages(found: CallFigures, target: str, stub: Stub, sort: "pb.Sort.ValueType") -> None:
    """Time the first page and the 50th one in alternation."""
    first = request_of(sort, 0, WARM, ())
    later = pb.ListRequest()
    later.CopyFrom(first)
    for _ in range(LATER - 1):
        later.page_token = (await stub.List(later)).next_page_token
    for _ in range(ROUNDS):
        for case, request in ((WARM, first), (LAST, later)):
            found.calls.setdefault((target, order_name(sort), case), []).append(
                await _timed(stub, request, [])
            )


FACETS = (facet_pb2.FacetRequest(field="brand"), facet_pb2.FacetRequest(field="price"))


def request_of(
    sort: "pb.Sort.ValueType", turn: int, case: str, facets: Sequence[facet_pb2.FacetRequest]
) -> pb.ListRequest:
    """Return a request whose filter is of this order, turn and case alone."""
    cents = (turn * len(SORTS) + SORTS.index(sort)) * 3 + (COLD, FACETED, WARM).index(case)
    text = f'category = "Shop > {turn % CATEGORIES:02}" AND price > {cents / 100} EUR'
    request = pb.ListRequest(filter=filter_pb2.Filter(text=text), sort=sort, page_size=PAGE)
    request.facets.extend(facets)
    if sort == pb.SORT_UNSPECIFIED:
        request.shopper.CopyFrom(event_pb2.Shopper(user_id=f"shopper-{turn}"))
    return request


async def _timed(stub: Stub, request: pb.ListRequest, passing: list[int]) -> float:
    began = time.perf_counter()
    answer = await stub.List(request)
    spent = 1e3 * (time.perf_counter() - began)
    if answer.degradations or len(answer.results) != PAGE:
        raise AssertionError(f"not a whole page: {answer}")
    passing.append(answer.product_count)
    return spent


async def _read(stub: Stub) -> None:
    """Wait until the catalog's columns are in memory, and popular products are known."""
    until = time.monotonic() + READ_SECONDS
    while True:
        try:
            answer = await stub.List(pb.ListRequest(sort=pb.SORT_POPULARITY, page_size=1))
            if answer.product_count == PRODUCTS and not answer.degradations:
                return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        if time.monotonic() > until:
            raise TimeoutError(f"the columns are not in memory after {READ_SECONDS:.0f} s")
        await asyncio.sleep(1)


def _events() -> Iterator[Event]:
    draw = random.Random(SEED)
    for number in range(EVENTS):
        yield Event(
            f"event-{number}",
            EventType.CLICK,
            product_id(int(POPULAR * draw.random() ** 2)),
            user=f"shopper-{draw.randrange(SHOPPERS)}",
        )


def order_name(sort: "pb.Sort.ValueType") -> str:
    """Return the name of an order in tables."""
    if sort == pb.SORT_UNSPECIFIED:
        return "for a shopper"
    return pb.Sort.Name(sort).removeprefix("SORT_").replace("_", " ").lower()


def table(found: CallFigures) -> BenchTable:
    """Return the table of calls."""
    cases = (COLD, FACETED, WARM, LAST)
    return BenchTable(
        f"Whole calls of List over {PRODUCTS:,} products: ms, p95",
        ("services", "order", *cases),
        tuple(
            (_shape(target), order, *(_shown(found.calls[target, order, case]) for case in cases))
            for target in TARGETS
            for order in map(order_name, SORTS)
        ),
        "95th percentiles with 95% intervals, at one caller over gRPC.",
    )


def goals(found: CallFigures | None) -> Iterator[Goal]:
    """Return the goals; not measured without figures."""
    missing = "" if found else "only with --full"
    for target in TARGETS:
        for case in (COLD, FACETED):
            measured = percentile(found.each(target, case), 0.95) if found else None
            name = f"{_shape(target)}: a whole call over {PRODUCTS:,} products, {case}: p95"
            yield Goal(name, GOAL, "ms", measured, missing=missing)
        ratio = _ratio(found, target) if found else None
        name = f"{_shape(target)}: a whole call, page 50 by page 1: medians"
        yield Goal(name, EQUAL, "times", ratio, by_figure=True, missing=missing)


def _ratio(found: CallFigures, target: str) -> Interval:
    last, first = (percentile(found.each(target, case), 0.5).value for case in (LAST, WARM))
    return Interval(last / first, last / first, last / first)


def figures(found: CallFigures) -> Mapping[str, object]:
    """Return the figures for programs."""
    return {
        "passing": percentile(found.passing, 0.5).value,
        "processor_milliseconds": found.processor,
        "milliseconds": {" / ".join(key): values for key, values in found.calls.items()},
    }


def _shape(target: str) -> str:
    return "one process" if target == "all" else target


def _shown(values: Sequence[float]) -> str:
    return percentile(values, 0.95).shown(1)
