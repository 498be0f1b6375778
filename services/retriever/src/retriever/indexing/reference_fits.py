"""Fit of a reference of good pieces, as a job of the worker. The embedder has the photos. A
restarted job fits them again, or gets the version that was fitted already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from retriever.domain.errors import FitRunning
from retriever.domain.jobs import Progress, reporting
from retriever.domain.reference_fits import ReferencePlan
from retriever.ports.embedder import ReferenceTrainer
from servicekit.errors import FieldViolation
from servicekit.jobs.queue import Job, Jobs
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import REFERENCE_ID, REFERENCE_ID_WANTED

FIT_REFERENCE: Final = "fit_reference"
KINDS: Final = (FIT_REFERENCE,)
MOST_OPEN: Final = 8
"""Fits of a catalog that wait or run, at most: it has as many drafts."""
MOST_PRODUCT_ID: Final = 128


@dataclass(frozen=True, slots=True)
class ReferenceTools:
    """Collaborators of the job."""

    trainer: ReferenceTrainer
    jobs: Jobs


def check(given: ReferencePlan) -> None:
    """Raise RequestInvalid unless a reference may be fitted like this."""
    checks = {
        "reference_id": (REFERENCE_ID.fullmatch(given.reference_id), REFERENCE_ID_WANTED),
        "product_id": (
            len(given.product_id) <= MOST_PRODUCT_ID,
            f"has more than {MOST_PRODUCT_ID} characters",
        ),
    }
    if bad := [FieldViolation(name, wrong) for name, (good, wrong) in checks.items() if not good]:
        raise RequestInvalid(*bad)


async def ask(catalog_id: str, wanted: ReferencePlan, jobs: Jobs, *, request_id: str) -> Job:
    """Request the fit of a reference. Return the job, which may be one that is running already.

    Raises FitRunning if the catalog has too many of them.
    """

    def decide(found: Sequence[Job]) -> Job | None:
        for job in found:
            if job.given(ReferencePlan).reference_id == wanted.reference_id:
                return job
        if len(found) >= MOST_OPEN:
            raise FitRunning(f"{MOST_OPEN} references are being fitted")
        return None

    return await jobs.create(FIT_REFERENCE, catalog_id, wanted, request_id, decide=decide)


async def fit(job: Job, deps: ReferenceTools) -> Mapping[str, Any]:
    """Do a job of this kind. Return its results.

    Raises JobCancelled, JobClaimLost, EmbedderUnavailable, and why the embedder can't fit the
    reference.
    """
    progress = Progress()
    return await reporting(_fit(job, deps, progress), job, progress, deps.jobs)


async def _fit(job: Job, deps: ReferenceTools, progress: Progress) -> Mapping[str, Any]:
    wanted = job.given(ReferencePlan)
    async for state in deps.trainer.fit_reference(job.catalog_id, wanted):
        progress.done, progress.total = state.done, state.total
        if state.version:
            found = {"reference_id": wanted.reference_id, "version": state.version}
            return found | ({"verdict": state.verdict} if state.verdict else {})
    raise RuntimeError("the embedder fitted a reference but returned no version")
