"""Fits of references as jobs of the worker, by the keys of catalogs. A restarted job fits again, or
returns what was fitted already."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from servicekit.errors import FieldViolation, ServiceError, Unavailable
from servicekit.jobs.queue import Job, JobCancelled, Jobs
from servicekit.jobs.reporting import Progress, reporting
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages, get_logger
from sightline_rules.ids import REFERENCE_ID, REFERENCE_ID_WANTED
from vision.domain.catalog_keys import KeyOf, catalog_of
from vision.domain.errors import FitInProgress
from vision.domain.references import MOST_DRAFTS, ReferenceProgress
from vision.inspection.references import References

FIT_REFERENCE: Final = "fit_reference"
MOST_PRODUCT_ID: Final = 128
"""Characters of a product's id, at most."""
RETRY_SECONDS: Final = 1.0
_WAITS: Final = frozenset({"EMBED_QUEUE_FULL", "MODEL_NOT_READY"})
"""Reasons for which a job waits, beside those of services that do not answer."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """Parameters of fitting a reference; see StartReferenceFitRequest."""

    reference_id: str
    product_id: str
    """Product that the pieces are; empty: none."""


def check(given: ReferencePlan) -> None:
    """Raise RequestInvalid unless a reference may be fitted like this."""
    long = f"has more than {MOST_PRODUCT_ID} characters"
    checks = {
        "reference_id": (REFERENCE_ID.fullmatch(given.reference_id), REFERENCE_ID_WANTED),
        "product_id": (len(given.product_id) <= MOST_PRODUCT_ID, long),
    }
    if bad := [FieldViolation(name, wrong) for name, (good, wrong) in checks.items() if not good]:
        raise RequestInvalid(*bad)


async def ask(key: str, wanted: ReferencePlan, jobs: Jobs, *, request_id: str) -> Job:
    """Request the fit of a reference. Return the job, which may be one that is running already.

    Raises FitInProgress if the catalog has too many of them: it has as many drafts.
    """

    def decide(found: Sequence[Job]) -> Job | None:
        for job in found:
            if job.given(ReferencePlan).reference_id == wanted.reference_id:
                return job
        if len(found) >= MOST_DRAFTS:
            raise FitInProgress(f"{MOST_DRAFTS} references of the catalog are")
        return None

    return await jobs.create(FIT_REFERENCE, key, wanted, request_id, decide=decide)


@dataclass(frozen=True, slots=True)
class FitJobs:
    """Runs the jobs."""

    references: References
    jobs: Jobs
    key_of: KeyOf

    async def fit(self, job: Job) -> Mapping[str, Any]:
        """Do a job. Return its results. It waits for the embedder and the store.

        Raises JobCancelled, JobClaimLost, and why no reference can be fitted.
        """
        if self.key_of(catalog_of(job.catalog_id)) != job.catalog_id:
            raise JobCancelled(job.id)  # the catalog was removed, and another has its id
        return await reporting(partial(self._patiently, job), job, self.jobs)

    async def _patiently(self, job: Job, progress: Progress) -> Mapping[str, Any]:
        while True:
            try:
                return await self._fit(job, progress)
            except ServiceError as error:
                if not isinstance(error, Unavailable) and error.reason not in _WAITS:
                    raise
                log.warning("job waits", job=job.id, kind=job.kind, reason=error.reason)
                await asyncio.sleep(RETRY_SECONDS)

    async def _fit(self, job: Job, progress: Progress) -> Mapping[str, Any]:
        wanted, catalog = job.given(ReferencePlan), catalog_of(job.catalog_id)
        asked = catalog, wanted.reference_id, wanted.product_id
        async with aclosing(self.references.fit(*asked, Stages())) as steps:
            async for step in steps:
                progress.done, progress.total = step.done, step.total
                if step.fitted is not None:
                    return _result(step)
        raise RuntimeError("a fit ended and gave no version")


def _result(step: ReferenceProgress) -> Mapping[str, Any]:
    made = None if step.fitted is None else step.fitted.manifest
    if made is None:
        raise RuntimeError("a fit gave a draft")
    judged = {} if made.evaluation is None else {"verdict": made.evaluation.verdict.value}
    return {"reference_id": made.reference_id, "version": made.version, **judged}
