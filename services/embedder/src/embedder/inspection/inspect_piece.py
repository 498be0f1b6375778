"""Use case: compare the photo of a piece with a reference."""

import asyncio
import math
from dataclasses import dataclass

from embedder.domain import errors, inspection
from embedder.domain.inspection import DEFAULT_RATE, PieceComparison
from embedder.domain.items import Priority
from embedder.domain.photos import Camera, PreparedPhoto
from embedder.domain.references import ReferenceManifest
from embedder.embedding.fetched import photo_of
from embedder.inspection import heat_picture
from embedder.inspection.patch_features import PatchFeatures
from embedder.inspection.references import References, check_name
from embedder.ports import Fetch
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages

MOST_RATE = 0.5


@dataclass(frozen=True, slots=True)
class InspectionQuery:
    """A photo of a piece, and what it is compared with."""

    catalog: str
    photo: bytes | None
    uri: str | None
    reference_id: str
    product_id: str
    """One of these two is set."""
    version: str
    rate: float | None
    heat_map: bool
    priority: Priority


@dataclass(frozen=True, slots=True)
class InspectedPiece:
    """A piece compared with a reference."""

    comparison: PieceComparison
    reference: ReferenceManifest
    rate: float
    png: bytes
    """The photo with anomalous parts coloured; empty if not requested."""


@dataclass(frozen=True, slots=True)
class Inspector:
    """Compares photos with references."""

    references: References
    features: PatchFeatures
    fetch: Fetch

    async def inspect(self, asked: InspectionQuery, stages: Stages) -> InspectedPiece:
        """Compare a photo with the version of a reference that serves.

        Raises RequestInvalid, ReferenceNotFound, FitUnavailable, and as PatchFeatures and Fetch.
        """
        rate = _checked(asked)
        manifest, memory = await asyncio.to_thread(
            self.references.needed().load,
            asked.catalog,
            asked.reference_id,
            asked.product_id,
            asked.version,
        )
        seen = await self._seen(asked, stages)
        found = await self.features.compute([seen.pixels[0]], asked.catalog, asked.priority, stages)
        if found.model != manifest.model:
            raise errors.ModelNotReady(
                f"the reference was fitted by {manifest.model}, which {found.model} replaced:"
                " fit it again"
            )
        with stages.measure("compare"):
            distances = await asyncio.to_thread(memory.map_of, found.patches[0])
            comparison = inspection.compare(memory, distances, rate, seen.ratio)
            png = b""
            if asked.heat_map:
                scale = comparison.threshold or 2.0
                png = await asyncio.to_thread(
                    heat_picture.png, seen.pixels[0], distances / memory.unit / scale, seen.ratio
                )
        return InspectedPiece(comparison, manifest, rate, png)

    async def _seen(self, asked: InspectionQuery, stages: Stages) -> PreparedPhoto:
        async with photo_of(asked.photo, asked.uri, self.fetch, stages) as photo:
            return await self.features.see(
                photo, Camera.SHOPPER, asked.catalog, asked.priority, stages
            )


def _checked(asked: InspectionQuery) -> float:
    """Return the false-alarm rate. Raises RequestInvalid."""
    if asked.photo is None and asked.uri is None:
        raise RequestInvalid.at("photo", "is missing: set image or image_uri")
    if asked.reference_id:
        check_name(asked.reference_id)
    elif not asked.product_id:
        raise RequestInvalid.at("target", "is missing: set reference_id or product_id")
    rate = DEFAULT_RATE if asked.rate is None else asked.rate
    if not (math.isfinite(rate) and 0 < rate <= MOST_RATE):
        raise RequestInvalid.at("false_alarm_rate", f"must be above 0, at most {MOST_RATE}")
    return rate
