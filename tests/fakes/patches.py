"""Features of patches that are the colours of photos."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from servicekit.telemetry import Stages
from vision.domain.errors import ImageRejected
from vision.domain.inspection import GivenPhoto, PatchesSeen, Pixels, PreparedPhoto

SIDE = 64


class FakePatches:
    """See PatchFeatures in vision/ports/inspection.py."""

    def __init__(self) -> None:
        self.model = "colours 1"
        self.error: Exception | None = None
        """Error of each call that computes."""
        self.photos: dict[str, bytes] = {}
        """Photos by their addresses."""
        self.prepared = 0
        """Photos that were prepared so far."""

    async def prepare(self, catalog_id: str, photo: GivenPhoto, stages: Stages) -> PreparedPhoto:
        self.prepared += 1
        data = self.photos[photo.uri] if photo.uri else photo.image
        try:
            with Image.open(io.BytesIO(data)) as image:
                shown = ImageOps.pad(image.convert("RGB"), (SIDE, SIDE))
                return PreparedPhoto(np.asarray(shown, np.uint8), image.width / image.height)
        except OSError as error:
            raise ImageRejected("IMAGE_UNDECODABLE", "no photo") from error

    async def describe(
        self, catalog_id: str, photo: GivenPhoto, stages: Stages
    ) -> tuple[PreparedPhoto, PatchesSeen]:
        seen = await self.prepare(catalog_id, photo, stages)
        return seen, await self.compute(catalog_id, [seen.pixels], stages)

    async def compute(
        self, catalog_id: str, photos: Sequence[Pixels], stages: Stages
    ) -> PatchesSeen:
        if self.error is not None:
            raise self.error
        colours = np.stack(photos).astype(np.float32) / 255
        patches = np.concatenate([colours[:, ::4, ::4], colours[:, 2::4, 2::4]], axis=-1)
        heads = colours[:, ::8, ::8].mean(axis=(1, 2))
        heads /= np.linalg.norm(heads, axis=1, keepdims=True)
        return PatchesSeen(patches, heads, self.model)
