import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from servicekit import deadlines
from servicekit.errors import DeadlineExceeded
from tests.freed import freed
from tests.waiting import SECONDS


def test_without_a_deadline_a_hop_has_its_cap() -> None:
    assert deadlines.remaining() is None
    assert deadlines.budget(0.1) is None
    assert deadlines.budget(0.1, cap=3.0) == 3.0


def test_a_hop_gets_what_is_left_less_the_reserve() -> None:
    with deadlines.within(10.0):
        assert deadlines.budget(1.0) == pytest.approx(9.0, abs=0.5)
        assert deadlines.budget(1.0, cap=2.0) == 2.0


def test_a_hop_that_can_only_fail_is_not_started() -> None:
    with deadlines.within(0.05), pytest.raises(DeadlineExceeded) as caught:
        deadlines.budget(0.1)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    assert "100 ms" in caught.value.message


def test_an_inner_end_is_never_later_than_the_outer_one() -> None:
    with deadlines.within(1.0):
        with deadlines.within(60.0):
            left = deadlines.remaining()
        assert left is not None
        assert left <= 1.0
    assert deadlines.remaining() is None


def test_a_call_without_an_end_gets_one_and_another_keeps_its_own() -> None:
    with deadlines.otherwise(1.0):
        given = deadlines.remaining()
    assert given is not None
    assert given <= 1.0
    assert deadlines.remaining() is None
    with deadlines.within(60.0), deadlines.otherwise(1.0):
        kept = deadlines.remaining()
    assert kept is not None
    assert kept > 1.0


async def test_the_deadlines_of_calls_side_by_side_do_not_mix() -> None:
    async def call(seconds: float | None) -> float | None:
        deadlines.start(seconds)
        await asyncio.sleep(0)
        return deadlines.remaining()

    short, none, long = await asyncio.gather(call(1.0), call(None), call(100.0))
    assert short is not None
    assert long is not None
    assert short <= 1.0 < 99.0 < long
    assert none is None


def test_a_loop_goes_on_while_there_is_time_and_stops_when_it_is_up() -> None:
    deadlines.check()
    with deadlines.within(60.0):
        deadlines.check()
    with deadlines.within(0.0), pytest.raises(DeadlineExceeded) as caught:
        deadlines.check()
    assert caught.value.reason == "DEADLINE_EXCEEDED"


async def test_work_in_a_thread_has_the_deadline_of_its_call() -> None:
    with deadlines.within(60.0):
        left = await deadlines.in_thread(deadlines.remaining)
        assert left is not None
        assert left <= 60.0
    with deadlines.within(0.0), pytest.raises(DeadlineExceeded):
        await deadlines.in_thread(deadlines.check)


async def test_work_in_a_thread_stops_when_its_caller_goes() -> None:
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        try:
            while True:
                deadlines.check()
        except DeadlineExceeded:
            ended.set()
            raise

    task = asyncio.create_task(deadlines.in_thread(work))
    assert await asyncio.to_thread(began.wait, SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, SECONDS)
    deadlines.check()


async def test_an_error_of_work_in_a_pool_reaches_its_caller() -> None:
    def work() -> None:
        raise KeyError("made")

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyError):
        await deadlines.in_thread(work, pool)


async def test_an_error_of_work_frees_what_the_work_held_without_the_collector() -> None:
    with freed() as hold, ThreadPoolExecutor(1) as pool:

        def work() -> None:
            _held = hold()
            raise KeyError("made")

        for threads in (pool, None):
            with suppress(KeyError):
                await deadlines.in_thread(work, threads)
        await asyncio.sleep(0)


async def test_work_that_waits_for_a_thread_never_starts_once_its_caller_has_gone() -> None:
    go, ran = threading.Event(), list[int]()
    with ThreadPoolExecutor(1) as pool:
        first = asyncio.create_task(deadlines.in_thread(lambda: go.wait(SECONDS), pool))
        second = asyncio.create_task(deadlines.in_thread(lambda: ran.append(2), pool))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        assert await first
    assert ran == []


async def test_work_of_a_pool_that_shuts_down_is_cancelled() -> None:
    go, pool = threading.Event(), ThreadPoolExecutor(1)
    first = asyncio.create_task(deadlines.in_thread(lambda: go.wait(SECONDS), pool))
    second = asyncio.create_task(deadlines.in_thread(lambda: None, pool))
    await asyncio.sleep(0)
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    assert await first


async def test_a_limit_narrows_the_deadline_of_its_block() -> None:
    with deadlines.within(100.0):
        with deadlines.TimeLimit(50.0, narrows=True):
            inner = deadlines.remaining()
        with deadlines.TimeLimit(200.0, narrows=True):
            kept = deadlines.remaining()
        outer = deadlines.remaining()
    assert inner is not None
    assert inner <= 50.0
    assert kept is not None
    assert outer is not None
    assert outer <= kept <= 100.0
    with pytest.raises(TimeoutError), deadlines.TimeLimit(0.0, narrows=True):
        await asyncio.Event().wait()
