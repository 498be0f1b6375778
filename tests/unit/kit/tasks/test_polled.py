"""One read at a time serves all who follow a value."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from servicekit.errors import Unavailable
from servicekit.tasks.polled import Polled, Polls
from tests.waiting import until


class Source:
    """Values by key, and the reads of them."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.reads: Counter[str] = Counter()
        self.down = False

    async def read(self, key: str) -> int:
        self.reads[key] += 1
        if self.down:
            raise Unavailable("down", reason="DOWN")
        return self.values[key]


async def soon(_: float) -> None:
    await asyncio.sleep(0)


def polls(source: Source, loop: str = "") -> Polls[str, int]:
    return Polls(source.read, 1, ended=lambda value: value < 0, loop=loop, sleep=soon)


async def test_all_followers_get_a_change_and_the_last_one_ends_the_reads() -> None:
    source = Source()
    done = polls(source)
    source.values["a"] = 1
    with done.follow("a", 0) as first, done.follow("a", 7) as second:
        assert first is second
        assert await asyncio.gather(first.after(0), second.after(0)) == [1, 1]
        await until(lambda: source.reads["a"] > 3)
    reads = source.reads["a"]
    for _ in range(9):
        await asyncio.sleep(0)
    assert source.reads["a"] == reads
    assert done._polled == {}


async def test_a_value_that_has_ended_is_read_no_more() -> None:
    source = Source()
    source.values["a"] = -1
    with polls(source).follow("a", 0) as polled:
        assert await polled.after(0) == -1
        for _ in range(9):
            await asyncio.sleep(0)
        assert source.reads["a"] == 1


async def test_an_error_reaches_all_followers_and_the_next_one_begins_anew() -> None:
    source = Source()
    source.values["a"], source.down = 1, True
    done = polls(source)
    with done.follow("a", 0) as first, done.follow("a", 0) as second:
        for each in (first, second):
            with pytest.raises(Unavailable):
                await each.after(0)
        source.down = False
        with done.follow("a", 0) as third:
            assert await third.after(0) == 1


async def test_with_the_name_of_a_loop_an_error_is_outlasted() -> None:
    source = Source()
    source.values["a"], source.down = 1, True
    with polls(source, loop="numbers").follow("a", 0) as polled:
        waiting = asyncio.ensure_future(polled.after(0))
        await until(lambda: source.reads["a"] > 3)
        assert not waiting.done()
        source.down = False
        assert await waiting == 1


async def test_what_was_published_is_not_waited_for() -> None:
    polled = Polled(1)
    polled.publish(2)
    assert await polled.after(1) == 2
