import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.errors import Unavailable
from servicekit.jobs.job_limits import MOST_OPEN, MOST_OPEN_EACH, JobsFull
from servicekit.jobs.queue import Job, JobCancelled, JobClaimLost, JobNotFound, Jobs, JobState
from servicekit.sql.database import Database
from tests.fakes.kit_clock import Clock
from tests.fakes.kit_store import JOBS
from tests.waiting import until


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    """Reset the caller, which another test of this process may have set."""
    token = access.caller.set(access.ANYONE)
    yield
    access.caller.reset(token)


@pytest.fixture
def board(db: Database, clock: Clock) -> Jobs:
    return Jobs(db, JOBS, clock=clock, max_attempts=3)


@pytest.fixture
def other(db: Database, clock: Clock) -> Jobs:
    """Return the jobs of another worker's process."""
    return Jobs(db, JOBS, clock=clock, max_attempts=3)


async def claimed(board: Jobs, worker: str = "w1", seconds: float = 30) -> Job:
    job = await board.claim(["train"], worker, seconds)
    assert job is not None
    return job


async def test_a_job_goes_from_pending_to_succeeded_with_its_result(board: Jobs) -> None:
    made = await board.create("train", "default", {"epochs": 3}, "r-1")
    assert (made.state, made.params, made.started_time) == (JobState.PENDING, {"epochs": 3}, 0)
    running = await claimed(board)
    assert (running.id, running.state, running.owner) == (made.id, JobState.RUNNING, "w1")
    await board.progress(running, 1, 3)
    halfway = await board.get(made.id)
    assert (halfway.done, halfway.total) == (1, 3)
    await board.finish(running, {"version": "v1"})
    ended = await board.get(made.id)
    assert (ended.state, ended.result) == (JobState.SUCCEEDED, {"version": "v1"})
    assert made.created_time < ended.started_time < ended.finished_time
    assert await board.claim(["train"], "w1", 30) is None


