"""Fits of a visual space on the catalog's photos, as jobs of the worker. The embedder learns; the
retriever supplies photos and their categories. A restarted job sends them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from retriever.domain.errors import FitMoved
from retriever.domain.fit_plan import FitPlan
from retriever.indexing import fit_photos
from retriever.ports.embedder import Trainer
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import FieldViolation
from servicekit.jobs.queue import Job, Jobs
from servicekit.jobs.reporting import Progress, reporting
from servicekit.rpc.requests import RequestInvalid

FIT: Final = "fit"
FIT_REFERENCE: Final = "fit_reference"
"""Kind of jobs that releases before 0.44 left: each fails, and says what to do."""
KINDS: Final = (FIT, FIT_REFERENCE)
DEFAULT_DIMENSION: Final = 256
DEFAULT_PHOTOS: Final = 50_000
MOST_TAGS: Final = 16
MOST_NAME: Final = 128
"""Characters of the name of a backbone or a tag, at most."""
_LONG: Final = f"has more than {MOST_NAME} characters"


@dataclass(frozen=True, slots=True)
class FitTools:
    """Collaborators of the jobs."""

    record: Record
    photos: Photos
    trainer: Trainer
    jobs: Jobs


def plan(given: FitPlan) -> FitPlan:
    """Return what is asked for, with the defaults in the place of zeros. Raises RequestInvalid."""
    dimension, photos, tags = given.max_dimension, given.max_photos, given.shopper_photo_tags
    _check(
        backbone=(len(given.backbone) <= MOST_NAME, _LONG),
        max_dimension=(
            dimension == 0 or 16 <= dimension <= 256,
            "must be 16 to 256, or 0 for 256",
        ),
        max_photos=(
            photos == 0 or 100 <= photos <= 1_000_000,
            f"must be 100 to 1,000,000, or 0 for {DEFAULT_PHOTOS:,}",
        ),
        shopper_photo_tags=(
            len(tags) <= MOST_TAGS and all(0 < len(tag) <= MOST_NAME for tag in tags),
            f"must be at most {MOST_TAGS} tags of 1 to {MOST_NAME} characters",
        ),
    )
    return replace(
        given, max_dimension=dimension or DEFAULT_DIMENSION, max_photos=photos or DEFAULT_PHOTOS
    )


def _check(**checks: tuple[object, str]) -> None:
    if bad := [FieldViolation(name, wrong) for name, (good, wrong) in checks.items() if not good]:
        raise RequestInvalid(*bad)


async def ask(catalog_id: str, wanted: FitPlan, jobs: Jobs, *, request_id: str) -> Job:
    """Request the fit of a space. Return the job, which may be one that is running already."""
    return await jobs.create(
        FIT, catalog_id, wanted, request_id, decide=lambda found: next(iter(found), None)
    )


async def fit(job: Job, deps: FitTools) -> Mapping[str, Any]:
    """Do a job of these kinds. Return its results.

    Raises JobCancelled, JobClaimLost, EmbedderUnavailable, PhotosUnavailable, FitMoved, and why the
    embedder can't fit a space.
    """
    if job.kind == FIT_REFERENCE:
        raise FitMoved
    return await reporting(partial(_fit, job, deps), job, deps.jobs)


async def _fit(job: Job, deps: FitTools, progress: Progress) -> Mapping[str, Any]:
    wanted = job.given(FitPlan)
    chosen = await fit_photos.choose(job.catalog_id, wanted, deps.record)
    photos = fit_photos.read(job.catalog_id, wanted, chosen, deps.record, deps.photos)
    progress.total = chosen.total
    async for state in deps.trainer.fit(job.catalog_id, wanted, chosen.total, photos):
        progress.done = min(state.done, progress.total)
        if state.version:
            return {
                "space_version": state.version,
                "model": state.model,
                "verdict": state.verdict,
                "skipped": state.skipped + chosen.lost,
            }
    raise RuntimeError("the embedder ended a fit but returned no version")
