"""What the gateway keeps, after calls that are cancelled at any await."""

import asyncio
from collections.abc import Sequence

from gateway.state.exposures import Exposures
from gateway.state.past_searches import PastSearches
from gateway.state.text_spaces import TextQuerySpaces
from servicekit import deadlines
from sightline.embedder.v1.embedding_service_pb2 import Space
from tests.cancelling import cancelled_at_each_await


async def test_spaces_that_take_texts_are_known_though_the_first_caller_had_no_time() -> None:
    spaces = TextQuerySpaces()

    async def ask(_: str) -> Sequence[Space]:
        left = deadlines.remaining()
        assert left is not None
        assert left > 1.0  # not that of the caller
        await asyncio.sleep(0)
        return [Space(space="visual", version="v", takes_texts=True)]

    async def call() -> None:
        with deadlines.within(0.01):
            await spaces.of("a", ask)

    async def check() -> None:
        assert await spaces.of("a", ask) == ("v",)
        spaces.forget("a")

    assert await cancelled_at_each_await(call, check) > 0


async def test_exposures_are_counted_though_the_first_caller_left() -> None:
    exposures, number = Exposures(), 0

    async def ask(_: str, __: int, names: Sequence[str]) -> dict[str, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(names, 5)

    async def call() -> None:
        await exposures.of(f"c{number}", ["a"], ask)

    async def check() -> None:
        nonlocal number
        assert await exposures.of(f"c{number}", ["a", "b"], ask) == {"a": 5, "b": 5}
        number += 1

    assert await cancelled_at_each_await(call, check) > 0


async def test_past_searches_are_read_though_the_first_caller_left() -> None:
    searches = PastSearches(patience=60.0)

    async def read(_: str) -> list[str]:
        await asyncio.sleep(0)
        return ["red wine"]

    async def call() -> None:
        await searches.of("a", read)

    async def check() -> None:
        found = await searches.of("a", read)
        assert found is not None
        assert found.texts == ["red wine"]
        searches._known.forget("a")

    assert await cancelled_at_each_await(call, check) > 0


async def test_an_older_count_does_not_replace_a_newer_one() -> None:
    exposures, gates = Exposures(), [asyncio.Event(), asyncio.Event()]
    asked = list[Sequence[str]]()

    async def ask(_: str, __: int, names: Sequence[str]) -> dict[str, int]:
        number = len(asked)
        asked.append(names)
        await gates[number].wait()
        return dict.fromkeys(names, 5)

    older = asyncio.create_task(exposures.of("c", ["a"], ask))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    newer = asyncio.create_task(exposures.of("c", ["b"], ask))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gates[1].set()
    assert (await newer)["b"] == 5
    gates[0].set()
    await older
    assert (await exposures.of("c", ["b"], ask))["b"] == 5