async def test_an_idle_worker_takes_no_lock(
    board: Jobs, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(db, "write", None)
        assert await board.claim(["train"], "w1", 30) is None
    await board.create("train", "default", {})
    await claimed(board)


async def test_a_catalog_has_so_many_open_jobs_of_a_kind_and_no_more(board: Jobs) -> None:
    made = [await board.create("train", "default", {}, f"r-{n}") for n in range(MOST_OPEN)]
    with pytest.raises(JobsFull):
        await board.create("train", "default", {}, "one more")
    assert await board.create("train", "default", {}, "r-1") == made[1]
    await board.create("export", "default", {}, "another kind")
    await board.create("train", "wines", {}, "another catalog")
    await board.cancel(made[0].id)
    await board.create("train", "default", {}, "one more")


async def test_a_caller_has_half_of_the_open_jobs_of_a_catalog_at_most(board: Jobs) -> None:
    access.caller.set(Caller("import", frozenset(Role)))
    made = [await board.create("train", "default", {}) for _ in range(MOST_OPEN_EACH)]
    with pytest.raises(JobsFull, match="50 such jobs of one caller"):
        await board.create("train", "default", {})
    await board.create("train", "wines", {})
    access.caller.set(Caller("shop", frozenset(Role)))
    assert (await board.create("train", "default", {})).caller == "shop"
    await board.cancel(made[0].id)
    access.caller.set(Caller("import", frozenset(Role)))
    await board.create("train", "default", {})


@pytest.mark.parametrize("who", [access.ANYONE, access.PEER])
async def test_whose_jobs_nobody_knows_have_all_places(board: Jobs, who: Caller) -> None:
    access.caller.set(who)
    made = [await board.create("train", "default", {}) for _ in range(MOST_OPEN)]
    assert {job.caller for job in made} == {""}


async def test_a_request_makes_one_job_however_often_it_comes(board: Jobs, other: Jobs) -> None:
    made = await asyncio.gather(
        *(b.create("train", "default", {}, "r-1") for b in (board, other) for _ in range(10))
    )
    assert len({job.id for job in made}) == 1
    again = await board.create("train", "default", {"other": True}, "r-1")
    assert again.params == {}


@pytest.mark.parametrize(
    ("kind", "catalog", "request_id"),
    [("evaluate", "default", "r-1"), ("train", "shoes", "r-1"), ("train", "default", "r-2")],
)
async def test_another_kind_catalog_or_request_makes_another_job(
    board: Jobs, kind: str, catalog: str, request_id: str
) -> None:
    first = await board.create("train", "default", {}, "r-1")
    assert (await board.create(kind, catalog, {}, request_id)).id != first.id


async def test_a_request_finds_the_job_that_it_made(board: Jobs, other: Jobs) -> None:
    made = await board.create("train", "shop", {}, "r")
    assert await other.find("train", "shop", "r") == made
    for kind, catalog, request in (
        ("publish", "shop", "r"),
        ("train", "default", "r"),
        ("train", "shop", "R"),
    ):
        assert await board.find(kind, catalog, request) is None


async def test_jobs_without_a_request_id_are_all_new(board: Jobs) -> None:
    first = await board.create("train", "default", {})
    assert (await board.create("train", "default", {})).id != first.id


async def test_a_job_is_claimed_by_one_worker_only(board: Jobs, other: Jobs) -> None:
    await board.create("train", "default", {}, "r-1")
    both = await asyncio.gather(board.claim(["train"], "w1", 30), other.claim(["train"], "w2", 30))
    assert sum(job is not None for job in both) == 1


async def test_the_oldest_job_of_the_kinds_asked_for_comes_first(board: Jobs) -> None:
    await board.create("publish", "default", {}, "r-0")
    first = await board.create("train", "default", {}, "r-1")
    await board.create("train", "default", {}, "r-2")
    assert (await claimed(board)).id == first.id


async def test_an_urgent_job_comes_before_older_ones(db: Database, clock: Clock) -> None:
    jobs = Jobs(db, JOBS, clock=clock, urgent=("erase", "purge"))
    made = [
        (await jobs.create(kind, "default", {})).id
        for kind in ("train", "evaluate", "purge", "train", "erase")
    ]
    taken = list[str]()
    while job := await jobs.claim(["train", "evaluate", "erase", "purge"], "w1", 30):
        taken.append(job.id)
    assert taken == [made[place] for place in (2, 4, 0, 1, 3)]


async def test_the_job_of_a_killed_worker_is_taken_up_after_its_lease(
    board: Jobs, other: Jobs, clock: Clock
) -> None:
    made = await board.create("train", "default", {}, "r-1")
    first = await claimed(board, "w1", 30)
    await board.progress(first, 5, 9)
    clock.skip(29)
    assert await other.claim(["train"], "w2", 30) is None
    clock.skip(2)
    taken = await claimed(other, "w2", 30)
    assert (taken.id, taken.owner, taken.attempts, taken.done) == (made.id, "w2", 2, 5)
    for late in (board.progress(first, 6, 9), board.finish(first, {"by": "w1"})):
        with pytest.raises(JobClaimLost):
            await late
    await other.finish(taken, {"by": "w2"})
    assert (await board.get(made.id)).result == {"by": "w2"}


async def test_a_worker_that_stood_still_and_claimed_its_job_again_works_on_it_once(
    board: Jobs, clock: Clock
) -> None:
    made = await board.create("train", "default", {}, "r-1")
    first = await claimed(board, "w1", 30)
    clock.skip(31)
    second = await claimed(board, "w1", 30)
    assert (second.id, second.owner, second.attempts) == (first.id, first.owner, 2)
    for late in (board.progress(first, 1, 2), board.finish(first), board.fail(first, ValueError())):
        with pytest.raises(JobClaimLost):
            await late
    await board.progress(second, 2, 2)
    await board.finish(second, {"by": "the second"})
    assert (await board.get(made.id)).result == {"by": "the second"}


async def test_what_belongs_to_a_job_is_written_with_it_once(board: Jobs, db: Database) -> None:
    made: list[str] = []

    def note(connection: Connection, job: Job) -> None:
        assert connection.execute(sa.select(JOBS.c.id)).scalars().all() == [job.id]
        made.append(job.id)

    def refuse(connection: Connection, job: Job) -> None:
        raise JobsFull(1, "")

    with pytest.raises(JobsFull):
        await board.create("train", "default", {}, "r-1", beside=refuse)
    assert await board.list() == (), "neither is written without the other"
    job = await board.create("train", "default", {}, "r-1", beside=note)
    assert await board.create("train", "default", {}, "r-1", beside=note) == job
    assert made == [job.id]


async def test_progress_renews_the_claim(board: Jobs, other: Jobs, clock: Clock) -> None:
    await board.create("train", "default", {}, "r-1")
    job = await claimed(board, "w1", 30)
    for done in range(5):
        clock.skip(20)
        await board.progress(job, done, 5)
        assert await other.claim(["train"], "w2", 30) is None


async def test_a_long_step_keeps_its_claim_while_renewing(
    board: Jobs, other: Jobs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals, write = 0, Jobs._mine

    async def counted(jobs: Jobs, job: Job, values: Mapping[str, Any]) -> None:
        nonlocal renewals
        await write(jobs, job, values)
        renewals += 1

    monkeypatch.setattr(Jobs, "_mine", counted)
    await board.create("train", "default", {}, "r-1")
    job = await claimed(board, "w1", 0.3)
    async with board.renewing(job):
        for _ in range(3):
            clock.skip(0.2)
            before = renewals
            await until(lambda before=before: renewals > before + 1)  # one may be under way
            assert await other.claim(["train"], "w2", 30) is None
    clock.skip(0.4)
    assert await other.claim(["train"], "w2", 30) is not None


async def test_work_that_is_cancelled_as_its_claim_is_let_go_is_cancelled(
    board: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stored = asyncio.Event(), asyncio.Event()

    async def renew(*_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await stored.wait()

    monkeypatch.setattr(Jobs, "_mine", renew)
    await board.create("train", "default", {}, "r-1")
    job, went_on = await claimed(board, seconds=0.0), list[str]()

    async def work() -> None:
        async with board.renewing(job):
            await begun.wait()
        went_on.append("further")

    working = asyncio.create_task(work())
    await begun.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    working.cancel()
    stored.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert not went_on


async def test_a_job_that_kills_every_worker_fails_at_last(board: Jobs, clock: Clock) -> None:
    made = await board.create("train", "default", {}, "r-1")
    for _ in range(3):
        await claimed(board)
        clock.skip(31)
    assert await board.claim(["train"], "w1", 30) is None
    ended = await board.get(made.id)
    assert (ended.state, ended.error_reason) == (JobState.FAILED, "JOB_ATTEMPTS_EXHAUSTED")


async def test_a_waiting_job_is_cancelled_at_once(board: Jobs) -> None:
    made = await board.create("train", "default", {}, "r-1")
    assert (await board.cancel(made.id)).state is JobState.CANCELLED
    assert await board.claim(["train"], "w1", 30) is None


async def test_a_running_job_hears_of_its_cancellation_at_its_next_progress(board: Jobs) -> None:
    made = await board.create("train", "default", {}, "r-1")
    job = await claimed(board)
    asked = await board.cancel(made.id)
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    with pytest.raises(JobCancelled) as caught:
        await board.progress(job, 1, 2)
    await board.fail(job, caught.value)
    assert (await board.get(made.id)).state is JobState.CANCELLED


async def test_a_cancelled_job_whose_worker_died_is_not_taken_up(
    board: Jobs, other: Jobs, clock: Clock
) -> None:
    made = await board.create("train", "default", {}, "r-1")
    await claimed(board)
    await board.cancel(made.id)
    clock.skip(31)
    assert await other.claim(["train"], "w2", 30) is None
    assert (await other.get(made.id)).state is JobState.CANCELLED


async def test_a_cancel_that_comes_too_late_changes_nothing(board: Jobs) -> None:
    made = await board.create("train", "default", {}, "r-1")
    await board.finish(await claimed(board))
    assert (await board.cancel(made.id)).state is JobState.SUCCEEDED


async def test_a_typed_failure_keeps_its_reason_and_an_untyped_one_no_text(board: Jobs) -> None:
    await board.create("train", "default", {}, "r-1")
    await board.create("train", "default", {}, "r-2")
    typed, untyped = await claimed(board), await claimed(board)
    await board.fail(typed, Unavailable("the retriever is away", reason="RETRIEVER_AWAY"))
    await board.fail(untyped, ValueError("customer 4711"))
    first, second = await board.get(typed.id), await board.get(untyped.id)
    assert (first.state, first.error_reason) == (JobState.FAILED, "RETRIEVER_AWAY")
    assert first.error_message == "the retriever is away"
    assert (second.state, second.error_reason) == (JobState.FAILED, "INTERNAL")
    assert "4711" not in second.error_message
    assert "ValueError" in second.error_message


async def test_a_job_that_does_not_exist_is_not_found(board: Jobs) -> None:
    for call in (board.get("nope"), board.cancel("nope")):
        with pytest.raises(JobNotFound):
            await call


async def test_a_job_that_was_not_claimed_has_no_progress(board: Jobs) -> None:
    made = await board.create("train", "default", {}, "r-1")
    for call in (board.progress(made, 1, 2), board.finish(made), board.fail(made, ValueError())):
        with pytest.raises(JobClaimLost):
            await call


async def test_a_list_may_leave_parameters_out(board: Jobs) -> None:
    await board.create("purge", "default", {"filter": "large"})
    (whole,), (bare,) = await board.list(), await board.list(params=False)
    assert (dict(whole.params), dict(bare.params)) == ({"filter": "large"}, {})
    assert bare.id == whole.id


async def test_a_list_is_newest_first_and_can_be_paged_and_narrowed(board: Jobs) -> None:
    ids = [(await board.create("train", "default", {}, f"r-{i}")).id for i in range(5)]
    await board.create("train", "shoes", {}, "r-9")
    await board.create("publish", "default", {}, "r-9")
    page = await board.list(catalog_id="default", kinds=["train"], limit=2)
    assert [job.id for job in page] == [ids[4], ids[3]]
    rest = await board.list(catalog_id="default", kinds=["train"], before=page[-1].id)
    assert [job.id for job in rest] == [ids[2], ids[1], ids[0]]
    running = await claimed(board)
    found = await board.list(states=[JobState.RUNNING])
    assert [job.id for job in found] == [running.id]


async def test_a_new_job_is_decided_by_the_open_ones_of_its_kind_and_catalog(board: Jobs) -> None:
    for kind, catalog in (("train", "other"), ("evaluate", "default")):
        await board.create(kind, catalog, {})
    seen = list[Sequence[Job]]()

    def decide(found: Sequence[Job]) -> Job | None:
        seen.append(found)
        return next((job for job in found if job.params == {"model": "b"}), None)

    made = [await board.create("train", "default", {"model": each}) for each in "abc"]
    assert await board.create("train", "default", {}, decide=decide) == made[1]
    await board.cancel(made[1].id)
    new = await board.create("train", "default", {}, "r", decide=decide)
    assert [[job.params.get("model") for job in found] for found in seen] == [
        ["c", "b", "a"],
        ["c", "a"],
    ]
    assert await board.create("train", "default", {}, "r", decide=decide) == new
    assert len(seen) == 2, "a repeated request has its job"


async def test_what_refuses_a_new_job_is_raised(board: Jobs) -> None:
    def decide(found: Sequence[Job]) -> None:
        raise JobNotFound("full")

    with pytest.raises(JobNotFound):
        await board.create("train", "default", {}, decide=decide)
    assert await board.list() == ()


@pytest.mark.first(2)
@pytest.mark.parametrize(
    "damaged",
    [{"params": "{"}, {"params": "null"}, {"result": "[1]"}, {"state": "PAUSED"}],
    ids=lambda values: next(iter(values.items())),
)
async def test_a_job_that_can_not_be_read_delays_no_other(
    board: Jobs, db: Database, damaged: Mapping[str, str]
) -> None:
    broken = await board.create("train", "default", {})
    await db.write(
        lambda c: c.execute(sa.update(JOBS).where(JOBS.c.id == broken.id).values(**damaged))
    )
    made = await board.create("train", "default", {}, decide=lambda found: next(iter(found), None))
    assert made.id != broken.id
    assert [each.id for each in await board.list()] == [made.id, broken.id]
    assert (await claimed(board)).id == made.id
    assert await board.claim(["train"], "w1", 30) is None


@dataclass(frozen=True)
class Plan:
    epochs: int
    tags: tuple[str, ...] = ()


async def test_a_job_gives_its_parameters_as_they_were_typed(board: Jobs) -> None:
    made = await board.create("train", "default", Plan(3, ("a",)))
    assert made.given(Plan) == Plan(3, ("a",))
    later = await board.create("train", "default", {"epochs": 3, "of_a_later_release": True})
    assert later.given(Plan) == Plan(3)
    wrong = await board.create("train", "default", {"epochs": "many"})
    with pytest.raises(ValueError, match="epochs"):
        wrong.given(Plan)
