"""Use case: compare the photo of a piece with a reference."""

import asyncio
import math
from dataclasses import dataclass

from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages
from vision.domain import errors, inspection
from vision.domain.inspection import DEFAULT_RATE, GivenPhoto, PieceComparison
from vision.domain.references import ReferenceManifest
from vision.inspection import heat_picture
from vision.inspection.references import References, check_name
from vision.ports.inspection import PatchFeatures

MOST_RATE = 0.5


@dataclass(frozen=True, slots=True)
class InspectionQuery:
    """A photo of a piece, and what it is compared with."""

    catalog: str
    photo: GivenPhoto | None
    reference_id: str
    product_id: str
    """One of these two is set."""
    version: str
    rate: float | None
    heat_map: bool


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

    async def inspect(self, asked: InspectionQuery, stages: Stages) -> InspectedPiece:
        """Compare a photo with the version of a reference that serves.

        Raises RequestInvalid, ReferenceNotFound, ModelNotReady, and as PatchFeatures.
        """
        photo, rate = _checked(asked)
        manifest, memory = await self.references.load(
            asked.catalog, asked.reference_id, asked.product_id, asked.version
        )
        seen, found = await self.features.describe(asked.catalog, photo, stages)
        if found.model != manifest.model:
            raise errors.ModelNotReady(manifest.model, found.model)
        with stages.measure("compare"):
            distances = await asyncio.to_thread(memory.map_of, found.patches[0])
            comparison = inspection.compare(memory, distances, rate, seen.ratio)
            png = b""
            if asked.heat_map:
                scale = comparison.threshold or 2.0
                png = await asyncio.to_thread(
                    heat_picture.png, seen.pixels, distances / memory.unit / scale, seen.ratio
                )
        return InspectedPiece(comparison, manifest, rate, png)


def _checked(asked: InspectionQuery) -> tuple[GivenPhoto, float]:
    """Return the photo and the false-alarm rate. Raises RequestInvalid."""
    if asked.photo is None:
        raise RequestInvalid.at("photo", "is missing: set image or image_uri")
    if asked.reference_id:
        check_name(asked.reference_id)
    elif not asked.product_id:
        raise RequestInvalid.at("target", "is missing: set reference_id or product_id")
    rate = DEFAULT_RATE if asked.rate is None else asked.rate
    if not (math.isfinite(rate) and 0 < rate <= MOST_RATE):
        raise RequestInvalid.at("false_alarm_rate", f"must be above 0, at most {MOST_RATE}")
    return asked.photo, rate
