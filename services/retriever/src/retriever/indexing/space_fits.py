"""Fit of a visual space on the catalog's photos, as a job of the worker. The embedder learns the
space; the retriever supplies the photos' categories. A restarted job sends the photos again, and
the embedder reuses its cached results.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from retriever.catalog.images import stored_photo
from retriever.domain.errors import RefinementFailed
from retriever.domain.fit_plan import FitPhoto, FitPlan, Label
from retriever.domain.jobs import Progress, reporting
from retriever.ports.embedder import SpaceTrainer
from retriever.ports.indexing import LabelRecord
from retriever.ports.photos import Photos
from servicekit.errors import FieldViolation
from servicekit.jobs.queue import Job, Jobs
from servicekit.rpc.requests import RequestInvalid
from sightline_rules import picture_groups

FIT: Final = "fit"
KINDS: Final = (FIT,)
DEFAULT_DIMENSION: Final = 256
DEFAULT_PHOTOS: Final = 50_000
MOST_TAGS: Final = 16
MOST_NAME: Final = 128
"""Characters of a backbone's name or a tag."""
PAGE: Final = 500
"""Products read in one transaction."""
_SEVERAL: Final = ""
AHEAD: Final = 8
"""Photos read from their store at once."""


@dataclass(frozen=True, slots=True)
class FitTools:
    """Collaborators of the job."""

    record: LabelRecord
    photos: Photos
    trainer: SpaceTrainer
    jobs: Jobs


def plan(given: FitPlan) -> FitPlan:
    """Return what is asked for, with the defaults in the place of zeros. Raises RequestInvalid."""
    dimension, photos, tags = given.max_dimension, given.max_photos, given.shopper_photo_tags
    checks = {
        "backbone": (len(given.backbone) <= MOST_NAME, f"has more than {MOST_NAME} characters"),
        "max_dimension": (
            dimension == 0 or 16 <= dimension <= 256,
            "must be 16 to 256, or 0 for 256",
        ),
        "max_photos": (
            photos == 0 or 100 <= photos <= 1_000_000,
            f"must be 100 to 1,000,000, or 0 for {DEFAULT_PHOTOS:,}",
        ),
        "shopper_photo_tags": (
            len(tags) <= MOST_TAGS and all(0 < len(tag) <= MOST_NAME for tag in tags),
            f"must be at most {MOST_TAGS} tags of 1 to {MOST_NAME} characters",
        ),
    }
    if bad := [FieldViolation(name, wrong) for name, (good, wrong) in checks.items() if not good]:
        raise RequestInvalid(*bad)
    return replace(
        given, max_dimension=dimension or DEFAULT_DIMENSION, max_photos=photos or DEFAULT_PHOTOS
    )


async def ask(catalog_id: str, wanted: FitPlan, jobs: Jobs, *, request_id: str) -> Job:
    """Request the fit of a space. Return the job, which may be one that is running already."""
    return await jobs.create(
        FIT, catalog_id, wanted, request_id, decide=lambda found: next(iter(found), None)
    )


async def fit(job: Job, deps: FitTools) -> Mapping[str, Any]:
    """Do a job of this kind. Return its results.

    Raises JobCancelled, JobClaimLost, EmbedderUnavailable, PhotosUnavailable, and why the embedder
    can't fit a space on these photos.
    """
    progress = Progress()
    return await reporting(_fit(job, deps, progress), job, progress, deps.jobs)


async def _fit(job: Job, deps: FitTools, progress: Progress) -> Mapping[str, Any]:
    if job.params.get("base") or job.params.get("refinement"):  # of a job of 0.39
        raise RefinementFailed
    wanted = job.given(FitPlan)
    chosen = await _choose(job.catalog_id, wanted, deps.record)
    progress.total = chosen.total
    photos = _read(job.catalog_id, wanted, chosen, deps)
    states = deps.trainer.fit(job.catalog_id, wanted, progress.total, photos)
    async for state in states:
        progress.done = min(state.done, progress.total)
        if state.version:
            return {
                "space_version": state.version,
                "model": state.model,
                "verdict": state.verdict,
                "skipped": state.skipped + chosen.lost,
            }
    raise RuntimeError("the embedder fitted a space but returned no version")


# Selection of photos


@dataclass(slots=True)
class _Chosen:
    """The photos that are sent."""

    families: Collection[str]
    total: int
    groups: Mapping[str, str]
    """By photo id, a key shared by photos of the same picture and of one upload."""
    lost: int = 0
    """Photos that are missing in the store."""


