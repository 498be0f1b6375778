"""The worker's loops: on a real record, with engine and embedder in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from retriever.backup import backups
from retriever.catalog import deletions
from retriever.domain.collection_names import shaped
from retriever.domain.index_values import Waiting
from retriever.indexing import generations, rebuild
from retriever.wiring import job_queue
from retriever.workers import jobs as worker_jobs
from retriever.workers import leader_loops
from retriever.workers.collection_loop import BUSY_SECONDS, CollectionStatus
from retriever.workers.jobs import JobLoop
from retriever.workers.leader_loops import Loops, lead_in_turn
from retriever.workers.tasks import KeyedBackoff, Tasks
from servicekit.errors import NotFound, Unavailable
from servicekit.jobs.queue import Job, JobCancelled, Jobs, JobState
from servicekit.sql.database import Database, StoreBusy
from servicekit.tasks import loops as worker_loops
from servicekit.tasks.supervision import Backoff
from sightline_rules.photos import image_id
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench, applied
from tests.waiting import SECONDS, until

QUIET_SECONDS = 0.3


async def test_writes_reach_the_index_and_are_flushed(bench: Bench) -> None:
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
        await until(lambda: bench.rows() == {"a", "b"})
        await until(lambda: bench.index.flushed > 0)


async def test_while_much_waits_to_be_embedded_changes_are_applied_in_larger_steps(
    bench: Bench,
) -> None:
    made = await bench.record.create_generation(generation())
    await bench.record.mark(made, check_wanted=False)
    (outstanding,) = await bench.record.outstanding(["default"])
    made = outstanding.generation
    await bench.index.create(made.collection, made.dimension)
    await bench.record.write("default", [write("a", PHOTOS[0])])
    await bench.record.save_vectors(made, vectors(PHOTOS[0]))
    worker, state = bench.worker("one"), CollectionStatus(former_dropped=True)
    assert await worker.leadership.acquire()
    async with asyncio.TaskGroup() as group:
        loops = Loops(worker, Tasks(group))
    state.applied = state.looked = state.checked = time.monotonic()
    state.wants_check = False
    loops.embedding.busy.add("default visual v1")
    (outstanding,) = await bench.record.outstanding(["default"])
    assert not await loops.indexing.follow(outstanding, state)
    assert bench.rows() == set()
    state.applied -= BUSY_SECONDS
    await loops.indexing.follow(outstanding, state)
    assert bench.rows() == {"a"}
    await bench.record.write("default", [write("b", PHOTOS[1])])
    await bench.record.save_vectors(made, vectors(PHOTOS[1]))
    loops.embedding.busy.clear()
    (outstanding,) = await bench.record.outstanding(["default"])
    await loops.indexing.follow(outstanding, state)
    assert bench.rows() == {"a", "b"}


def test_an_engine_whose_writes_wait_for_a_flush_is_flushed_when_it_is_quiet() -> None:
    state = CollectionStatus(flushed=100.0, written=108.0, unflushed=3)
    assert state.wants_flush(111.0, 10.0, quiet=False)
    assert not state.wants_flush(111.0, 10.0, quiet=True)
    assert state.wants_flush(119.0, 10.0, quiet=True)
    assert not CollectionStatus(flushed=100.0, written=108.0).wants_flush(200.0, 10.0, quiet=True)


async def test_a_record_that_failed_is_looked_at_as_often_as_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    looks = 0
    waiting, version = bench.record.waiting, iter(range(10**9))

    class Impatient(Backoff):
        def fail(self) -> float:
            pauses.append(super().fail())
            return 0.0

    async def looked(*given: Any) -> Waiting:
        nonlocal looks
        looks += 1
        if looks in (2, 3, 4, 8):
            raise StoreBusy
        return await waiting(*given)

    monkeypatch.setattr(worker_loops, "Backoff", Impatient)
    bench.record.waiting = looked  # type: ignore[method-assign]
    bench.record.version = lambda: next(version)  # type: ignore[method-assign]
    async with bench.working():
        await until(lambda: looks > 10)
    assert pauses == [0.1, 0.2, 0.4, 0.1]


@pytest.mark.full
@pytest.mark.slow
async def test_what_fell_due_without_a_write_is_found(bench: Bench) -> None:
    made = await bench.record.create_generation(generation())
    await bench.record.write("default", [write("a", PHOTOS[0])])
    await bench.record.postpone(made, [image_id(PHOTOS[0])], 1.0, "INTERNAL")
    async with bench.working():
        await until(lambda: bench.rows() == {"a"})


async def test_an_embedder_that_comes_late_is_waited_for(bench: Bench) -> None:
    bench.embedder.down = True
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await asyncio.sleep(0.1)
        bench.embedder.down = False
        await until(lambda: bench.rows() == {"a"})


async def test_a_model_that_is_not_ready_is_waited_for(bench: Bench) -> None:
    bench.embedder.ready = False
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await asyncio.sleep(0.1)
        assert await bench.record.generations("default") == []
        bench.embedder.ready = True
        await until(lambda: bench.rows() == {"a"})


async def test_an_engine_that_was_killed_is_checked_when_it_is_back(bench: Bench) -> None:
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
        await until(lambda: bench.rows() == {"a", "b"})
        bench.index.down = True
        await bench.record.write("default", [write("c", PHOTOS[2])])
        await asyncio.sleep(0.05)
        bench.index.restart(lose=[next(iter(held)) for held in bench.index.rows.values()])
        bench.index.down = False
        await until(lambda: bench.rows() == {"a", "b", "c"})


async def test_a_restart_that_nobody_called_during_is_noticed(bench: Bench) -> None:
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
        await until(lambda: bench.rows() == {"a", "b"})
        bench.index.restart(lose=[next(iter(held)) for held in bench.index.rows.values()])
        await until(lambda: bench.rows() == {"a", "b"})


async def test_an_engine_that_is_lost_at_rest_is_retried_without_a_change_of_the_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "INDEX_TURN_SECONDS", "EMBED_TURN_SECONDS"):
        monkeypatch.setattr(leader_loops, name, 3_600.0)
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await until(lambda: bench.rows() == {"a"})
        held = set(bench.index.loaded)
        await asyncio.sleep(QUIET_SECONDS)
        bench.index.down = True
        bench.index.restart()
        await asyncio.sleep(QUIET_SECONDS)
        bench.index.down = False
        await until(lambda: bench.index.loaded == held)


async def test_rows_lost_while_no_worker_ran_come_back(bench: Bench) -> None:
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await until(lambda: bench.rows() == {"a"})
    for held in bench.index.rows.values():
        held.clear()
    async with bench.working("two"):
        await until(lambda: bench.rows() == {"a"})


@pytest.mark.full
@pytest.mark.slow
async def test_an_index_of_an_older_shape_is_built_anew_and_then_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retriever.workers.collection_loop.FORMER_SECONDS", 0.2)
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
        await until(lambda: bench.rows() == {"a", "b"})
        await until(lambda: applied(bench))
    (made,) = await bench.record.generations("default")
    former = shaped(made.collection, 1)
    await bench.record.mark(made, collection=former)
    bench.index.rows = {former: bench.index.rows[made.collection]}
    photos = len(bench.embedder.calls)
    async with bench.working("two"):
        await until(lambda: set(bench.index.rows) == {made.collection})
        assert bench.rows() == {"a", "b"}
    assert await bench.record.generations("default") == [replace(made, check_wanted=False)]
    assert len(bench.embedder.calls) == photos


async def test_two_workers_do_the_work_of_one(bench: Bench) -> None:
    async with bench.working("one"), bench.working("two"):
        await bench.record.write("default", [write(f"p{n}", data) for n, data in enumerate(PHOTOS)])
        await until(lambda: len(bench.rows()) == 6)
        assert sum(bench.embedder.calls) == 6


@pytest.mark.slow
async def test_another_worker_takes_over_at_once_from_one_that_stopped(bench: Bench) -> None:
    async with bench.working("one"):
        await until(lambda: bool(bench.index.rows))
        waiting = asyncio.Event()
        second = asyncio.create_task(lead_in_turn(bench.worker("two"), waiting))
        await asyncio.sleep(0.05)
    await bench.record.write("default", [write("a", PHOTOS[0])])
    await until(lambda: bench.rows() == {"a"})
    waiting.set()
    await asyncio.wait_for(second, SECONDS)


@pytest.mark.slow
async def test_a_catalog_whose_collection_is_broken_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await bench.record.create_generation(generation(catalog_id="bad", collection="broken_1"))
    bench.index.broken = {bad.collection}
    bench.catalogs = ("bad", "default")
    paused: list[str] = []

    class Patient(KeyedBackoff):
        """Worker that retries only after hours, so that nothing that waits for a retry happens in a
        test."""

        def __init__(self, *_: object) -> None:
            super().__init__("index", 1e4, 1e4)

        def fail(self, key: str, error: Exception) -> None:
            paused.append(key)
            super().fail(key, error)

    monkeypatch.setattr("retriever.workers.collection_loop.KeyedBackoff", Patient)
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await until(lambda: bench.rows() == {"a"})
        await until(lambda: bool(paused))
        for name, data in zip("bcd", PHOTOS[1:4], strict=True):
            await bench.record.write("default", [write(name, data)])
            await until(lambda new=name: new in bench.rows())
    bench.index.broken = set()
    async with bench.working("two"):
        await bench.record.write("bad", [write("e", PHOTOS[4])])
        await until(lambda: bench.rows() == {"a", "b", "c", "d", "e"})


async def test_a_check_that_failed_half_way_is_made_again(bench: Bench) -> None:
    async with bench.working():
        await bench.record.write("default", [write("a", PHOTOS[0])])
        await until(lambda: bench.rows() == {"a"})
        await asyncio.sleep(0.1)
        for held in bench.index.rows.values():
            held.clear()
        bench.index.scan_failures = 1
        (made,) = await bench.record.generations("default")
        await bench.record.want_check(made)
        await until(lambda: bench.rows() == {"a"})


async def test_a_job_that_makes_no_sense_fails_and_holds_up_no_other(db: Database) -> None:
    bench = Bench(db)
    jobs = job_queue(db)
    await bench.record.write("default", [write("a"), write("b")])
    # An empty filter would pass every product.
    bad = await jobs.create(deletions.PURGE, "default", {"filter": "", "before": 9, "count": 1})
    good = await jobs.create(deletions.CLOSE_IMPORT, "default", {"before": 2, "count": 1})
    stop = asyncio.Event()
    working = asyncio.create_task(lead_in_turn(bench.worker("w"), stop))
    async with asyncio.timeout(SECONDS):
        while (await jobs.get(good.id)).state != JobState.SUCCEEDED:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await working
    failed = await jobs.get(bad.id)
    assert (failed.state, failed.error_reason) == (JobState.FAILED, "REQUEST_INVALID")
    assert set(await bench.record.get("default", ["a", "b"])) == {"b"}


@pytest.mark.parametrize("kind", [rebuild.REBUILD, deletions.CLOSE_IMPORT])
async def test_work_that_is_done_is_not_lost_to_a_busy_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(worker_jobs, "RETRY_SECONDS", 0.0)
    finish, tried = Jobs.finish, list[str]()

    async def busy(jobs: Jobs, job: Job, result: Mapping[str, Any]) -> None:
        tried.append(job.id)
        if len(tried) < 3:
            raise StoreBusy
        await finish(jobs, job, result)

    monkeypatch.setattr(Jobs, "finish", busy)
    jobs = job_queue(bench.db)
    made = await jobs.create(kind, "default", {"before": 1, "count": 0, "space": "visual"})

    async def ended() -> bool:
        return bool((await jobs.get(made.id)).finished_time)

    async with bench.working():
        await until(ended)
    done = await jobs.get(made.id)
    assert (done.state, done.attempts, tried) == (JobState.SUCCEEDED, 1, [made.id] * 3)


async def carried_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, error: Exception
) -> Job:
    """Carry out a job that raises `error`, and return what is stored then."""

    async def result(*_: object) -> Mapping[str, Any]:
        raise error

    monkeypatch.setattr(JobLoop, "_result", result)
    worker = bench.worker("one")
    assert await worker.leadership.acquire()
    made = await worker.jobs.create(kind, "default", {})
    async with asyncio.TaskGroup() as group:
        loops = Loops(worker, Tasks(group))
        assert await loops.jobs.begin_next()
    return await worker.jobs.get(made.id)


@pytest.mark.parametrize("error", [JobCancelled("job"), NotFound("none", reason="NONE")])
async def test_the_store_s_error_is_never_stored_as_that_of_a_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail, tried = Jobs.fail, list[Exception]()

    async def busy(jobs: Jobs, job: Job, error: Exception) -> None:
        tried.append(error)
        if len(tried) == 1:
            raise StoreBusy
        await fail(jobs, job, error)

    monkeypatch.setattr(Jobs, "fail", busy)
    left = await carried_out(bench, monkeypatch, generations.BACKFILL, error)
    assert (left.state, left.error_reason, tried) == (JobState.RUNNING, "", [error])


async def test_a_verification_fails_with_the_error_of_a_service_that_stays_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_jobs, "VERIFY_PATIENCE_SECONDS", 0.0)
    away = Unavailable("the embedder is away", reason="AWAY")
    ended = await carried_out(bench, monkeypatch, generations.VERIFY, away)
    found = (ended.state, ended.error_reason, ended.error_message)
    assert found == (JobState.FAILED, "AWAY", "the embedder is away")


@pytest.mark.full
async def test_a_backup_holds_up_no_job_but_the_next_backup(bench: Bench) -> None:
    jobs, begin = job_queue(bench.db), bench.backups.begin
    under_way: list[str] = []
    go_on = threading.Event()

    def slow(catalog_id: str, backup_id: str) -> Any:  # in a thread of the backups
        under_way.append(backup_id)
        assert go_on.wait(SECONDS)
        return begin(catalog_id, backup_id)

    bench.backups.begin = slow  # type: ignore[method-assign]
    await bench.record.create_generation(generation())
    await bench.record.write("default", [write("a", PHOTOS[0]), write("b", PHOTOS[1])])
    copies = [
        await backups.create("default", bench.backups, jobs, backups.Quota(), now=n, request_id="")
        for n in (1, 2)
    ]

    async def succeeded(*asked: Job) -> bool:
        return {(await jobs.get(each.id)).state for each in asked} == {JobState.SUCCEEDED}

    async with bench.working():
        await until(lambda: len(under_way) == 1)
        others = (
            await jobs.create(deletions.CLOSE_IMPORT, "default", {"before": 2, "count": 1}),
            await rebuild.ask("default", "", bench.record, jobs, request_id=""),
            await generations.backfill("default", "visual-1", bench.record, jobs, request_id=""),
        )
        await until(lambda: succeeded(*others))
        assert len(under_way) == 1
        go_on.set()
        await until(lambda: succeeded(*copies))
        assert under_way == [each.params["backup_id"] for each in copies]


async def test_what_would_begin_when_leading_is_over_is_cancelled(bench: Bench) -> None:
    """Cancel the step: a vendor's code may swallow the cancellation of the step that calls it."""
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
    with pytest.raises(asyncio.CancelledError):
        tasks.start(asyncio.sleep(0))
