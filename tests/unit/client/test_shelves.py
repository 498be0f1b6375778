"""Values and shelves by the client and the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline_client import (
    F,
    InvalidRequest,
    Listing,
    Recommendations,
    SearchResults,
    Shelf,
    SightlineClient,
    SyncSightlineClient,
    parse_filter,
)
from sightline_client.cli import app
from tests.fakes.gateway import FakeGateway


def call(gateway: FakeGateway, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--target", gateway.target])


async def test_values_are_asked_for_with_the_options_of_a_recommendation(
    gateway: FakeGateway,
) -> None:
    async with SightlineClient(gateway.target, catalog="wines") as client:
        answer = await client.recommend_values(
            "category",
            below=["Wine", "Red"],
            products_per_value=3,
            image=b"a photo",
            user="ann",
            page_size=5,
            filter=F.brand == "A",
        )
    (asked,) = gateway.requests["RecommendValues"]
    assert (asked.field, [*asked.category_path], asked.products_per_value) == (
        "category",
        ["Wine", "Red"],
        3,
    )
    inner = asked.request
    assert (inner.catalog_id, inner.shopper.user_id, inner.page_size) == ("wines", "ann", 5)
    assert inner.signals[0].image == b"a photo"
    (value,) = answer.values
    assert (value.text, value.score, value.candidate_count) == ("Casa Valduga", 0.75, 3)
    assert value.filter == parse_filter('brand = "Casa Valduga"')
    assert value.products[0].product.product_id == "wine-1"
    assert answer.more_count == 7


async def test_a_shelf_is_a_recommendation_a_search_or_a_list(gateway: FakeGateway) -> None:
    shelves = [
        Shelf("for-you", recommend={"page_size": 3, "images": iter([b"one", b"two"])}),
        Shelf("like-it", search={"image": b"a photo"}),
        Shelf("new", listing={"text": "merlot"}),
        Shelf("gone", recommend={"scene": "gone"}),
    ]
    async with SightlineClient(gateway.target, catalog="wines") as client:
        answer = await client.shelves(shelves, visitor="v", session="s", language="zh")
    (asked,) = gateway.requests["RecommendShelves"]
    assert (asked.catalog_id, asked.shopper.visitor_id) == ("wines", "v")
    assert (asked.session_id, asked.language_code) == ("s", "zh")
    assert [each.WhichOneof("query") for each in asked.shelves] == [
        *("recommend", "search", "list", "recommend")
    ]
    assert [each.image for each in asked.shelves[0].recommend.signals] == [b"one", b"two"]
    assert asked.shelves[2].list.text == "merlot"
    own, near, new, gone = answer.shelves
    assert isinstance(own.answer, Recommendations)
    assert isinstance(near.answer, SearchResults)
    assert isinstance(new.answer, Listing)
    assert (own.attribution_token, own.error) == ("t-1", None)
    assert gone.answer is None
    assert gone.error is not None
    assert (gone.shelf_id, gone.error.reason) == ("gone", "SCENE_NOT_FOUND")


@pytest.mark.parametrize("shelf", [Shelf("a"), Shelf("a", recommend={}, listing={})])
def test_a_shelf_without_exactly_one_query_is_not_sent(gateway: FakeGateway, shelf: Shelf) -> None:
    with SyncSightlineClient(gateway.target) as client, pytest.raises(InvalidRequest) as caught:
        client.shelves([Shelf("b", search={"text": "red"}), shelf])
    assert caught.value.violations[0].field == "shelves[1]"
    assert not gateway.requests["RecommendShelves"]


def test_an_option_that_does_not_exist_is_a_mistake_of_the_program(gateway: FakeGateway) -> None:
    with SyncSightlineClient(gateway.target) as client:
        with pytest.raises(TypeError):
            client.shelves([Shelf("a", recommend={})], page_size=3)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            client.shelves([Shelf("a", recommend={"sort": "x"})])  # type: ignore[arg-type]


def test_the_command_values_shows_values_with_their_products(gateway: FakeGateway) -> None:
    result = call(gateway, "values", "category: Wine > Red", "--user", "ann", "--each", "2")
    assert result.exit_code == 0, result.output
    assert "Casa Valduga" in result.output
    assert "7 further values" in result.output
    (asked,) = gateway.requests["RecommendValues"]
    assert (asked.field, [*asked.category_path]) == ("category", ["Wine", "Red"])
    assert (asked.products_per_value, asked.request.shopper.user_id) == (2, "ann")
    assert call(gateway, "values", "brand:Wine").exit_code == 2


def test_the_command_shelves_sends_a_file_for_a_shopper(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "home.json"
    shelves = [
        {"shelfId": "for-you", "recommend": {"pageSize": 3}},
        {"shelfId": "new", "list": {"sort": "SORT_NEWEST"}},
    ]
    file.write_text(json.dumps({"shelves": shelves}))
    result = call(gateway, "shelves", str(file), "--user", "ann", "--catalog", "wines")
    assert result.exit_code == 0, result.output
    for text in ("for-you", "like-it", "wine-1", "gone", "SCENE_NOT_FOUND"):
        assert text in result.output
    (asked,) = gateway.requests["RecommendShelves"]
    assert (asked.catalog_id, asked.shopper.user_id) == ("wines", "ann")
    assert asked.shelves[0].recommend.page_size == 3
    shown = call(gateway, "shelves", str(file), "--json")
    assert json.loads(shown.output)["shelves"][0]["shelfId"] == "for-you"


@pytest.mark.parametrize("text", [b"", b"7", b'{"shelf": 1}', b"\xff", b"[" * 100_000])
def test_a_file_of_something_else_is_wrong_usage(
    gateway: FakeGateway, tmp_path: Path, text: bytes
) -> None:
    file = tmp_path / "home.json"
    file.write_bytes(text)
    assert call(gateway, "shelves", str(file)).exit_code == 2
    assert not gateway.requests["RecommendShelves"]
