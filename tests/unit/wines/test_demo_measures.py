"""The demo's figures measure what their names say."""

import math

from examples.wines import catalogue
from examples.wines.demo import measures
from examples.wines.demo.measures import Newcomer
from sightline_client import SightlineClient
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages
from tests.fakes.gateway import FakeGateway

WINES = catalogue.load_wines()[:2]


def test_the_mean_rank_counts_a_missing_product_as_the_last() -> None:
    answer = from_wire.recommendations(gateway_messages.answer())
    assert measures.mean_rank(answer, {"wine-1"}, 100) == 1
    assert measures.mean_rank(answer, {"wine-1", "elsewhere"}, 100) == 50.5
    assert math.isnan(measures.mean_rank(answer, set(), 100))


def test_a_type_falls_only_when_its_last_mean_rank_is_smaller() -> None:
    def newcomer(*ranks: float) -> Newcomer:
        return Newcomer("Rosé", (), ranks, ranks, ())

    assert newcomer(50, 60, 49).falls
    assert not newcomer(50, 40, 50).falls


async def test_hits_count_the_wines_that_come_back_first_and_among_five() -> None:
    with FakeGateway() as fake:
        fake.recommendation.results[0].product.product_id = WINES[0].id
        async with SightlineClient(fake.target) as client:
            seen: list[tuple[int, int]] = []
            hits = await measures.hits(client, WINES, lambda done, of: seen.append((done, of)))
    assert [(item.photos, item.at_1, item.at_5) for item in hits] == [(2, 1, 1)] * 3
    assert seen[-1] == (6, 6)
    photos = {request.signals[0].image for request in fake.requests["Recommend"]}
    assert len(photos) == 6
    assert not photos & {wine.image.read_bytes() for wine in WINES}


async def test_a_newcomer_views_one_and_then_three_wines_and_is_asked_for_in_between() -> None:
    wines = [wine for wine in catalogue.load_wines() if wine.type in ("Rosé", "White")]
    with FakeGateway() as fake:
        async with SightlineClient(fake.target) as client:
            measured = await measures.newcomers(client, wines, ["Rosé"], lambda *_: None)
    assert [len(request.events) for request in fake.requests["WriteEvents"]] == [1, 1, 1]
    shoppers = {request.shopper.visitor_id for request in fake.requests["Recommend"]}
    assert shoppers == {event.shopper.visitor_id for event in fake.events.values()}
    assert len(measured[0].answers) == len(measured[0].mean_ranks) == 3
    assert {wine.type for wine in measured[0].viewed} == {"Rosé"}
