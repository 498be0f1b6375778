"""A scene fails when its answer differs from its description."""

import pytest

from examples.wines import catalogue
from examples.wines.demo import scenes
from examples.wines.demo.model import DemoFailed
from sightline.common.v1 import answer_pb2
from sightline_client import SightlineClient
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages
from tests.fakes.gateway import FakeGateway

WINES = catalogue.load_wines()


def test_a_degraded_answer_is_not_whole() -> None:
    with pytest.raises(DemoFailed, match="RANKER_UNAVAILABLE"):
        scenes.whole(from_wire.recommendations(gateway_messages.answer()))


async def test_a_result_that_does_not_pass_the_filter_fails_the_scene() -> None:
    with FakeGateway() as fake:
        del fake.recommendation.degradations[:]
        async with SightlineClient(fake.target) as client:
            scene = await scenes.filtered(client, WINES)
            assert scene.findings == ("All 1 results pass the filter.",)
            fake.recommendation.results[0].product.price.units = scenes.MOST_EUROS
            with pytest.raises(DemoFailed, match="does not pass the filter"):
                await scenes.filtered(client, WINES)


async def test_an_impersonal_answer_fails_the_customers_scene() -> None:
    with FakeGateway() as fake:
        del fake.recommendation.degradations[:]
        async with SightlineClient(fake.target) as client:
            ratings = catalogue.load_ratings()
            assert (await scenes.customer(client, WINES, ratings)).queries
            del fake.recommendation.results[0].parts[:]
            fake.recommendation.results[0].parts.append(
                answer_pb2.ScorePart(name="popularity", value=1)
            )
            with pytest.raises(DemoFailed, match="nothing personal"):
                await scenes.customer(client, WINES, ratings)


def test_the_photo_of_the_first_scene_is_no_catalog_photo() -> None:
    wine = scenes.by_id(WINES)[scenes.PHOTO_WINE]
    assert scenes.changed_photo(wine) != wine.image.read_bytes()


def test_types_come_largest_first() -> None:
    assert [(kind, len(group)) for kind, group in scenes.by_type(WINES).items()] == [
        ("Red", 53),
        ("White", 19),
        ("Dessert", 8),
        ("Rosé", 8),
        ("Sparkling", 7),
        ("Dessert/Port", 5),
    ]