async def _choose(catalog_id: str, wanted: FitPlan, record: LabelRecord) -> _Chosen:
    """Return which photos are sent: families of products drawn by the seed, with all of theirs."""
    counts: Counter[str] = Counter()
    async for labels in _pages(catalog_id, record):
        counts.update(label.family for label in labels)
    families, total = _drawn(counts, wanted)
    hashes: dict[str, int] = {}
    uploads, tags = Uploads(), frozenset(wanted.shopper_photo_tags)
    async for labels in _pages(catalog_id, record):
        for label in labels:
            uploads.add(label, shopper=bool(tags & label.tags))
            if label.family in families:
                hashes[label.image_id] = label.perceptual_hash
    pictures = await asyncio.to_thread(picture_groups.groups, list(hashes.values()))
    ids = list(hashes)
    same = {image: ids[first] for image, first in zip(ids, pictures, strict=True)}
    return _Chosen(families, total, uploads.joined(same))


class Uploads:
    """Shoppers' photos of a family that were stored by one write of this family alone.

    A write of several families is an import, which says nothing about when photos were taken; nor
    does the only write of a family, without which it would have nothing to be measured by.
    """

    def __init__(self) -> None:
        self._families: dict[int, str] = {}
        """Family of each write's photos, by time; _SEVERAL: more than one."""
        self._photos: dict[int, list[str]] = {}
        """Shoppers' photos of each write."""
        self._shown: dict[str, list[str]] = {}
        """All photos of each family."""

    def add(self, label: Label, *, shopper: bool) -> None:
        """Add a photo of the catalog. `shopper`: whether a shopper took it."""
        self._shown.setdefault(label.family, []).append(label.image_id)
        if self._families.setdefault(label.stored, label.family) != label.family:
            self._families[label.stored] = _SEVERAL
            self._photos.pop(label.stored, None)
        elif shopper:
            self._photos.setdefault(label.stored, []).append(label.image_id)

    def joined(self, groups: Mapping[str, str]) -> Mapping[str, str]:
        """Return the group of each photo, with groups joined that share an upload, where a family
        keeps several."""
        uploads: dict[str, list[list[str]]] = {}
        for stored, photos in self._photos.items():
            known = [groups[each] for each in photos if each in groups]
            uploads.setdefault(self._families[stored], []).append(known)
        told: list[list[str]] = []
        for family, mine in uploads.items():
            shown = {groups[each] for each in self._shown[family] if each in groups}
            if len(set(_joined(shown, mine).values())) > 1:
                told += mine
        joined = _joined(groups.values(), told)
        return {photo: joined[group] for photo, group in groups.items()}


def _joined(groups: Iterable[str], together: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return what stands for each group, after joining those that belong together."""
    joined = {group: group for group in groups}

    def root(group: str) -> str:
        while joined[group] != group:
            joined[group] = group = joined[joined[group]]
        return group

    for first, *others in filter(None, together):
        for other in others:
            joined[root(other)] = root(first)
    return {group: root(group) for group in joined}


def _drawn(counts: Mapping[str, int], wanted: FitPlan) -> tuple[frozenset[str], int]:
    """Return families in the seed's order, as many as fit, and how many photos they have."""
    order = sorted(
        counts, key=lambda family: hashlib.sha256(f"{wanted.seed}/{family}".encode()).digest()
    )
    drawn, total = [], 0
    for family in order:
        if total + counts[family] > wanted.max_photos:
            continue
        drawn.append(family)
        total += counts[family]
    return frozenset(drawn), total


async def _pages(catalog_id: str, record: LabelRecord) -> AsyncGenerator[list[Label], None]:
    after: str | None = ""
    while after is not None:
        labels, after = await record.labels(catalog_id, after, PAGE)
        yield labels


async def _read(
    catalog_id: str, wanted: FitPlan, chosen: _Chosen, deps: FitTools
) -> AsyncIterator[FitPhoto]:
    """Yield the photos. Those that the store has lost are omitted and counted."""
    tags = frozenset(wanted.shopper_photo_tags)
    async with aclosing(_pages(catalog_id, deps.record)) as pages:
        async for labels in pages:
            mine = [label for label in labels if label.family in chosen.families]
            for start in range(0, len(mine), AHEAD):
                some = mine[start : start + AHEAD]
                read = await asyncio.gather(
                    *(stored_photo(catalog_id, label.image_id, deps.photos) for label in some)
                )
                for label, data in zip(some, read, strict=True):
                    if data is None:
                        chosen.lost += 1
                        continue
                    group = chosen.groups.get(label.image_id, label.image_id)
                    yield FitPhoto(data, label, group, shopper=bool(tags & label.tags))
