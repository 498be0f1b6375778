"""Use case: references of good pieces, from photos to versions that serve."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from servicekit.errors import ServiceError
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages, get_logger
from sightline_rules.ids import REFERENCE_ID, REFERENCE_ID_WANTED
from vision.domain import errors
from vision.domain.inspection import (
    DRAWN,
    FEWEST_PHOTOS,
    GivenPhoto,
    PatchesSeen,
    PatchMemory,
    Pixels,
)
from vision.domain.reference_evaluation import ReferenceVerdict
from vision.domain.references import (
    PHOTO_ID,
    DraftPhoto,
    FittedReference,
    ListedReference,
    ReferenceManifest,
    ReferenceProgress,
    ReferenceState,
)
from vision.inspection.files import ReferenceFiles, memory_file, photo_file
from vision.inspection.fit_reference import Serving, fit_reference
from vision.ports.inspection import PatchFeatures
from vision.record import Record

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

    record: Record
    files: ReferenceFiles
    features: PatchFeatures
    _fitting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(
        self, catalog: str, reference_id: str, photos: Sequence[bytes], stages: Stages
    ) -> tuple[list[ServiceError | None], int]:
        """Add photos to a draft. Return the outcome of each, None if it is there now, and the
        number of photos of the draft. Raises RequestInvalid, ReferencesFull."""
        check_name(reference_id)
        if not 1 <= len(photos) <= MOST_AT_ONCE:
            raise RequestInvalid.at("images", f"must be 1 to {MOST_AT_ONCE} photos")
        outcomes: list[ServiceError | None] = []
        for photo in photos:
            try:
                await self._add(catalog, reference_id, photo, stages)
                outcomes.append(None)
            except errors.ReferencesFull:
                raise
            except ServiceError as error:
                outcomes.append(error)
        return outcomes, len(await self.record.draft(catalog, reference_id))

    async def _add(self, catalog: str, reference_id: str, photo: bytes, stages: Stages) -> None:
        digest = hashlib.sha256(photo).hexdigest()
        if await self.record.renew_photo(catalog, reference_id, digest):
            return
        await self.record.check_room(catalog, reference_id)
        seen = await self.features.prepare(catalog, GivenPhoto(photo, of_shopper=False), stages)
        data = await asyncio.to_thread(photo_file, seen.pixels)
        file = await self.files.put(catalog, data)
        await self.record.add_photo(catalog, reference_id, DraftPhoto(digest, file))

    async def fit(
        self, catalog: str, reference_id: str, product_id: str, stages: Stages
    ) -> AsyncGenerator[ReferenceProgress, None]:
        """Fit the draft of a reference. Yield the progress; last, the version. Without a draft,
        that is the newest version of the product, as for a repeated call.

        Raises ReferenceNotFound, ReferenceTooFewPhotos, ReferenceMixed, FitInProgress,
        PhotosUnavailable, PhotosFull, and as PatchFeatures.
        """
        check_name(reference_id)
        if self._fitting.locked():
            raise errors.FitInProgress("another reference is")
        async with self._fitting:
            photos = await self._draft(catalog, reference_id)
            if not photos:
                found = await self._newest(catalog, reference_id, product_id)
                yield ReferenceProgress(found.photos, found.photos, found)
                return
            if len(photos) < FEWEST_PHOTOS:
                raise errors.ReferenceTooFewPhotos(len(photos), FEWEST_PHOTOS)
            total = len(photos) + DRAWN
            yield ReferenceProgress(0, total)

            async def compute(pixels: Sequence[Pixels]) -> PatchesSeen:
                return await self.features.compute(catalog, pixels, stages)

            serving = await self._serving(catalog, reference_id)
            async with aclosing(fit_reference(photos, serving, compute, stages)) as steps:
                async for step in steps:
                    if isinstance(step, FittedReference):
                        kept = await self._keep(catalog, reference_id, product_id, step, [*photos])
                        yield ReferenceProgress(total, total, kept)
                    else:
                        yield ReferenceProgress(step, total)

    async def _draft(self, catalog: str, reference_id: str) -> dict[str, Pixels]:
        """Return the photos of a draft by their hashes, in order; empty: there is no draft.

        A damaged photo is deleted: it would be in the way of all others, and of itself when it is
        added again.
        """
        found, damaged = dict[str, Pixels](), list[str]()
        for photo, file in (await self.record.draft(catalog, reference_id)).items():
            pixels = await self.files.photo(catalog, file)
            if pixels is None:
                damaged.append(photo)
            else:
                found[photo] = pixels
        if damaged:
            await self.record.drop_photos(catalog, reference_id, damaged)
        return found

    async def _serving(self, catalog: str, reference_id: str) -> Serving | None:
        try:
            return await self.load(catalog, reference_id, "", "")
        except errors.ReferenceNotFound:
            return None

    async def _keep(
        self,
        catalog: str,
        reference_id: str,
        product_id: str,
        fitted: FittedReference,
        photos: Sequence[str],
    ) -> ListedReference:
        """Store a fitted version, and delete its photos from the draft. `photos`: their hashes."""
        memory = fitted.memory
        data = await asyncio.to_thread(memory_file, memory)
        made = ReferenceManifest(
            reference_id=reference_id,
            version=memory.version(fitted.model, product_id),
            product_id=product_id,
            photos=memory.photos,
            separation=memory.separation,
            model=fitted.model,
            create_time=datetime.now(UTC),
            file=await self.files.put(catalog, data),
            size_bytes=len(data),
            photo_ids=tuple(each[:PHOTO_ID] for each in photos),
            evaluation=fitted.evaluation,
        )
        return await self.record.keep_version(catalog, made, photos)

    async def load(
        self, catalog: str, reference_id: str, product_id: str, version: str
    ) -> tuple[ReferenceManifest, PatchMemory]:
        """Return a version by the name of its reference, or the one that serves a product.

        `version` empty: the one that serves. Raises ReferenceNotFound, PhotosUnavailable.
        """
        found = await self.record.find_version(catalog, reference_id, product_id, version)
        if found is None:
            raise errors.ReferenceNotFound
        return found, await self.files.memory(catalog, found)

    async def _newest(self, catalog: str, reference_id: str, product_id: str) -> ListedReference:
        for each in await self.record.listed_references(catalog, reference_id):
            if each.state is not ReferenceState.DRAFT:
                if each.manifest is not None and each.manifest.product_id == product_id:
                    return each
                break
        raise errors.ReferenceNotFound

    async def listed(self, catalog: str, reference_id: str) -> list[ListedReference]:
        """Return drafts and versions, of one reference if named."""
        if reference_id:
            check_name(reference_id)
        return await self.record.listed_references(catalog, reference_id)

    async def promote(
        self, catalog: str, reference_id: str, version: str, *, force: bool
    ) -> ListedReference:
        """Make a version serve, the newest if empty. Raises ReferenceNotFound, PromotionRefused."""
        check_name(reference_id)
        listed = await self.record.listed_references(catalog, reference_id)
        versions = {each.manifest.version: each for each in listed if each.manifest is not None}
        wanted = version or next(iter(versions), "")
        if wanted not in versions:
            raise errors.ReferenceNotFound
        serves = ReferenceState.SERVING
        serving = next((name for name, each in versions.items() if each.state is serves), "")
        if (why := _worse(versions[wanted], serving)) and not force:
            raise errors.PromotionRefused(ReferenceVerdict.WORSE, why)
        log.info("reference promoted", reference=reference_id, version=wanted, forced=bool(why))
        return await self.record.promote(catalog, reference_id, wanted)

    async def delete(self, catalog: str, reference_id: str, version: str) -> int:
        """Delete a version, or a reference. Return the number of versions and drafts; 0, as for a
        call that is made again: there are none."""
        check_name(reference_id)
        return await self.record.delete_reference(catalog, reference_id, version)


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
