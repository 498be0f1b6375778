"""The cost of job watches for the store, and the states that watchers get."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from servicekit.jobs.queue import Job, JobNotFound, JobState
from servicekit.rpc.job_service import WATCH_SECONDS, JobServicer
from sightline.common.v1 import job_pb2
from sightline.common.v1 import job_service_pb2 as pb
from tests import virtual_time

CONTEXT: Any = None
RUNNING, SUCCEEDED = job_pb2.Job.STATE_RUNNING, job_pb2.Job.STATE_SUCCEEDED


def job(job_id: str = "a", **changed: Any) -> Job:
    texts = dict.fromkeys(("request_id", "caller", "error_reason", "error_message", "owner"), "")
    numbers = dict.fromkeys(
        ("done", "attempts", "lease_until", "created_time", "started_time", "finished_time"), 0
    )
    made = Job(
        id=job_id,
        kind="train",
        catalog_id="default",
        params={},
        state=JobState.RUNNING,
        total=9,
        result={},
        cancel_requested=False,
        **texts,
        **numbers,
    )
    return replace(made, **changed)


class Store:
    """Fake of Jobs that counts reads."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {each.id: each for each in jobs}
        self.reads: Counter[str] = Counter()

    async def get(self, job_id: str) -> Job:
        self.reads[job_id] += 1
        if job_id not in self.jobs:
            raise JobNotFound(job_id)
        return self.jobs[job_id]

    def change(self, job_id: str = "a", **changed: Any) -> None:
        self.jobs[job_id] = replace(self.jobs[job_id], **changed)


def served(store: Any) -> JobServicer:
    return JobServicer("shop/", ["default"], store)


async def watched(servicer: JobServicer, job_id: str = "a", pause: float = 0) -> list[Any]:
    """Return the states and counts that one watcher gets, which reads slowly if `pause` is set."""
    seen = []
    async for message in servicer.WatchJob(pb.WatchJobRequest(job_id=f"shop/{job_id}"), CONTEXT):
        seen.append((message.state, message.done))
        await asyncio.sleep(pause)
    return seen


def test_one_read_at_a_time_serves_all_watchers_of_a_job() -> None:
    store, watchers, seconds = Store(job("a"), job("b")), 50, 10

    async def main() -> list[Any]:
        servicer = served(store)
        everyone = [asyncio.create_task(watched(servicer)) for _ in range(watchers)]
        other = asyncio.create_task(watched(servicer, "b"))
        await asyncio.sleep(seconds / 2)
        store.change(done=5)
        await asyncio.sleep(seconds / 2)
        store.change(state=JobState.SUCCEEDED, done=9)
        store.change("b", state=JobState.SUCCEEDED)
        assert await other == [(RUNNING, 0), (SUCCEEDED, 0)]
        return await asyncio.gather(*everyone)

    seen, _ = virtual_time.run(main())
    assert seen == [[(RUNNING, 0), (RUNNING, 5), (SUCCEEDED, 9)]] * watchers
    polls = seconds / WATCH_SECONDS + 1
    assert store.reads["a"] <= watchers + polls  # each watcher's first answer is of its own
    assert store.reads["b"] <= 1 + polls


def test_watchers_that_leave_leave_nothing_to_read() -> None:
    store = Store(job())

    async def main() -> int:
        servicer = served(store)
        everyone = [asyncio.create_task(watched(servicer)) for _ in range(3)]
        await asyncio.sleep(1)
        everyone[0].cancel()
        before = store.reads["a"]
        await asyncio.sleep(1)
        assert store.reads["a"] > before, "the first watcher's end is not that of the others"
        for each in everyone:
            each.cancel()
        await asyncio.sleep(WATCH_SECONDS)
        before = store.reads["a"]
        await asyncio.sleep(10)
        return store.reads["a"] - before

    assert virtual_time.run(main())[0] == 0


def test_a_slow_watcher_sees_the_last_state() -> None:
    store = Store(job())

    async def main() -> list[Any]:
        servicer = served(store)
        slow = asyncio.create_task(watched(servicer, pause=30))
        await asyncio.sleep(1)
        store.change(state=JobState.SUCCEEDED)
        await asyncio.sleep(1)
        store.jobs.clear()
        return await slow

    assert virtual_time.run(main())[0] == [(RUNNING, 0), (SUCCEEDED, 0)]


def test_a_watcher_that_comes_later_never_sees_an_older_state() -> None:
    store = Store(job())

    async def main() -> list[Any]:
        servicer = served(store)
        first = asyncio.create_task(watched(servicer))
        await asyncio.sleep(0.1)
        store.change(done=5)
        second = asyncio.create_task(watched(servicer))
        await asyncio.sleep(1)
        store.change(state=JobState.SUCCEEDED, done=9)
        return await asyncio.gather(first, second)

    first, second = virtual_time.run(main())[0]
    assert first == [(RUNNING, 0), (RUNNING, 5), (SUCCEEDED, 9)]
    assert second == first[1:]


def test_an_error_of_the_store_reaches_all_watchers_and_the_next_one_begins_anew() -> None:
    store = Store(job())

    async def main() -> list[Any]:
        servicer = served(store)
        everyone = [asyncio.create_task(watched(servicer)) for _ in range(3)]
        await asyncio.sleep(1)
        lost = store.jobs.pop("a")
        failed = await asyncio.gather(*everyone, return_exceptions=True)
        assert [type(each) for each in failed] == [JobNotFound] * 3
        store.jobs["a"] = replace(lost, state=JobState.SUCCEEDED)
        return await watched(servicer)

    assert virtual_time.run(main())[0] == [(SUCCEEDED, 0)]


async def test_a_job_of_another_catalog_is_not_watched() -> None:
    with pytest.raises(JobNotFound):
        await watched(served(Store(job(catalog_id="other"))))
