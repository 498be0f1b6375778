"""Answers while a service is lost, and after its return."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from examples.wines.catalogue import Wine, load_ratings, load_wines
from examples.wines.demo import scenes
from local_suite.suite import Suite
from sightline_client import Cause, SightlineClient
from tests.waiting import SECONDS

pytestmark = pytest.mark.full


@pytest.fixture(scope="session")
def wines() -> tuple[Wine, ...]:
    return load_wines()


async def test_words_still_answer_without_the_embedder(
    client: SightlineClient, suite: Suite
) -> None:
    suite.stop("embedder", kill=True)
    try:
        found = await client.search(text="Barolo", page_size=3)
    finally:
        suite.start("embedder")
    assert found.results
    assert all("Barolo" in row.product.title for row in found.results)
    assert {loss.cause for loss in found.degradations} == {Cause.EMBEDDER_UNAVAILABLE}


@pytest_asyncio.fixture
async def ranker_is_dead(suite: Suite) -> AsyncIterator[None]:
    suite.stop("ranker", kill=True)
    yield
    suite.start("ranker")


async def test_without_the_ranker_the_order_is_that_of_similarity(
    client: SightlineClient, wines: tuple[Wine, ...], ranker_is_dead: None
) -> None:
    until = time.monotonic() + SECONDS  # a model that a busy machine made late is looked for again
    while True:
        lost = (await client.recommend(image=wines[0].image, visitor="v")).degradations
        if not any(loss.stage == "visual" for loss in lost):
            break
        assert time.monotonic() < until, lost
        await asyncio.sleep(0.2)
    for wine in wines[:10]:
        photo = scenes.changed_photo(wine)
        answer = await client.recommend(image=photo, visitor="v", page_size=50)
        found = await client.search(image=photo, page_size=50)
        assert [row.product.product_id for row in answer.results] == [
            row.product.product_id for row in found.results
        ], (answer.degradations, answer.versions, found.versions)
        similarities = [row.similarity for row in found.results]
        assert similarities == sorted(similarities, reverse=True)
        causes = {loss.cause for loss in answer.degradations}
        assert {Cause.RANKER_UNAVAILABLE, Cause.PROFILE_UNAVAILABLE} <= causes
        assert {part.name for row in answer.results for part in row.parts} == {"fusion"}


async def test_after_its_restart_the_ranker_ranks_again(
    client: SightlineClient, wines: tuple[Wine, ...]
) -> None:
    until = time.monotonic() + SECONDS  # the gateway looks for a lost peer every two seconds
    while True:
        answer = await client.recommend(image=wines[0].image, user=load_ratings()[0].user_id)
        if not answer.degradations:
            break
        assert time.monotonic() < until, answer.degradations
        await asyncio.sleep(0.1)
    assert answer.versions.model_version
    assert {part.name for row in answer.results for part in row.parts} >= {"visual", "taste"}
