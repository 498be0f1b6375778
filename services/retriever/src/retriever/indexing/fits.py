"""Fits as jobs of the worker: of a visual space on the catalog's photos, and of a reference of good
pieces. The embedder learns; the retriever supplies a space's photos and their categories. A
restarted job sends them again, or gets what was fitted already.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from retriever.domain.errors import FitRunning
from retriever.domain.fit_plan import FitPlan, FitProgress, ReferencePlan
from retriever.domain.jobs import Progress, reporting
from retriever.indexing import fit_photos
from retriever.ports.embedder import Trainer
from retriever.ports.photos import Photos
from retriever.record import Record
from servicekit.errors import FieldViolation
from servicekit.jobs.queue import Job, Jobs
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import REFERENCE_ID, REFERENCE_ID_WANTED

FIT: Final = "fit"
FIT_REFERENCE: Final = "fit_reference"
KINDS: Final = (FIT, FIT_REFERENCE)
DEFAULT_DIMENSION: Final = 256
DEFAULT_PHOTOS: Final = 50_000
MOST_TAGS: Final = 16
MOST_NAME: Final = 128
"""Characters of the name of a backbone, a tag or a product, at most."""
MOST_OPEN: Final = 8
"""Fits of references of a catalog that wait or run, at most: it has as many drafts."""
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


def check(given: ReferencePlan) -> None:
    """Raise RequestInvalid unless a reference may be fitted like this."""
    _check(
        reference_id=(REFERENCE_ID.fullmatch(given.reference_id), REFERENCE_ID_WANTED),
        product_id=(len(given.product_id) <= MOST_NAME, _LONG),
    )


def _check(**checks: tuple[object, str]) -> None:
    if bad := [FieldViolation(name, wrong) for name, (good, wrong) in checks.items() if not good]:
        raise RequestInvalid(*bad)


async def ask(catalog_id: str, wanted: FitPlan, jobs: Jobs, *, request_id: str) -> Job:
    """Request the fit of a space. Return the job, which may be one that is running already."""
    return await jobs.create(
        FIT, catalog_id, wanted, request_id, decide=lambda found: next(iter(found), None)
    )


async def ask_reference(
    catalog_id: str, wanted: ReferencePlan, jobs: Jobs, *, request_id: str
) -> Job:
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


async def fit(job: Job, deps: FitTools) -> Mapping[str, Any]:
    """Do a job of these kinds. Return its results.

    Raises JobCancelled, JobClaimLost, EmbedderUnavailable, PhotosUnavailable, and why the embedder
    can't fit a space or a reference.
    """
    return await reporting(partial(_fit, job, deps), job, deps.jobs)


async def _fit(job: Job, deps: FitTools, progress: Progress) -> Mapping[str, Any]:
    begun = _reference(job, deps) if job.kind == FIT_REFERENCE else await _space(job, deps)
    progress.total = begun.total
    async for state in begun.states:
        progress.total = state.total or begun.total
        progress.done = min(state.done, progress.total)
        if state.version:
            return begun.result(state)
    raise RuntimeError(f"the embedder ended a job of kind {job.kind} but returned no version")


@dataclass(frozen=True, slots=True)
class _BegunFit:
    states: AsyncIterator[FitProgress]
    result: Callable[[FitProgress], Mapping[str, Any]]
    total: int = 0
    """Photos; 0: the states have it."""


async def _space(job: Job, deps: FitTools) -> _BegunFit:
    wanted = job.given(FitPlan)
    chosen = await fit_photos.choose(job.catalog_id, wanted, deps.record)
    photos = fit_photos.read(job.catalog_id, wanted, chosen, deps.record, deps.photos)

    def result(state: FitProgress) -> Mapping[str, Any]:
        return {
            "space_version": state.version,
            "model": state.model,
            "verdict": state.verdict,
            "skipped": state.skipped + chosen.lost,
        }

    states = deps.trainer.fit(job.catalog_id, wanted, chosen.total, photos)
    return _BegunFit(states, result, chosen.total)


def _reference(job: Job, deps: FitTools) -> _BegunFit:
    wanted = job.given(ReferencePlan)

    def result(state: FitProgress) -> Mapping[str, Any]:
        found = {"reference_id": wanted.reference_id, "version": state.version}
        return found | ({"verdict": state.verdict} if state.verdict else {})

    return _BegunFit(deps.trainer.fit_reference(job.catalog_id, wanted), result)
