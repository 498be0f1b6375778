"""The cost of a call: the processor time of its own steps, tasks and threads."""

import asyncio
import time

import grpc
import pytest

from servicekit.admission import costs


def work(seconds: float) -> None:
    """Use the processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def measured(job) -> costs.Cost:
    cost = costs.Cost()
    costs.install(asyncio.get_running_loop())
    costs.current.set(cost)
    await costs.Measured(job, cost)
    return cost


async def calls_of(seconds: float) -> None:
    for _ in range(4):
        work(seconds / 4)
        await asyncio.sleep(0)


async def test_calls_that_interleave_on_one_thread_are_measured_apart():
    async def call(seconds: float) -> float:
        return (await measured(calls_of(seconds))).seconds

    begun = time.thread_time()
    small, large = await asyncio.gather(call(0.02), call(0.06))
    spent = time.thread_time() - begun

    assert small >= 0.02
    assert large >= 0.06
    assert small + large <= spent


async def test_waiting_costs_nothing():
    cost = await measured(asyncio.sleep(0.05))

    assert cost.seconds < 0.05


async def test_tasks_and_threads_of_a_call_count_for_it():
    async def job() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(calls_of(0.02))
            group.create_task(asyncio.to_thread(work, 0.03))

    assert (await measured(job())).seconds >= 0.05


async def test_what_peers_report_is_added_and_nonsense_is_not():
    cost = costs.Cost()
    costs.current.set(cost)
    nonsense = ([(costs.COST_KEY, each)] for each in ("-1", "9" * 400, "9" * 5_000))
    for each in ([("x-other", "7"), (costs.COST_KEY, "250000")], *nonsense, []):
        costs.add_trailer(grpc.aio.Metadata(*each))

    assert cost.seconds == 0.25
    assert costs.spent_ms() == 250.0


async def test_errors_and_cancellation_pass_through():
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError

    with pytest.raises(KeyError):
        await measured(fails())
    task = asyncio.create_task(measured(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
