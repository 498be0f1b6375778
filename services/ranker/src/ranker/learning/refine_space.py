"""Refines the catalog's visual space by clicks on searches by photo: a job of the worker.

Vectors of photos and who clicked stay in this process. The retriever gets a matrix of sums over
many shoppers and figures about it, and has the embedder fit the refined space. The job is safe to
repeat: the fit is requested under the job's id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ranker.adapters.retriever import Catalog, SpaceFits
from ranker.domain.arrays import Floats, Ints
from ranker.domain.errors import Interrupted, PhotoClicksTooFew
from ranker.domain.features import PhotoVectors
from ranker.domain.photo_clicks import LEAST_CLICKS, PhotoClick, PhotoClicks, weighed
from ranker.domain.refinement import Refinement
from ranker.learning import photo_map
from ranker.learning.feedback.answered import photo_clicks
from ranker.record.photo_clicks import PhotoClickRecord
from servicekit.clock import now_micros
from servicekit.errors import DeadlineExceeded, ServiceError, Unavailable
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.telemetry import get_logger

RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RefineSpace:
    """The job's collaborators."""

    record: PhotoClickRecord
    catalog: Catalog
    fits: SpaceFits
    jobs: Jobs
    stop: asyncio.Event

    async def run(self, job: Job) -> dict[str, str]:
        """Run the job and return its result.

        Raises what `jobs.progress` does, Interrupted on `stop`, PhotoClicksTooFew, and errors of
        the retriever.
        """
        refinement = await self._learned(job)
        fit = await self._ask(job, lambda: self.fits.refine(job.catalog_id, refinement, job.id))
        try:
            result = await self._fitted(job, fit)
        except JobCancelled:
            await self._cancel(job, fit)
            raise
        return {
            **result,
            "fit_job_id": fit,
            "click_count": str(refinement.click_count),
            "shopper_count": str(refinement.shopper_count),
        }

    async def _learned(self, job: Job) -> Refinement:
        products = await self._ask(job, lambda: self.catalog.vectors(job.catalog_id))
        if products is None:
            raise PhotoClicksTooFew(0, 0, LEAST_CLICKS)
        batches = self.record.clicked(job.catalog_id, products.space_version, now_micros())
        return await asyncio.to_thread(learn, await photo_clicks(batches), products)

    async def _fitted(self, job: Job, fit: str) -> Mapping[str, str]:
        """Wait for the retriever's job, and return its results."""
        fits, catalog_id = self.fits, job.catalog_id
        while (result := await self._ask(job, lambda: fits.result(catalog_id, fit))) is None:
            await self._progress(job)
            await asyncio.sleep(LOOK_SECONDS)
        return result

    async def _cancel(self, job: Job, fit: str) -> None:
        """Cancel the retriever's job too. Waits for a retriever that does not answer; any other
        error is logged, so that this job ends in any case."""
        log = get_logger().bind(job_id=job.id, fit_job_id=fit)
        while not self.stop.is_set():
            try:
                return await self.fits.cancel(job.catalog_id, fit)
            except (Unavailable, DeadlineExceeded) as error:
                log.warning("cancellation of a fit waits", reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            except ServiceError as error:
                log.warning("fit not cancelled", reason=error.reason)
                return None

    async def _ask(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:
        """Call the retriever until it answers, and return the answer."""
        while True:
            if self.stop.is_set():
                raise Interrupted
            try:
                return await call()
            except (Unavailable, DeadlineExceeded) as error:
                get_logger().warning("refinement waits", job_id=job.id, reason=error.reason)
                await self._progress(job)
                await asyncio.sleep(RETRY_SECONDS)

    async def _progress(self, job: Job) -> None:
        await self.jobs.progress(job, 0, 1)


def learn(clicks: Sequence[PhotoClick], products: PhotoVectors) -> Refinement:
    """Learn and measure the refinement. Clicks on products without a vector are left out. Raises
    PhotoClicksTooFew."""
    row = {item: place for place, item in enumerate(products.product_ids)}
    size = 4 * products.vectors.shape[1]
    used = weighed(one for one in clicks if one.product_id in row and len(one.vector) == size)
    if len(used.product_ids) < LEAST_CLICKS:
        raise PhotoClicksTooFew(len(used.product_ids), used.shopper_count, LEAST_CLICKS)
    rows = np.array([row[item] for item in used.product_ids])
    return _refinement(used, rows, products.vectors, products.space_version)


def _refinement(clicks: PhotoClicks, rows: Ints, products: Floats, version: str) -> Refinement:
    given = (clicks.vectors, products[rows], clicks.weights)
    return Refinement(
        version,
        photo_map.refined(*given, products),
        click_count=len(rows),
        shopper_count=clicks.shopper_count,
        gain=photo_map.measured(clicks, rows, products),
    )
