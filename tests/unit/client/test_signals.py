"""Negative signals, regions and categories of photos, by the client and by the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sightline.common.v1 import photo_pb2, product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import Box, CategoryGuess, InvalidRequest, SightlineClient, Unlike
from sightline_client.cli import app
from sightline_client.convert import filter_text
from tests.fakes.gateway import FakeGateway

RED = CategoryGuess(("Wine", "Red"), 0.875)


def call(gateway: FakeGateway, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--target", gateway.target])


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"jpeg")
    return str(path)


def said(signal: rec.QuerySignal) -> tuple[str, bool, float]:
    return signal.WhichOneof("content") or "", signal.negative, signal.weight


async def test_what_is_not_wanted_follows_what_is(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    away = Unlike(images=[b"red"], texts="leather", products=["a", "b"], weight=0.25)
    await client.search(image=b"bag", unlike=away)
    await client.recommend(image=b"bag", unlike=Unlike(texts="leather"))
    await client.explain("p", image=b"bag", unlike=Unlike(texts=["leather", "suede"]))

    (signals,) = (request.signals for request in gateway.requests["Search"])
    assert [said(signal) for signal in signals] == [
        ("image", False, 0.0),
        *((kind, True, 0.25) for kind in ("image", "text", "product_id", "product_id")),
    ]
    assert said(gateway.requests["Recommend"][0].signals[1]) == ("text", True, 0.5)
    assert len(gateway.requests["ExplainRecommendation"][0].request.signals) == 3


async def test_a_box_is_that_of_the_photos_that_are_wanted(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    await client.search(image=b"bag", box=Box(0, 0.25, 0.5, 1), unlike=Unlike(images=[b"red"]))

    wanted, unwanted = gateway.requests["Search"][0].signals
    assert wanted.box == photo_pb2.Box(left=0, top=0.25, right=0.5, bottom=1)
    assert not unwanted.HasField("box")
    with pytest.raises(InvalidRequest, match="is valid for photos only"):
        await client.search(products="a", box=Box(0, 0, 1, 1))


async def test_a_classification_is_typed_and_its_filters_can_be_searched_on(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    classified = await client.classify(b"photo", top=3, box=Box(0, 0, 1, 0.5))

    assert (classified.guesses, classified.sure, classified.unknown) == ((RED,), RED, False)
    (proposal,) = classified.proposals
    assert proposal.filter == filter_text.parse_filter('category = "Wine > Red"')
    (request,) = gateway.requests["Classify"]
    assert (request.image, request.top_k, request.box.bottom) == (b"photo", 3, 0.5)


def mismatched(gateway: FakeGateway) -> None:
    guess = photo_pb2.CategoryGuess(category_path=["Juice"], probability=0.875)
    mismatch = product_pb2.CategoryDoubt(image_id="a" * 64, probability=0.03125, instead=guess)
    gateway.products["wine-1"].category_doubt.CopyFrom(mismatch)


async def test_a_category_mismatch_is_read_with_its_product(
    client: SightlineClient, gateway: FakeGateway
) -> None:
    mismatched(gateway)
    found = (await client.get_product("wine-1")).category_doubt

    assert found is not None
    assert found.instead == CategoryGuess(("Juice",), 0.875)
    assert [item async for item in client.list_products(doubted_only=True)]
    assert gateway.requests["ListProducts"][0].doubted_only


def test_the_command_lists_and_shows_category_mismatches(gateway: FakeGateway) -> None:
    mismatched(gateway)
    listed = call(gateway, "products", "list", "--doubted", "--json")
    assert json.loads(listed.stdout)["products"][0]["categoryDoubt"]["probability"] == 0.03125
    shown = call(gateway, "products", "get", "wine-1")
    assert "more likely Juice (88%)" in " ".join(shown.stdout.split())


def test_the_command_says_what_is_not_wanted(gateway: FakeGateway, photo: str) -> None:
    away = ("--not-text", "leather", "--not-product", "X", "--not-image", photo)
    result = call(gateway, "recommend", "--image", photo, *away, "--box", "0,0.25,0.5,1")
    assert result.exit_code == 0, result.output

    signals = gateway.requests["Recommend"][0].signals
    assert [said(signal) for signal in signals] == [
        ("image", False, 0.0),
        *((kind, True, 0.5) for kind in ("image", "text", "product_id")),
    ]
    assert signals[0].box.top == 0.25


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "0.5,0,0.5,1", "0,0,nan,1", "0,0,2,1"])
def test_a_box_that_is_none_is_wrong_usage(gateway: FakeGateway, photo: str, box: str) -> None:
    assert call(gateway, "search", "--image", photo, "--box", box).exit_code == 2
    assert not gateway.requests


def test_classify_shows_categories_and_filters(gateway: FakeGateway, photo: str) -> None:
    result = call(gateway, "classify", photo, "--box", "0,0,0.5,1", "--top", "3")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "Wine > Red 87.5%" in shown
    assert 'category = "Wine > Red"' in shown
    assert gateway.requests["Classify"][0].box.right == 0.5
    classified = json.loads(call(gateway, "classify", photo, "--json").stdout)
    assert classified["classification"]["sure"]["categoryPath"] == ["Wine", "Red"]

    gateway.classified.classification.unknown = True
    assert "matches none of" in call(gateway, "classify", photo).stdout
