"""Processor time of a call with five shelves, compared with five separate calls, in alternation.

The separate calls are the same queries for the same shopper; their answers repeat products. All
processes of a suite count, without the callers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import grpc

from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from examples.wines import loading
from examples.wines.catalogue import load_ratings, load_wines
from examples.wines.local import own
from lab.cases.beside import suite_in
from local_suite.programs import TARGETS
from local_suite.suite import Suite
from sightline.common.v1 import event_pb2, filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]
Stub: TypeAlias = "recommendation_service_pb2_grpc.RecommendationServiceAsyncStub"

ROUNDS = 10
PAGES = 30
"""Pages of a round."""
PAGE = 10
MOST = 1.0
"""Goal: processor time of one call divided by that of five."""


@dataclass(slots=True)
class ShelvesFigures:
    """Processor seconds of a page, one figure per round."""

    together: list[float] = field(default_factory=list)
    separate: list[float] = field(default_factory=list)


def run(say: Say) -> BenchResult:
    """Measure both shapes of the suite on the example wines."""
    found: dict[str, ShelvesFigures] = {}
    for target in TARGETS:
        say(f"loading wines: {target}")
        with own(partial(suite_in, target)) as suite:
            found[target] = asyncio.run(_measure(suite, say))
    return _result(found)


async def _measure(suite: Suite, say: Say) -> ShelvesFigures:
    gateway = suite.addresses()["gateway"]
    async with SightlineClient(gateway, timeout=30) as client:
        await loading.load_all(client)
    figures, shoppers = ShelvesFigures(), sorted({rating.user_id for rating in load_ratings()})
    async with grpc.aio.insecure_channel(gateway) as channel:
        stub = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)
        for number in range(ROUNDS + 1):  # the first warms up
            say(f"round {number} of {ROUNDS}")
            users = [shoppers[(number * PAGES + each) % len(shoppers)] for each in range(PAGES)]
            # In turn: the first call for a shopper reads what later ones find in caches.
            ways = (_together, _separate) if number % 2 else (_separate, _together)
            spent = {way: await _spent(suite, stub, way, users) for way in ways}
            if number:
                figures.together.append(spent[_together])
                figures.separate.append(spent[_separate])
    return figures


async def _spent(
    suite: Suite,
    stub: Stub,
    ask: Callable[[Stub, Sequence[pb.Shelf], event_pb2.Shopper], Awaitable[None]],
    users: Sequence[str],
) -> float:
    """Return the processor seconds of the suite for one page."""
    products = [wine.id for wine in load_wines()]
    pids = {suite.pid(name): name for name in suite.programs}
    before = sum(processes.spent(pids).values())
    for place, user in enumerate(users):
        await ask(stub, _shelves(products[place]), event_pb2.Shopper(user_id=user))
    return (sum(processes.spent(pids).values()) - before) / len(users)


def _shelves(product: str) -> Sequence[pb.Shelf]:
    """Return the shelves of a product's page."""
    near = [pb.QuerySignal(product_id=product)]
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    red = filter_pb2.Filter(
        comparison=filter_pb2.Comparison(
            field="category", operator=equal, value=filter_pb2.FilterValue(text="Red")
        )
    )
    return (
        pb.Shelf(shelf_id="for-you", recommend=pb.RecommendRequest(page_size=PAGE)),
        pb.Shelf(shelf_id="like-it", recommend=pb.RecommendRequest(signals=near, page_size=PAGE)),
        pb.Shelf(shelf_id="red", recommend=pb.RecommendRequest(filter=red, page_size=PAGE)),
        pb.Shelf(shelf_id="looks", search=pb.SearchRequest(signals=near, page_size=PAGE)),
        pb.Shelf(shelf_id="rated", list=pb.ListRequest(sort=pb.SORT_RATING, page_size=PAGE)),
    )


async def _together(stub: Stub, shelves: Sequence[pb.Shelf], shopper: event_pb2.Shopper) -> None:
    answer = await stub.RecommendShelves(
        pb.RecommendShelvesRequest(shelves=shelves, shopper=shopper)
    )
    if any(shelf.HasField("error") for shelf in answer.shelves):
        raise AssertionError(f"a shelf failed: {answer}")


async def _separate(stub: Stub, shelves: Sequence[pb.Shelf], shopper: event_pb2.Shopper) -> None:
    for shelf in shelves:
        match shelf.WhichOneof("query"):
            case "recommend":
                shelf.recommend.shopper.CopyFrom(shopper)
                await stub.Recommend(shelf.recommend)
            case "search":
                await stub.Search(shelf.search)
            case _:
                shelf.list.shopper.CopyFrom(shopper)
                await stub.List(shelf.list)


def _result(found: Mapping[str, ShelvesFigures]) -> BenchResult:
    rows, goals = [], []
    for target, figures in found.items():
        shape = "one process" if target == "all" else target
        ratio = median_ratio(figures.together, figures.separate)
        cells = (
            f"{1000 * percentile(each, 0.5).value:.2f}"
            for each in (figures.separate, figures.together)
        )
        shown = ratio.shown(2)
        rows.append((shape, *cells, shown))
        goals.append(Goal(f"{shape}: five shelves in one call, by five calls", MOST, "×", ratio))
    table = BenchTable(
        "Shelves",
        ("services", "five calls, ms", "one call, ms", "÷ five calls"),
        tuple(rows),
        f"Processor time of all processes of the suite for a page of five shelves of {PAGE} wines,"
        f" one caller, medians of {ROUNDS} alternating rounds of {PAGES} pages.",
    )
    figures_by = {
        target: {"separate_s": each.separate, "together_s": each.together}
        for target, each in found.items()
    }
    return BenchResult((table,), figures_by, tuple(goals))
