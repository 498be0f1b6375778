"""Places of expensive requests: who waits for whom, and for how long."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY

from gateway.model.errors import ExpensiveRequestsBusy
from gateway.model.price import EXPENSIVE_SECONDS, RequestPrice, photo_price
from gateway.state.expensive_requests import (
    CHEAP_SECONDS,
    HELD_SECONDS,
    WAIT_SECONDS,
    ExpensiveRequestLimiter,
)
from servicekit import deadlines
from servicekit.admission import access, costs
from tests import virtual_time

WAITING = "sightline_gateway_expensive_requests_waiting"
WAITED = "sightline_gateway_expensive_wait_seconds_count"


def price(seconds: float) -> RequestPrice:
    return RequestPrice({"": seconds})


CHEAP, DEAR = price(EXPENSIVE_SECONDS), price(0.5)


class Line:
    """Requests of callers, in the order in which they began to run."""

    def __init__(self, places: int = 1) -> None:
        self.places = ExpensiveRequestLimiter(places)
        self.ran: list[str] = []
        self.waited: dict[str, bool] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, cost: RequestPrice = DEAR, seconds: float = 60.0) -> None:
        """Send a request of the caller that its name begins with."""
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, cost, seconds))
        await settle()

    async def _run(self, name: str, cost: RequestPrice, seconds: float) -> None:
        access.caller.set(access.Caller(name[0], frozenset()))
        with deadlines.within(seconds):
            async with self.places.held(cost, "default") as self.waited[name]:
                self.ran.append(name)
                await self.ends[name].wait()

    async def end(self, name: str, seconds: float = 0.0) -> None:
        """End a request that ran for so long."""
        await asyncio.sleep(seconds)
        self.ends[name].set()
        await self.tasks[name]
        await settle()

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_cheap_request_runs_while_expensive_ones_wait() -> None:
    line = Line()
    for name in ("a1", "a2", "b1"):
        await line.come(name)
    await line.come("c", CHEAP)
    await line.come("c photo", photo_price())
    assert line.ran == ["a1", "c", "c photo"]
    assert line.waited == {"a1": False, "c": False, "c photo": False}
    await line.close()


async def test_a_caller_with_many_expensive_requests_delays_another_by_one_of_them() -> None:
    line = Line()
    for number in range(8):
        await line.come(f"a{number}")
    await line.come("b")
    await line.end("a0")
    assert line.ran == ["a0", "b"]
    assert line.waited["b"]
    await line.close()


async def test_of_equally_busy_callers_the_cheapest_request_goes_first() -> None:
    line = Line()
    await line.come("a")
    for name, seconds in (("b", 0.9), ("c", 0.2), ("d", 0.5)):
        await line.come(name, price(seconds))
    for name in ("a", "c", "d", "b"):
        await line.end(name)
    assert line.ran == ["a", "c", "d", "b"]


async def test_of_one_caller_the_cheapest_request_goes_first() -> None:
    line = Line()
    await line.come("a")
    for name, seconds in (("a dear", 0.9), ("a cheap", 0.2)):
        await line.come(name, price(seconds))
    await line.end("a")
    assert line.ran == ["a", "a cheap"]
    await line.close()


def test_cheap_requests_of_one_caller_do_not_keep_an_expensive_one_of_another_waiting() -> None:
    async def main() -> None:
        line = Line()
        for number in range(9):
            await line.come(f"a{number}", price(0.25))
        await line.come("b", price(0.5))
        for number in range(2):
            await line.end(f"a{number}", 0.25)
        assert line.ran == ["a0", "a1", "b"]
        await line.close()

    virtual_time.run(main())


@pytest.mark.full
async def test_a_cancelled_request_leaves_its_place_in_the_queue() -> None:
    line, before = Line(), metric(WAITED, outcome="gone")
    for name in ("a", "b", "c"):
        await line.come(name)
    assert metric(WAITING) == 2
    line.tasks["b"].cancel()
    await settle()
    assert metric(WAITING) == 1
    assert metric(WAITED, outcome="gone") == before + 1
    await line.end("a")
    assert line.ran == ["a", "c"]
    await line.close()


async def test_a_cancelled_request_that_runs_gives_its_place_to_the_next() -> None:
    line = Line()
    await line.come("a")
    await line.come("b")
    line.tasks["a"].cancel()
    await settle()
    assert line.ran == ["a", "b"]
    await line.close()


def test_a_request_whose_deadline_ends_while_it_waits_is_refused_with_the_time_of_a_retry() -> None:
    async def main() -> ExpensiveRequestsBusy:
        line = Line()
        for name in ("a", "b", "c"):
            await line.come(name, price(1.0))
        await line.come("d", DEAR, seconds=1.5)
        with pytest.raises(ExpensiveRequestsBusy) as caught:
            await line.tasks["d"]
        assert "d" not in line.ran
        await line.close()
        return caught.value

    before = metric(WAITED, outcome="refused")
    error, seconds = virtual_time.run(main())
    assert seconds == pytest.approx(1.0), "the last half second would be too little to run"
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "SERVICE_OVERLOADED")
    assert error.retry_after is not None
    assert error.retry_after.total_seconds() == pytest.approx(3.5), "all that is ahead of it"
    assert error.metadata == {"price_seconds": "0.50"}
    assert metric(WAITED, outcome="refused") == before + 1
    assert metric(WAITING) == 0


@pytest.mark.parametrize(
    ("left", "waits"),
    [(None, WAIT_SECONDS), (4.0, 3.5), (0.6, 0.3)],
    ids=["without a deadline", "until the price is left", "half of a short deadline"],
)
def test_a_request_waits_as_long_as_it_could_still_run_in_time(
    left: float | None, waits: float
) -> None:
    async def main() -> float:
        places, now = ExpensiveRequestLimiter(1), asyncio.get_running_loop().time
        # It counts as running for longer than the other one waits.
        async with places.held(price(100.0), "default"):
            began = now()
            with suppress(ExpensiveRequestsBusy), deadlines.within(left or 1e9):
                if left is None:
                    deadlines.start(None)
                async with places.held(DEAR, "default"):
                    pytest.fail("there is no place")
            return now() - began

    seconds, _ = virtual_time.run(main())
    assert seconds == pytest.approx(waits)


def test_a_request_that_takes_far_longer_than_its_price_lets_the_next_one_begin() -> None:
    async def main() -> None:
        line = Line()
        await line.come("a", price(0.5))
        await line.come("b", price(0.5))
        await asyncio.sleep(HELD_SECONDS * 0.5 - 0.01)
        assert line.ran == ["a"]
        await asyncio.sleep(0.02)
        assert line.ran == ["a", "b"]
        await line.end("a")
        await line.come("c")
        assert line.ran == ["a", "b"], "the end of the first request gives no second place"
        await line.close()

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("after", "soon"), [(0.0, False), (CHEAP_SECONDS + 0.1, True)], ids=["busy", "quiet"]
)
def test_after_an_expensive_request_others_have_the_processors_for_as_long_as_it_took(
    after: float, *, soon: bool
) -> None:
    async def main() -> list[bool]:
        line = Line()
        await line.come("c", CHEAP)
        await asyncio.sleep(after)
        await line.come("a", price(5.0))
        await line.come("b")
        await line.end("a", seconds=1.0)
        found = []
        for seconds in (0.9, 0.2):
            await asyncio.sleep(seconds)
            found.append("b" in line.ran)
        await line.close()
        return found

    found, _ = virtual_time.run(main())
    assert found == [soon, True]


async def test_two_places_are_held_by_two_requests() -> None:
    line = Line(2)
    for name in ("a", "b", "c"):
        await line.come(name)
    assert line.ran == ["a", "b"]
    await line.close()


async def test_no_request_waits_without_a_limit() -> None:
    line = Line(0)
    for number in range(9):
        await line.come(f"a{number}")
    assert len(line.ran) == 9
    await line.close()


def test_a_wait_is_noted_and_is_no_processor_time() -> None:
    async def main() -> costs.Cost:
        cost = costs.Cost()
        line = Line()
        await line.come("a")
        costs.current.set(cost)
        await line.come("b")
        costs.current.set(None)
        await line.end("a", 0.5)
        await line.end("b")
        return cost

    cost, _ = virtual_time.run(main())
    assert cost.waited == pytest.approx(0.5)
    assert cost.seconds < 0.2
