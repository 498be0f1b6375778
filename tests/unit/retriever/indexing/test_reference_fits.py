"""Fits of references as jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from retriever.adapters.embedder import EmbedderClient
from retriever.domain.errors import EmbedderUnavailable, FitRunning
from retriever.domain.fit_plan import FitProgress, ReferencePlan
from retriever.indexing import fits
from retriever.indexing.fits import MOST_OPEN
from retriever.wiring import job_queue
from servicekit.errors import FailedPrecondition, ServiceError
from servicekit.jobs.queue import Job, Jobs, JobState
from servicekit.rpc.interceptors import ObservedServer
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline.embedder.v1 import inspection_service_pb2 as pb
from sightline.embedder.v1 import inspection_service_pb2_grpc
from tests.unit.retriever.workers.conftest import Bench
from tests.waiting import SECONDS, until

PLAN = ReferencePlan("bottle", "wine-1")


async def ask(jobs: Jobs, name: str = "bottle", request_id: str = "") -> Job:
    return await fits.ask_reference(
        "default", ReferencePlan(name, "wine-1"), jobs, request_id=request_id
    )


async def ended(jobs: Jobs, job: Job, state: JobState) -> Job:
    async def reached() -> bool:
        return (await jobs.get(job.id)).state is state

    await until(reached)
    return await jobs.get(job.id)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (ReferencePlan("", ""), "reference_id"),
        (ReferencePlan("../x", ""), "reference_id"),
        (ReferencePlan("A", ""), "reference_id"),
        (ReferencePlan("a", "p" * 129), "product_id"),
    ],
)
def test_what_is_out_of_range_is_named(plan: ReferencePlan, field: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        fits.check(plan)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_reference_has_one_job_at_a_time_and_a_catalog_a_bounded_number(
    db: Database,
) -> None:
    jobs = job_queue(db)
    first = await ask(jobs, request_id="r1")
    assert (await ask(jobs, request_id="r2")).id == first.id
    others = [await ask(jobs, f"b{number}") for number in range(MOST_OPEN - 1)]
    assert len({first.id, *(each.id for each in others)}) == MOST_OPEN
    with pytest.raises(FitRunning, match="references"):
        await ask(jobs, "another")
    await jobs.cancel(first.id)
    assert (await ask(jobs, request_id="r1")).id == first.id
    assert (await ask(jobs, request_id="r3")).id != first.id


@pytest.mark.parametrize("verdict", ["", "BETTER"])
async def test_a_job_ends_with_the_version_and_the_verdict(db: Database, verdict: str) -> None:
    bench, jobs = Bench(db), job_queue(db)
    bench.embedder.reference_verdict = verdict
    async with bench.working():
        job = await ended(jobs, await ask(jobs), JobState.SUCCEEDED)
    said = {"verdict": verdict} if verdict else {}
    assert dict(job.result) == {"reference_id": "bottle", "version": "e" * 16} | said
    assert bench.embedder.fitted_references == [PLAN]


async def test_progress_is_seen_and_a_cancelled_job_ends(db: Database) -> None:
    bench, jobs = Bench(db), job_queue(db)
    bench.embedder.fit_lasts = True
    async with bench.working():
        job = await ask(jobs)

        async def begun() -> bool:
            return (await jobs.get(job.id)).done == 32

        await until(begun)
        await jobs.cancel(job.id)
        await ended(jobs, job, JobState.CANCELLED)
    assert bench.embedder.fitted_references == []


async def test_a_job_of_a_worker_that_was_killed_is_done_by_the_next(db: Database) -> None:
    bench, jobs = Bench(db), job_queue(db)
    job = await ask(jobs)
    taken = await jobs.claim([fits.FIT_REFERENCE], "killed", 0.01)
    assert taken is not None
    async with bench.working("next"):
        found = await ended(jobs, job, JobState.SUCCEEDED)
    assert (found.attempts, found.result["version"]) == (2, "e" * 16)


@pytest.mark.slow
async def test_a_job_waits_for_the_embedder(db: Database) -> None:
    bench, jobs = Bench(db), job_queue(db)
    bench.embedder.unfit = [EmbedderUnavailable()]
    async with bench.working():
        await ended(jobs, await ask(jobs), JobState.SUCCEEDED)
    assert bench.embedder.fitted_references == [PLAN]


async def test_a_job_fails_with_the_embedders_reason(db: Database) -> None:
    bench, jobs = Bench(db), job_queue(db)
    bench.embedder.unfit = [FailedPrecondition("two things", reason="REFERENCE_MIXED")]
    async with bench.working():
        job = await ended(jobs, await ask(jobs), JobState.FAILED)
    assert job.error_reason == "REFERENCE_MIXED"


# On the wire


class Trainer(inspection_service_pb2_grpc.InspectionServiceServicer):
    """An embedder that fits references."""

    def __init__(self) -> None:
        self.asked: list[pb.RunReferenceFitRequest] = []
        self.error: ServiceError | None = None
        self.fitted = pb.InspectionReference(version="e" * 16)
        self.lasts = False
        self.ended = asyncio.Event()

    async def RunReferenceFit(
        self, request: pb.RunReferenceFitRequest, context: object
    ) -> AsyncIterator[pb.RunReferenceFitResponse]:
        self.asked.append(request)
        try:
            yield pb.RunReferenceFitResponse(done=32, total=84)
            if self.lasts:
                await asyncio.Event().wait()
            if self.error:
                raise self.error
            yield pb.RunReferenceFitResponse(done=84, total=84, reference=self.fitted)
        finally:
            self.ended.set()


@pytest.fixture
async def trainer() -> AsyncIterator[tuple[Trainer, EmbedderClient]]:
    made = Trainer()
    server = grpc.aio.server()
    inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server(
        made, ObservedServer(server, "embedder")
    )
    client = EmbedderClient(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", seconds=5)
    await server.start()
    yield made, client
    await client.close()
    await server.stop(None)


async def test_the_embedder_reports_progress_and_the_version(
    trainer: tuple[Trainer, EmbedderClient],
) -> None:
    server, client = trainer
    server.fitted.evaluation.verdict = pb.ReferenceEvaluation.VERDICT_WORSE
    reported = [each async for each in client.fit_reference("shop", PLAN)]
    assert reported == [
        FitProgress(32, total=84),
        FitProgress(84, version="e" * 16, verdict="WORSE", total=84),
    ]
    (asked,) = server.asked
    assert (asked.catalog_id, asked.reference_id, asked.product_id) == ("shop", "bottle", "wine-1")


async def test_a_fit_that_is_given_up_ends_in_the_embedder(
    trainer: tuple[Trainer, EmbedderClient],
) -> None:
    server, client = trainer
    server.lasts = True

    async def fit() -> None:
        async for _ in client.fit_reference("shop", PLAN):
            pass

    task = asyncio.create_task(fit())
    await until(lambda: bool(server.asked))
    task.cancel()
    await asyncio.wait_for(server.ended.wait(), SECONDS)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("REFERENCE_MIXED", FailedPrecondition), ("FIT_IN_PROGRESS", EmbedderUnavailable)],
)
async def test_why_no_reference_was_fitted_comes_back(
    trainer: tuple[Trainer, EmbedderClient], reason: str, kind: type[ServiceError]
) -> None:
    server, client = trainer
    server.error = FailedPrecondition("no", reason=reason)
    with pytest.raises(kind):
        [each async for each in client.fit_reference("shop", PLAN)]
