import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from servicekit.rpc.hedging import Hedging, one_at_a_time
from tests.freed import freed
from tests.waiting import until


class Replicas:
    """Replicas that answer one after another, each after its seconds."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)
        self.asked = 0
        self.cancelled: list[int] = []

    async def ask(self) -> int:
        self.asked += 1
        number = self.asked
        try:
            await asyncio.sleep(next(self._seconds))
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number


async def answers(hedging: Hedging, replicas: Replicas, count: int) -> Sequence[int]:
    return [await hedging.call(replicas.ask) for _ in range(count)]


def made(share: float = 1.0, late: float = 0.01) -> Hedging:
    hedging = Hedging("peer", share)
    hedging.late = late
    return hedging


async def test_a_late_answer_is_asked_for_once_more_and_the_first_to_come_counts() -> None:
    replicas = Replicas(60, 0)
    assert await answers(made(), replicas, 1) == [2]
    await asyncio.sleep(0)
    assert replicas.cancelled == [1]


async def test_the_first_request_may_still_win() -> None:
    replicas = Replicas(0.05, 60)
    assert await answers(made(), replicas, 1) == [1]
    assert replicas.asked == 2


async def test_a_second_request_that_fails_frees_what_its_frames_held() -> None:
    asked = list[int]()

    async def ask() -> None:
        asked.append(1)
        _held = hold()
        await asyncio.sleep(60 if len(asked) == 1 else 0)
        raise KeyError

    with freed() as hold:
        with suppress(KeyError):
            await made().call(ask)
        await asyncio.sleep(0)
    assert len(asked) == 2


async def test_an_answer_in_time_is_asked_for_once() -> None:
    replicas = Replicas(*[0] * 20)
    await answers(made(late=10), replicas, 20)
    assert replicas.asked == 20


async def test_there_are_no_more_second_requests_than_their_share() -> None:
    replicas = Replicas(*[0.02] * 100)
    hedging = made(share=0.125)
    for _ in range(24):
        hedging.late = 0.001
        await hedging.call(replicas.ask)
    assert replicas.asked == 24 + 3


async def test_without_a_share_there_is_none() -> None:
    replicas = Replicas(*[0.02] * 5)
    await answers(made(share=0, late=0.001), replicas, 5)
    assert replicas.asked == 5


async def test_a_failure_is_the_callers() -> None:
    async def fails() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await made().call(fails)


async def test_who_leaves_takes_both_requests_with_them() -> None:
    replicas = Replicas(60, 60)
    task = asyncio.create_task(made().call(replicas.ask))
    await until(lambda: replicas.asked == 2)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert sorted(replicas.cancelled) == [1, 2]


async def test_late_means_later_than_most() -> None:
    """Check 2,000 calls with durations evenly from 1 to 100 ms."""
    times = [(number * 37 % 100 + 1) / 1000 for number in range(2_000)]
    now = 0.0

    def clock() -> float:
        return now

    hedging = Hedging("peer", 1e-9, clock)
    for seconds in times:

        async def call(seconds: float = seconds) -> None:
            nonlocal now
            now += seconds

        await hedging.call(call)
    assert 0.085 < hedging.late < 0.105


async def test_calls_of_an_expensive_request_run_one_at_a_time_and_are_not_hedged() -> None:
    hedging = Hedging("peer", 1.0)
    hedging.late = 0.0
    running, most, started = 0, 0, 0

    async def start() -> int:
        nonlocal running, most, started
        started, running = started + 1, running + 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return started

    bound = one_at_a_time.set(asyncio.Lock())
    try:
        await asyncio.gather(*(hedging.call(start) for _ in range(3)))
    finally:
        one_at_a_time.reset(bound)
    assert (most, started) == (1, 3)


async def test_most_calls_run_in_their_callers_own_task() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def start() -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)

    await made(late=10).call(start)
    assert tasks == [asyncio.current_task()]


async def test_a_timeout_of_the_request_itself_is_the_callers() -> None:
    async def fails() -> int:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await made().call(fails)


async def test_the_failure_of_a_second_request_ends_the_call() -> None:
    asked = 0

    async def start() -> int:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ValueError("the second one")
        await asyncio.sleep(60)
        return asked

    with pytest.raises(ValueError, match="the second one"):
        await made().call(start)
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


async def test_a_second_request_that_ends_right_after_the_first_one_is_ignored() -> None:
    ends: list[asyncio.Future[int]] = []

    async def start() -> int:
        ends.append(asyncio.get_running_loop().create_future())
        return await ends[-1]

    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
    call = asyncio.create_task(made().call(start))
    await until(lambda: len(ends) == 2)
    for number, end in enumerate(ends, 1):
        end.set_result(number)
    assert await call in (1, 2)
    await asyncio.sleep(0.01)
    assert not problems
