"""Sends requests from several clients at once and times each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Timed(Generic[A]):
    """One call's answer and its duration, as measured by the caller."""

    seconds: float
    answer: A


def lasting(requests: Iterable[R], seconds: float, least: int = 1) -> Iterator[R]:
    """Yield requests for some seconds from the first one on, at least `least` of them."""
    until = 0.0
    for number, request in enumerate(requests):
        now = time.perf_counter()
        until = until or now + seconds
        if now > until and number >= least:
            return
        yield request


async def closed_loop(
    requests: Iterable[R], clients: int, call: Callable[[R], Awaitable[A]]
) -> tuple[list[Timed[A]], float]:
    """Send every request once, by ``clients`` that each send the next request after an answer.

    Return the timed answers and the seconds that all took together. The first error ends the run.
    """
    waiting = iter(requests)
    done: list[Timed[A]] = []

    async def client() -> None:
        for request in waiting:
            since = time.perf_counter()
            answer = await call(request)
            done.append(Timed(time.perf_counter() - since, answer))

    since = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return done, time.perf_counter() - since
