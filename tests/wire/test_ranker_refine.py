"""Clicks on searches by photo over real gRPC: recorded with consent, learned from, and sent to the
retriever as sums."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from ranker.adapters.retriever import Catalog, SpaceFits
from ranker.domain.errors import PhotoClicksTooFew, RefinementFailed
from ranker.domain.refinement import REFINE
from ranker.learning.refine_space import RefineSpace
from ranker.record.photo_clicks import PhotoClickRecord
from ranker.record.tables import JOBS
from servicekit.jobs.queue import Job, JobCancelled, Jobs, JobState
from sightline.common.v1 import (
    event_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    vector_pb2,
)
from sightline.ranker.v1 import model_service_pb2, ranking_service_pb2
from sightline.ranker.v1 import privacy_service_pb2 as privacy_pb
from sightline.ranker.v1 import privacy_service_pb2_grpc as privacy_grpc
from sightline.retriever.v1 import (
    fit_service_pb2,
    fit_service_pb2_grpc,
    vector_service_pb2_grpc,
)
from tests.fakes.ranker import FakeVectors
from tests.wire.ranker_suite import PRODUCTS, Suite, event, suite

__all__ = ["suite"]

SHOPPERS = 12
VECTORS = {
    each.product_id: np.random.default_rng(row).normal(size=8).astype("<f4").tolist()
    for row, each in enumerate(PRODUCTS)
}


class FakeFits(fit_service_pb2_grpc.FitServiceServicer):
    """Fits at once, in the state that a test sets. `then` is called with each request."""

    def __init__(self) -> None:
        self.asked = list[fit_service_pb2.RefineSpaceRequest]()
        self.then: Callable[[], Awaitable[object]] | None = None
        self.cancelled = list[str]()
        self.state = job_pb2.Job.STATE_SUCCEEDED

    async def RefineSpace(
        self, request: fit_service_pb2.RefineSpaceRequest, context: object
    ) -> job_pb2.Job:
        self.asked.append(request)
        if self.then is not None:
            await self.then()
        return job_pb2.Job(job_id="retriever/1", kind="fit")


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """Has the job of the fit."""

    def __init__(self, fits: FakeFits) -> None:
        self.fits = fits

    async def GetJob(self, request: object, context: object) -> job_pb2.Job:
        found = job_pb2.Job(job_id="retriever/1", state=self.fits.state)
        if self.fits.state == job_pb2.Job.STATE_SUCCEEDED:
            found.results.add(name="space_version", value="v2")
        else:
            found.error.message = "no photos"
        return found

    async def CancelJob(
        self, request: job_service_pb2.CancelJobRequest, context: object
    ) -> job_pb2.Job:
        self.fits.cancelled.append(request.job_id)
        return job_pb2.Job(job_id=request.job_id)


@asynccontextmanager
async def retriever(fits: FakeFits) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    fit_service_pb2_grpc.add_FitServiceServicer_to_server(fits, server)
    job_service_pb2_grpc.add_JobServiceServicer_to_server(FakeJobs(fits), server)
    vectors = FakeVectors(VECTORS)
    vector_service_pb2_grpc.add_VectorServiceServicer_to_server(vectors, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def refine(suite: Suite, fits: FakeFits) -> dict[str, str]:
    """Ask for a refinement, and do the job."""
    request = model_service_pb2.RefineSpaceRequest()
    asked = await suite.models.RefineSpace(request)
    assert (await suite.models.RefineSpace(request)).job_id == asked.job_id
    jobs = Jobs(suite.database, JOBS)
    job = await jobs.claim((REFINE,), "me", 60)
    assert isinstance(job, Job)
    async with retriever(fits) as channel:
        given = (PhotoClickRecord(suite.database), Catalog(channel), SpaceFits(channel), jobs)
        try:
            result = await RefineSpace(*given, asyncio.Event()).run(job)
        except Exception as error:
            await jobs.fail(job, error)
            raise
    await jobs.finish(job, result)
    return result


async def search_and_click(suite: Suite, number: int, *, consents: bool) -> None:
    """Search by ten photos as one shopper, and click another product in each answer."""
    who = event_pb2.Shopper(user_id=f"shopper {number}")
    if consents:
        async with grpc.aio.insecure_channel(suite.target) as channel:
            await privacy_grpc.PrivacyServiceStub(channel).SetConsent(
                privacy_pb.SetConsentRequest(shopper=who, given=["PURPOSE_PHOTOS"], source="a test")
            )
    draw = np.random.default_rng(number)
    for turn in range(10):
        clicked = PRODUCTS[(number + turn) % len(PRODUCTS)].product_id
        photo = np.array(VECTORS[clicked]) + draw.normal(size=8) * 0.2
        vector = vector_pb2.Vector(
            space="visual", space_version="v1", dimension=8, data=photo.astype("<f4").tobytes()
        )
        draft = ranking_service_pb2.AnswerDraft(answer_id=f"a{number}-{turn}", photo=vector)
        await suite.rank(shopper=who, record=draft)
        await suite.append(event(clicked, "CLICK", shopper=who, answer_id=draft.answer_id))


@pytest.mark.full
async def test_a_space_is_refined_by_clicks_of_those_who_consent(suite: Suite) -> None:
    for number in range(SHOPPERS):
        await search_and_click(suite, number, consents=number != 3)
    await suite.stored()
    fits = FakeFits()
    result = await refine(suite, fits)
    assert result == {
        "space_version": "v2",
        "fit_job_id": "retriever/1",
        "click_count": "110",
        "shopper_count": "11",
    }
    (sent,) = fits.asked
    assert (sent.catalog_id, len(sent.request_id)) == ("default", 36)
    learned = sent.refinement
    assert (learned.space_version, learned.dimension, learned.columns) == ("v1", 8, 8)
    assert np.isfinite(np.frombuffer(learned.matrix, "<f4").reshape(8, 8)).all()
    assert (learned.click_count, learned.shopper_count) == (110, 11)
    assert learned.hit_low <= learned.hit <= learned.hit_high
    assert b"shopper" not in sent.SerializeToString()

    fits.state = job_pb2.Job.STATE_FAILED
    with pytest.raises(RefinementFailed, match="no photos"):
        await refine(suite, fits)


@pytest.mark.full
async def test_a_refinement_and_its_fit_are_cancelled_together(suite: Suite) -> None:
    for number in range(10):
        await search_and_click(suite, number, consents=True)
    await suite.stored()
    fits = FakeFits()
    fits.state = job_pb2.Job.STATE_CANCELLED
    with pytest.raises(JobCancelled):
        await refine(suite, fits)
    jobs = Jobs(suite.database, JOBS)
    (ended,) = await jobs.list(kinds=(REFINE,))
    assert ended.state is JobState.CANCELLED, "as its fit"

    fits = FakeFits()
    fits.state = job_pb2.Job.STATE_RUNNING
    fits.then = lambda: jobs.cancel(fits.asked[0].request_id)
    with pytest.raises(JobCancelled):
        await refine(suite, fits)
    assert fits.cancelled == ["retriever/1"]


async def test_without_consent_nothing_is_learned_or_sent(suite: Suite) -> None:
    await search_and_click(suite, 0, consents=False)
    await suite.stored()
    fits = FakeFits()
    with pytest.raises(PhotoClicksTooFew, match=r"^0 clicks of 0 shoppers"):
        await refine(suite, fits)
    assert fits.asked == []
