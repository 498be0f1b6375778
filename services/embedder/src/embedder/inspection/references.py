"""Use case: references of good pieces, from photos to versions that serve."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from embedder.adapters.reference_store import ReferenceStore
from embedder.domain import errors
from embedder.domain.inspection import DRAWN, FEWEST_PHOTOS
from embedder.domain.items import Priority
from embedder.domain.photos import Camera, Pixels
from embedder.domain.reference_evaluation import ReferenceVerdict
from embedder.domain.references import (
    FittedReference,
    ListedReference,
    ReferenceProgress,
    ReferenceState,
)
from embedder.inspection.fit_reference import fit_reference
from embedder.inspection.patch_features import PatchesSeen, PatchFeatures
from servicekit.errors import ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages, get_logger
from sightline_rules.ids import REFERENCE_ID, REFERENCE_ID_WANTED

MOST_AT_ONCE = 16
"""Photos of one request, at most."""

log = get_logger()


def check_name(reference_id: str, field: str = "reference_id") -> None:
    """Raise RequestInvalid unless a reference may have this name."""
    if not REFERENCE_ID.fullmatch(reference_id):
        raise RequestInvalid.at(field, REFERENCE_ID_WANTED)


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
    ) -> AsyncGenerator[ReferenceProgress, None]:
        """Fit the draft of a reference. Yield the progress; last, the version. Without a draft,
        that is the newest version of the product, as for a repeated call.

        Raises ReferenceNotFound, ReferenceTooFewPhotos, ReferenceMixed, FitInProgress,
        FitUnavailable, and as Inference.
        """
        store = self.needed()
        check_name(reference_id)
        if self._fitting.locked():
            raise errors.FitInProgress("reference")
        async with self._fitting:
            photos = await asyncio.to_thread(store.draft, catalog, reference_id)
            if not photos:
                found = await self._newest(store, catalog, reference_id, product_id)
                yield ReferenceProgress(found.photos, found.photos, found)
                return
            if len(photos) < FEWEST_PHOTOS:
                raise errors.ReferenceTooFewPhotos(len(photos), FEWEST_PHOTOS)
            total = len(photos) + DRAWN
            yield ReferenceProgress(0, total)

            async def compute(pixels: Sequence[Pixels]) -> PatchesSeen:
                return await self.features.compute(pixels, catalog, Priority.BULK, stages)

            serving = await asyncio.to_thread(store.serving, catalog, reference_id)
            async with aclosing(fit_reference(photos, serving, compute, stages)) as steps:
                async for step in steps:
                    if isinstance(step, FittedReference):
                        kept = await asyncio.to_thread(
                            store.keep, catalog, reference_id, product_id, step, list(photos)
                        )
                        yield ReferenceProgress(total, total, kept)
                    else:
                        yield ReferenceProgress(step, total)

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

    async def promote(
        self, catalog: str, reference_id: str, version: str, *, force: bool
    ) -> ListedReference:
        """Make a version serve, the newest if empty. Raises ReferenceNotFound, PromotionRefused,
        FitUnavailable."""
        store = self.needed()
        check_name(reference_id)
        listed = await asyncio.to_thread(store.listed, catalog, reference_id)
        versions = {each.manifest.version: each for each in listed if each.manifest is not None}
        wanted = version or next(iter(versions), "")
        if wanted not in versions:
            raise errors.ReferenceNotFound
        serves = ReferenceState.SERVING
        serving = next((name for name, each in versions.items() if each.state is serves), "")
        if (why := _worse(versions[wanted], serving)) and not force:
            raise errors.PromotionRefused(ReferenceVerdict.WORSE, why)
        log.info("reference promoted", reference=reference_id, version=wanted, forced=bool(why))
        return await asyncio.to_thread(store.promote, catalog, reference_id, wanted)

    async def delete(self, catalog: str, reference_id: str, version: str) -> int:
        """Delete a version, or a reference; return the number of versions, 0 if there are none: a
        call whose answer was lost is made again."""
        check_name(reference_id)
        try:
            return await asyncio.to_thread(self.needed().delete, catalog, reference_id, version)
        except errors.ReferenceNotFound:
            return 0


def _worse(version: ListedReference, serving: str) -> str:
    """Return why a version is worse than the one that serves; empty: it is not, or it was compared
    with another one."""
    found = None if version.manifest is None else version.manifest.evaluation
    if found is None or (found.verdict, found.compared_version) != (
        ReferenceVerdict.WORSE,
        serving,
    ):
        return ""
    return (
        f"the version is worse than the one that serves: separation {found.fitted.separation:.2f}"
        f" instead of {found.compared.separation:.2f}, on {found.photos} good photos that the"
        " serving one was not fitted on"
    )
