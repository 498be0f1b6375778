"""Values and shelves of the wines, and the commands of their pages."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from local_suite.suite import Suite
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_client import (
    Event,
    EventType,
    NotFound,
    Recommendations,
    SearchResults,
    Shelf,
    ShelfAnswer,
    SightlineClient,
    Sort,
    parse_filter,
)
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("client", "docs", "protos")

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8680"
SHOPPER = "1209683"
PHOTO = (ROOT / "examples/wines/images/100062.jpg").read_bytes()


async def replayed(client: SightlineClient, token: str) -> pb.ReplayRecommendationResponse:
    """Return an answer computed again; its record is written after the answer."""
    request = pb.ReplayRecommendationRequest(attribution_token=token)
    for _ in range(200):
        try:
            return await client.calls.recommendation.ReplayRecommendation(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("the record is missing")


@pytest.mark.parametrize(
    "asked", [{"user": SHOPPER}, {"user": "nobody-yet"}, {}, {"image": PHOTO}, {"text": "merlot"}]
)
async def test_brands_are_ranked_for_any_shopper(
    client: SightlineClient, asked: dict[str, Any]
) -> None:
    answer = await client.recommend_values("brand", page_size=5, products_per_value=3, **asked)
    assert len(answer.values) == 5
    assert answer.degradations == ()
    scores = [each.score for each in answer.values]
    assert scores == sorted(scores, reverse=True)
    for value in answer.values:
        assert 1 <= len(value.products) <= 3
        assert {item.product.brand for item in value.products} == {value.text}
        ranks = [item.rank for item in value.products]
        assert ranks == sorted(ranks)
        given = [reason.text for item in value.products for reason in item.reasons]
        assert {reason.text for reason in value.reasons} <= {*given}
        passing = await client.listing(filter=value.filter, page_size=200)
        own = {item.product.product_id for item in passing.results}
        assert {item.product.product_id for item in value.products} <= own


async def test_values_are_made_of_the_ranking_that_the_record_holds(
    client: SightlineClient,
) -> None:
    answer = await client.recommend_values(
        "category", user=SHOPPER, filter=parse_filter("price < 60 EUR")
    )
    found = await replayed(client, answer.attribution_token)
    assert found.equal, found.differences
    order = {place.recorded.product_id: place.place for place in found.places}
    for value in answer.values:
        for item in value.products:
            if item.product.product_id in order:
                assert order[item.product.product_id] == item.rank


async def test_the_same_values_are_ranked_again(client: SightlineClient) -> None:
    one, other = [
        await client.recommend_values("attributes.grape", image=PHOTO, page_size=8)
        for _ in range(2)
    ]
    assert [each.text for each in one.values] == [each.text for each in other.values]


def ids(shelf: ShelfAnswer) -> list[str]:
    assert shelf.answer is not None, shelf.error
    return [item.product.product_id for item in shelf.answer.results]


SHELVES = [
    Shelf("for-you", recommend={"page_size": 6}),
    Shelf("photo", recommend={"image": PHOTO, "page_size": 6}),
    Shelf("again", recommend={"page_size": 6}),
    Shelf("gone", recommend={"scene": "gone"}),
    Shelf("words", search={"text": "light red wine", "page_size": 6}),
    Shelf("rated", listing={"sort": Sort.RATING, "page_size": 6}),
]


async def test_shelves_share_no_product_and_one_that_fails_leaves_the_others(
    client: SightlineClient,
) -> None:
    page = await client.shelves(SHELVES, user=SHOPPER)
    assert [each.shelf_id for each in page.shelves] == [each.shelf_id for each in SHELVES]
    gone = page.shelves[3]
    assert isinstance(gone.error, NotFound)
    assert gone.error.reason == "SCENE_NOT_FOUND"
    answered = [each for each in page.shelves if each is not gone]
    everything = [item for each in answered for item in ids(each)]
    assert len(everything) == len({*everything}) == 30
    assert all(each.answer is not None and not each.answer.degradations for each in answered)
    again = await client.shelves(SHELVES, user=SHOPPER)
    assert [ids(each) for each in again.shelves if each.answer] == [ids(each) for each in answered]
    alone = await client.recommend(user=SHOPPER, page_size=6)
    assert ids(page.shelves[0]) == [item.product.product_id for item in alone.results]


async def test_each_shelf_is_recorded_replayed_and_continued(client: SightlineClient) -> None:
    page = await client.shelves(SHELVES[:2] + SHELVES[4:], user=SHOPPER)
    assert len({each.attribution_token for each in page.shelves}) == 4
    for shelf in page.shelves:
        found = await replayed(client, shelf.attribution_token)
        assert found.equal or not isinstance(shelf.answer, Recommendations), found.differences
        recorded = [place.recorded.product_id for place in found.places]
        assert recorded[: len(ids(shelf))] == ids(shelf)
    assert isinstance(page.shelves[2].answer, SearchResults)
    second = page.shelves[1].answer
    assert isinstance(second, Recommendations)
    more = await client.recommend(
        image=PHOTO, page_size=6, user=SHOPPER, page_token=second.next_page_token
    )
    assert more.results[0].rank == 7
    assert not {item.product.product_id for item in more.results} & {*ids(page.shelves[1])}


async def test_events_take_the_token_of_their_shelf(client: SightlineClient) -> None:
    page = await client.shelves([SHELVES[4], SHELVES[5]], visitor="shelf-visitor")
    for shelf in page.shelves:
        event = Event(
            f"of-{shelf.shelf_id}",
            EventType.CLICK,
            ids(shelf)[0],
            visitor="shelf-visitor",
            attribution_token=shelf.attribution_token,
        )
        report = await client.write_events([event])
        assert (report.written_count, report.failures) == (1, ())


def blocks(page: str) -> list[str]:
    text = (ROOT / "docs/integrate" / page).read_text("utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"(?:.*\\\n)*.*\n", block)


COMMANDS = [(page, line) for page in ("values.md", "shelves.md") for line in blocks(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_of_the_pages_is_typed(
    page: str, line: str, suite: Suite, gateway: str, shop_is_open: None
) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line.replace(ADDRESS, suite.http)],
        cwd=ROOT,
        env=os.environ
        | {
            "SIGHTLINE_TARGET": gateway,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if line.startswith("curl") or "--json" in line:
        key = "values" if page == "values.md" else "shelves"
        assert json.loads(done.stdout)[key]
    else:
        assert "SCENE_NOT_FOUND" not in done.stdout
        assert "Degraded" not in done.stdout
