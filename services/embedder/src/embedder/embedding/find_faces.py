"""Search for faces in a photo."""

import math
from typing import Final

import numpy as np

from embedder.domain import errors
from embedder.domain.faces import MAPS, Face, faces
from embedder.domain.items import Priority
from embedder.domain.models import Description
from embedder.domain.photos import Camera, PhotoView
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import asking
from embedder.ports import Inference, Intake, ModelsOnDemand
from embedder.serving.priority import ModelQueues
from servicekit import deadlines
from servicekit.admission.fair_permits import Party
from servicekit.telemetry import Stages

MODEL: Final = "centerface"
"""The detector's name in Triton."""
_LOOK: Final = PhotoView(camera=Camera.CATALOGUE)


class FaceFinder:
    """Use case: find the faces in a photo. The detector is loaded with the first photo."""

    def __init__(
        self,
        intake: Intake,
        queues: ModelQueues,
        model: Inference,
        models: ModelsOnDemand,
    ) -> None:
        """Search with a detector, `model`, which is one of `models`."""
        self._intake, self._queues = intake, queues
        self._model, self._models = model, models
        self._described: Description | None = None
        """The model's description, cached while it is loaded."""

    async def find(
        self, photo: bytes, catalog: str, priority: Priority, stages: Stages
    ) -> list[Face]:
        """Return the faces in a photo of a product, the most probable first.

        Raises PhotoUndecodable, PhotoTooLarge, EmbedderUnavailable, QueueFull, ModelNotReady and
        ModelFailed.
        """
        self._intake.check(photo, _LOOK.camera)
        with asking(priority), self._models.kept(self._model.model):
            try:
                return await self._found(photo, catalog, priority, stages)
            except errors.ModelAbsent:  # checking its state first would slow each call
                async with self._models.loaded(self._model.model):
                    self._described = None
            return await self._found(photo, catalog, priority, stages)

    async def _found(
        self, photo: bytes, catalog: str, priority: Priority, stages: Stages
    ) -> list[Face]:
        party, queue = Party.of(catalog), self._queues.of(self._model.model)
        with queue.place(priority, party, deadlines.remaining()):
            async with queue.running(priority, party, stages):
                self._described = self._described or await self._model.describe()
                recipe, side = _input(self._described)
                seen = await self._intake.see(photo, recipe, _LOOK, stages, catalog)
                with stages.measure("infer"):
                    (maps,) = (await self._model.infer({"image": seen.pixels})).vectors
        if maps.size != MAPS * side * side or not np.isfinite(maps).all():
            raise errors.ModelFailed("the model returned no maps of faces")
        return faces(maps.reshape(MAPS, side, side), seen.ratio)


def _input(described: Description) -> tuple[PhotoRecipe, int]:
    """Return the preprocessing, and the side of the model's maps."""
    if not isinstance(described.recipe, PhotoRecipe):
        raise errors.ModelNotReady(f"{described.model} does not accept photos")
    return described.recipe, math.isqrt(described.dimension // MAPS)
