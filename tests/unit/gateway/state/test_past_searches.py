"""Past searches that the gateway keeps of catalogs."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.state.past_searches import PastSearches


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_catalog_that_replaces_another_one_gets_none_of_its_texts(under_way: bool) -> None:
    go_on, texts = asyncio.Event(), ["secret"]

    async def read(_: str) -> Sequence[str]:
        found = tuple(texts)
        await go_on.wait()
        return found

    searches = PastSearches(patience=10.0)
    waiting = asyncio.create_task(searches.of("shop", read))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if not under_way:
        go_on.set()
        assert (await waiting) is not None
    texts.clear()
    searches.forget("shop")
    go_on.set()
    await waiting
    found = await searches.of("shop", read)
    assert found is not None
    assert found.texts == ()
