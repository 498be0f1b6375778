"""Search for faces in a photo."""

import math
from typing import Final

import numpy as np

from embedder.domain import errors
from embedder.domain.faces import MAPS, Face, faces
from embedder.domain.items import Priority
from embedder.domain.photos import Camera, PhotoView
from embedder.embedding.on_demand import OnDemandModel
from servicekit.telemetry import Stages

MODEL: Final = "centerface"
"""The detector's name in Triton."""
_LOOK: Final = PhotoView(camera=Camera.CATALOGUE)


class FaceFinder(OnDemandModel):
    """Use case: find the faces in a photo. The detector is loaded with the first photo."""

    async def find(
        self, photo: bytes, catalog: str, priority: Priority, stages: Stages
    ) -> list[Face]:
        """Return the faces in a photo of a product, the most probable first.

        Raises PhotoUndecodable, PhotoTooLarge, EmbedderUnavailable, QueueFull, ModelNotReady and
        ModelFailed.
        """
        self.intake.check(photo, _LOOK.camera)
        found = await self.output(photo, _LOOK, catalog, priority, stages)
        maps, side = found.values, math.isqrt(found.described.dimension // MAPS)
        if maps.size != MAPS * side * side or not np.isfinite(maps).all():
            raise errors.ModelFailed("the model returned no maps of faces")
        return faces(maps.reshape(MAPS, side, side), found.ratio)
