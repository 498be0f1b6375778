"""Batches run in parallel, and are answered in order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest

from sightline_client import ResourceExhausted, Unavailable
from sightline_client.errors import Failure, SightlineError
from sightline_client.transport.pipeline import in_flight, patiently


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_answers_come_in_order_and_no_more_than_the_limit_are_under_way() -> None:
    under_way = most = 0

    async def send(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02 if number % 2 == 0 else 0)
        under_way -= 1
        return number * 10

    found = [pair async for pair in in_flight(numbers(9), send, 3)]
    assert found == [(number, number * 10) for number in range(9)]
    assert most == 3


async def test_a_failure_ends_it_and_calls_the_rest_off() -> None:
    called_off: list[int] = []

    async def send(number: int) -> int:
        if number == 1:
            raise ValueError("no")
        try:
            await asyncio.sleep(0 if number == 0 else 60)
        except asyncio.CancelledError:
            called_off.append(number)
            raise
        return number

    answers = in_flight(numbers(4), send, 3)
    assert await anext(answers) == (0, 0)
    with pytest.raises(ValueError, match="no"):
        await anext(answers)
    assert called_off == [2]  # 3 had not begun


def failing(times: int, error: SightlineError) -> tuple[list[int], "Call"]:
    return (calls := []), Call(calls, times, error)


class Call:
    """Call that fails a number of times, then answers."""

    def __init__(self, calls: list[int], times: int, error: SightlineError) -> None:
        self.calls = calls
        self.times = times
        self.error = error

    async def __call__(self) -> str:
        self.calls.append(1)
        if len(self.calls) <= self.times:
            raise self.error
        return "answer"


AWAY = Unavailable(
    Failure(grpc.StatusCode.UNAVAILABLE, "away", retry_after=timedelta(milliseconds=1))
)
FULL = ResourceExhausted(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"))


async def test_a_suite_that_comes_back_is_waited_for() -> None:
    calls, call = failing(1, AWAY)
    assert await patiently(call, 5) == "answer"
    assert len(calls) == 2


async def test_patience_has_an_end() -> None:
    calls, call = failing(99, AWAY)
    with pytest.raises(Unavailable):
        await patiently(call, 0.1)
    assert len(calls) == 1


async def test_too_large_is_not_tried_again() -> None:
    calls, call = failing(99, FULL)
    with pytest.raises(ResourceExhausted):
        await patiently(call, 5)
    assert len(calls) == 1
