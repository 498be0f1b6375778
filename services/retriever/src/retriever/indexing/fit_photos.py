"""The photos on which a space is fitted."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from retriever.catalog.images import stored_photo
from retriever.domain.fit_plan import FitPhoto, FitPlan, Label
from retriever.ports.photos import Photos
from retriever.record import Record
from sightline_rules import picture_groups

PAGE: Final = 500
"""Products read in one transaction."""
_SEVERAL: Final = ""
AHEAD: Final = 8
"""Photos read from their store at once."""


@dataclass(slots=True)
class ChosenPhotos:
    """The photos that are sent."""

    families: Collection[str]
    total: int
    groups: Mapping[str, str]
    """By photo id, a key shared by photos of the same picture and of one upload."""
    lost: int = 0
    """Photos that are missing in the store."""


async def choose(catalog_id: str, wanted: FitPlan, record: Record) -> ChosenPhotos:
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
    return ChosenPhotos(families, total, uploads.joined(same))


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


async def _pages(catalog_id: str, record: Record) -> AsyncGenerator[list[Label], None]:
    after: str | None = ""
    while after is not None:
        labels, after = await record.labels(catalog_id, after, PAGE)
        yield labels


async def read(
    catalog_id: str, wanted: FitPlan, chosen: ChosenPhotos, record: Record, photos: Photos
) -> AsyncIterator[FitPhoto]:
    """Yield the photos. Those that the store has lost are omitted and counted."""
    tags = frozenset(wanted.shopper_photo_tags)
    async with aclosing(_pages(catalog_id, record)) as pages:
        async for labels in pages:
            mine = [label for label in labels if label.family in chosen.families]
            for start in range(0, len(mine), AHEAD):
                some = mine[start : start + AHEAD]
                read = await asyncio.gather(
                    *(stored_photo(catalog_id, label.image_id, photos) for label in some)
                )
                for label, data in zip(some, read, strict=True):
                    if data is None:
                        chosen.lost += 1
                        continue
                    group = chosen.groups.get(label.image_id, label.image_id)
                    yield FitPhoto(data, label, group, shopper=bool(tags & label.tags))
