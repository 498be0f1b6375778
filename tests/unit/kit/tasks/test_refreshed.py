"""Values that are read in the background."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from servicekit import deadlines
from servicekit.errors import Unavailable
from servicekit.tasks.refreshed import Refreshed, RefreshRules

RULES = RefreshRules(fresh=10.0, again=5.0, longest=30.0, oldest=100.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Reads that end when they are told to."""

    def __init__(self) -> None:
        self.asked = list[asyncio.Future[int]]()

    async def __call__(self) -> int:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


def reader(*values: int | Exception) -> Callable[[], Awaitable[int]]:
    left = [*values]

    async def read() -> int:
        value = left.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    return read


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_the_first_call_waits_and_old_values_are_used_until_they_are_too_old() -> None:
    clock = Clock()
    values = Refreshed[str, int]("some", RULES, clock)
    read = reader(1, Unavailable("down", reason="DOWN"), ValueError(), 4)
    assert await values.get("a", read) == 1
    clock.now = 11.0
    assert await values.get("a", read) == 1
    await settle()
    clock.now = 15.0  # failed at 11: not yet again
    assert await values.get("a", read) == 1
    clock.now = 17.0
    assert await values.get("a", read) == 1
    await settle()
    clock.now = 100.0  # too old: it is read again, and awaited
    assert values.peek("a") is None
    assert await values.get("a", read) == 4


async def test_a_read_has_no_deadline_of_a_caller_and_outlasts_it() -> None:
    values, source, left = Refreshed[str, int]("some", RULES), Source(), list[float | None]()

    async def read() -> int:
        left.append(deadlines.remaining())
        return await source()

    async def call() -> int | None:
        with deadlines.within(0.9):
            return await values.get("a", read)

    first = asyncio.create_task(call())
    await settle()
    first.cancel()
    second = asyncio.create_task(call())
    await settle()
    source.asked[0].set_result(7)
    assert await second == 7
    assert len(source.asked) == 1
    assert left[0] is not None
    assert left[0] > 1.0


async def test_the_read_that_started_last_wins() -> None:
    values, source = Refreshed[str, int]("some", RULES), Source()
    older = asyncio.create_task(values.get("a", source))
    await settle()
    newer = asyncio.create_task(values.get("a", source, anew=True))
    await settle()
    source.asked[1].set_result(2)
    assert await newer == 2
    source.asked[0].set_result(1)
    await older
    assert values.peek("a") == 2


async def test_a_forgotten_key_ignores_reads_under_way() -> None:
    values, source = Refreshed[str, int]("some", RULES), Source()
    waiting = asyncio.create_task(values.get("a", source))
    await settle()
    values.forget("a")
    source.asked[0].set_result(1)
    await waiting
    assert values.peek("a") is None


async def test_a_call_waits_no_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    values, source = Refreshed[str, int]("some", RULES), Source()
    assert await values.get("a", source, patience=0.0) is None
    source.asked[0].set_result(1)
    await settle()
    assert await values.get("a", source, patience=0.0) == 1


async def test_a_call_waits_for_a_newer_value_as_long_as_the_rules_say() -> None:
    clock = Clock()
    rules = RefreshRules(fresh=10.0, again=5.0, longest=30.0, wait=30.0)
    values = Refreshed[str, int]("some", rules, clock)
    read = reader(1, 2, Unavailable("down", reason="DOWN"))
    assert await values.get("a", read) == 1
    clock.now = 10.0
    assert await values.get("a", read) == 2
    clock.now = 20.0
    assert await values.get("a", read) == 2, "it can't be read"


async def test_an_expired_value_is_read_again_and_reads_that_began_before_do_not_count() -> None:
    values, source = Refreshed[str, int]("some", RULES), Source()
    early = asyncio.create_task(values.get("a", source))
    await settle()
    values.expire("a")
    late = asyncio.create_task(values.get("a", source))
    await settle()
    source.asked[1].set_result(2)
    assert await late == 2
    source.asked[0].set_result(1)
    await early
    assert values.peek("a") == 2
    values.expire("b")


async def test_a_required_value_that_cannot_be_read_raises_why() -> None:
    values = Refreshed[str, int]("some", RefreshRules(fresh=1.0, again=0.0, longest=30.0))
    read = reader(Unavailable("down", reason="DOWN"), 2)
    with pytest.raises(Unavailable):
        await values.require("a", read)
    assert await values.require("a", read) == 2


async def test_a_required_value_whose_read_takes_too_long_is_unavailable() -> None:
    values = Refreshed[str, int]("some", RefreshRules(fresh=1.0, again=5.0, longest=0.01))
    for _ in range(2):  # the second call starts no read
        with pytest.raises(Unavailable, match="takes too long"):
            await values.require("a", Source())


async def test_a_shorter_time_than_that_of_the_rules_counts() -> None:
    clock = Clock()
    values = Refreshed[str, int]("some", RULES, clock)
    read = reader(1, 2)
    await values.get("a", read)
    clock.now = 1.0
    assert await values.get("a", read, fresh=1.0) == 1
    await settle()
    assert values.peek("a") == 2


async def test_a_read_that_fails_after_its_value_expired_does_not_postpone_the_next() -> None:
    clock = Clock()
    values, source = Refreshed[str, int]("some", RULES, clock), Source()
    await values.get("a", reader(1))
    clock.now = 11.0
    await values.get("a", source)
    await settle()
    values.expire("a")
    source.asked[0].set_exception(ValueError())
    await settle()
    await values.get("a", reader(2))
    await settle()
    assert values.peek("a") == 2
