"""Use case: references of good pieces, from photos to versions that serve."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from embedder.adapters.reference_store import ReferenceStore
from embedder.domain import errors, inspection
from embedder.domain.fitted import Floats
from embedder.domain.items import Priority
from embedder.domain.photos import Camera, Pixels
from embedder.domain.references import REFERENCE_ID, ListedReference, ReferenceState
from embedder.inspection.patch_features import PatchFeatures
from servicekit.errors import ServiceError
from servicekit.requests import RequestInvalid
from servicekit.telemetry import Stages

MOST_AT_ONCE = 16
"""Photos of one request, at most."""
CHUNK = 32
"""Photos whose features are in memory at once, and of which the first are standardised by."""


def check_name(reference_id: str, field: str = "reference_id") -> None:
    """Raise RequestInvalid unless a reference may have this name."""
    if not REFERENCE_ID.fullmatch(reference_id):
        wanted = "must be 1 to 64 of a-z, 0-9, - and _, a letter or digit first"
        raise RequestInvalid.at(field, wanted)


@dataclass(slots=True)
class References:
    """Adds photos, fits, lists, promotes and deletes references."""

    store: ReferenceStore | None
    """None: calls fail with FitUnavailable."""
    features: PatchFeatures
    _fitting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def needed(self) -> ReferenceStore:
        """Return the store. Raises FitUnavailable."""
        if self.store is None:
            raise errors.FitUnavailable("set EMBEDDER_SPACES to a folder of spaces")
        return self.store

    async def add(
        self, catalog: str, reference_id: str, photos: Sequence[bytes], stages: Stages
    ) -> tuple[list[ServiceError | None], int]:
        """Add photos to a draft. Return the outcome of each, None if it is there now, and the
        number of photos of the draft. Raises RequestInvalid, FitUnavailable, ReferencesFull."""
        store = self.needed()
        check_name(reference_id)
        if not 1 <= len(photos) <= MOST_AT_ONCE:
            raise RequestInvalid.at("images", f"must be 1 to {MOST_AT_ONCE} photos")
        await asyncio.to_thread(store.sweep, catalog)
        outcomes: list[ServiceError | None] = []
        for photo in photos:
            try:
                await self._add(store, catalog, reference_id, photo, stages)
                outcomes.append(None)
            except errors.ReferencesFull:
                raise
            except ServiceError as error:
                outcomes.append(error)
        return outcomes, await asyncio.to_thread(store.count, catalog, reference_id)

    async def _add(
        self, store: ReferenceStore, catalog: str, reference_id: str, photo: bytes, stages: Stages
    ) -> None:
        seen = await self.features.see(photo, Camera.CATALOGUE, catalog, Priority.BULK, stages)
        digest = hashlib.sha256(photo).hexdigest()
        await asyncio.to_thread(store.add, catalog, reference_id, digest, seen.pixels[0])

    async def fit(
        self, catalog: str, reference_id: str, product_id: str, stages: Stages
    ) -> ListedReference:
        """Fit the draft of a reference. Without a draft, return the newest version of the product,
        as for a repeated call.

        Raises ReferenceNotFound, ReferenceTooFewPhotos, ReferenceMixed, FitInProgress,
        FitUnavailable, and as Inference.
        """
        store = self.needed()
        check_name(reference_id)
        if self._fitting.locked():
            raise errors.FitInProgress
        async with self._fitting:
            photos = await self._draft(store, catalog, reference_id)
            if not photos:
                return await self._newest(store, catalog, reference_id, product_id)
            memory, model = await self._fitted(photos, catalog, stages)
            kept = await asyncio.to_thread(
                store.keep, catalog, reference_id, product_id, model, memory
            )
        listed = await asyncio.to_thread(store.listed, catalog, reference_id)
        return next(
            each for each in listed if each.manifest and each.manifest.version == kept.version
        )

    async def _fitted(
        self, photos: Sequence[Pixels], catalog: str, stages: Stages
    ) -> tuple[inspection.PatchMemory, str]:
        if len(photos) < inspection.FEWEST_PHOTOS:
            raise errors.ReferenceTooFewPhotos(len(photos), inspection.FEWEST_PHOTOS)
        first = await self.features.compute(photos[:CHUNK], catalog, Priority.BULK, stages)
        basis = await asyncio.to_thread(inspection.basis_of, first.patches)

        async def reduced(pixels: Sequence[Pixels]) -> tuple[Floats, Floats]:
            """Return components and heads, in chunks: the features of 500 photos take 300 MiB."""
            found, heads = [], []
            for start in range(0, len(pixels), CHUNK):
                part = pixels[start : start + CHUNK]
                seen = await self.features.compute(part, catalog, Priority.BULK, stages)
                found.append(seen.patches @ basis)
                heads.append(seen.heads)
            return np.concatenate(found), np.concatenate(heads)

        good, heads = await reduced(photos)
        if (sizes := inspection.groups(heads)) is not None:
            raise errors.ReferenceMixed(*sizes)
        on = [at % len(photos) for at in range(inspection.DRAWN)]
        drawn = [inspection.with_defect(photos[at], seed) for seed, at in enumerate(on)]
        bad, _ = await reduced(drawn)
        with stages.measure("fit"):
            memory = await asyncio.to_thread(inspection.fit, good, bad, on, basis)
        return memory, first.model

    @staticmethod
    async def _draft(store: ReferenceStore, catalog: str, reference_id: str) -> Sequence[Pixels]:
        try:
            return await asyncio.to_thread(store.draft, catalog, reference_id)
        except errors.ReferenceNotFound:
            return []

    @staticmethod
    async def _newest(
        store: ReferenceStore, catalog: str, reference_id: str, product_id: str
    ) -> ListedReference:
        for each in await asyncio.to_thread(store.listed, catalog, reference_id):
            if each.state is not ReferenceState.DRAFT:
                if each.manifest is not None and each.manifest.product_id == product_id:
                    return each
                break
        raise errors.ReferenceNotFound

    async def listed(self, catalog: str, reference_id: str) -> list[ListedReference]:
        """Return drafts and versions, of one reference if named. Raises FitUnavailable."""
        if reference_id:
            check_name(reference_id)
        return await asyncio.to_thread(self.needed().listed, catalog, reference_id)

    async def promote(self, catalog: str, reference_id: str, version: str) -> ListedReference:
        """Make a version serve. Raises ReferenceNotFound, FitUnavailable."""
        check_name(reference_id)
        return await asyncio.to_thread(self.needed().promote, catalog, reference_id, version)

    async def delete(self, catalog: str, reference_id: str, version: str) -> int:
        """Delete a version, or a reference; return their number. Raises ReferenceNotFound."""
        check_name(reference_id)
        return await asyncio.to_thread(self.needed().delete, catalog, reference_id, version)
