"""Use case: fit a reference on its photos, and compare it with the version that serves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from servicekit.telemetry import Stages
from vision.domain import errors, inspection
from vision.domain.inspection import (
    DRAWN,
    FEWEST_PHOTOS,
    PatchesSeen,
    PatchMemory,
    PhotoScores,
    Pixels,
)
from vision.domain.objects import Floats
from vision.domain.reference_evaluation import ComparedVersion, ReferenceEvaluation, evaluate
from vision.domain.references import PHOTO_ID, FittedReference, ReferenceManifest

CHUNK: Final = 32
"""Photos whose features are in memory at once, and of which the first are standardised by."""

Compute = Callable[[Sequence[Pixels]], Awaitable[PatchesSeen]]
Serving = tuple[ReferenceManifest, PatchMemory]


@dataclass(slots=True)
class _Components:
    """Components of photos, and their scores by the version that serves."""

    basis: Floats
    serving: PatchMemory | None
    rows: list[Floats] = field(default_factory=list)
    heads: list[Floats] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)

    def add(self, seen: PatchesSeen) -> None:
        """Reduce features: those of 500 photos take 300 MiB."""
        self.rows.append(seen.patches @ self.basis)
        self.heads.append(seen.heads)
        if self.serving is not None:
            self.scores.append(self.serving.map_of(seen.patches).max(axis=(1, 2)))


async def fit_reference(
    photos: Mapping[str, Pixels], serving: Serving | None, compute: Compute, stages: Stages
) -> AsyncGenerator[int | FittedReference, None]:
    """Fit a reference on photos by their hash, at least FEWEST_PHOTOS. Yield numbers of processed
    photos, up to `len(photos) + DRAWN`; last, the result.

    Raises ReferenceMixed, and as `compute`.
    """
    pixels = list(photos.values())
    first = await compute(pixels[:CHUNK])
    basis = await asyncio.to_thread(inspection.basis_of, first.patches)
    new = _new(photos, serving, first.model)
    compared = serving if serving is not None and len(new) >= FEWEST_PHOTOS else None
    memory = compared[1] if compared else None
    good, bad = _Components(basis, memory), _Components(basis, memory)
    async with aclosing(_reduced(pixels, compute, good)) as steps:
        async for done in steps:
            yield done
    if (sizes := inspection.groups(np.concatenate(good.heads))) is not None:
        raise errors.ReferenceMixed(*sizes)
    # Defects are drawn on photos that the serving version does not know, while there are some.
    order = sorted(range(len(pixels)), key=lambda at: at not in new)
    on = [order[at % len(order)] for at in range(DRAWN)]
    drawn = [inspection.with_defect(pixels[at], seed) for seed, at in enumerate(on)]
    async with aclosing(_reduced(drawn, compute, bad)) as steps:
        async for done in steps:
            yield len(pixels) + done
    with stages.measure("fit"):
        parts = np.concatenate(good.rows), np.concatenate(bad.rows)
        fitted, scores = await asyncio.to_thread(inspection.fit, *parts, on, basis)
    evaluation = None
    if compared is not None:
        others = PhotoScores(np.concatenate(good.scores), np.concatenate(bad.scores))
        both = ComparedVersion(fitted, scores), ComparedVersion(compared[1], others)
        evaluation = _evaluation(*both, compared[0].version, new, on)
    yield FittedReference(fitted, first.model, evaluation)


def _new(photos: Mapping[str, Pixels], serving: Serving | None, model: str) -> list[int]:
    """Return the places of the photos that the serving version was not fitted on; empty: it can't
    be compared."""
    if serving is None or serving[0].photo_ids is None or serving[0].model != model:
        return []
    known = set(serving[0].photo_ids)
    return [at for at, digest in enumerate(photos) if digest[:PHOTO_ID] not in known]


async def _reduced(
    pixels: Sequence[Pixels], compute: Compute, into: _Components
) -> AsyncGenerator[int, None]:
    """Add photos in chunks. Yield the number of those added so far."""
    for start in range(0, len(pixels), CHUNK):
        part = pixels[start : start + CHUNK]
        await asyncio.to_thread(into.add, await compute(part))
        yield start + len(part)


def _evaluation(
    fitted: ComparedVersion,
    compared: ComparedVersion,
    version: str,
    new: Sequence[int],
    on: Sequence[int],
) -> ReferenceEvaluation:
    """Compare two versions on the new photos alone."""
    place = {at: number for number, at in enumerate(new)}
    drawn = [number for number, at in enumerate(on) if at in place]
    of_fitted, of_compared = (
        ComparedVersion(
            each.memory, PhotoScores(each.scores.good[list(new)], each.scores.drawn[drawn])
        )
        for each in (fitted, compared)
    )
    return evaluate(of_fitted, of_compared, version, [place[on[number]] for number in drawn])
