"""Features of the patches of photos, by a backbone's maps."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from embedder.domain import errors
from embedder.domain.fitted import Floats, unit
from embedder.domain.heat import HEAD
from embedder.domain.items import Priority
from embedder.domain.models import Description, Inferred, version_of
from embedder.domain.patches import BLOCKS, patches
from embedder.domain.photos import Camera, PhotoView, Pixels, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.domain.urgency import asking
from embedder.ports import Inference, Intake, ModelsOnDemand
from embedder.serving.priority import ModelQueues
from servicekit.admission.fair_permits import Party
from servicekit.rpc.requests import RequestInvalid
from servicekit.telemetry import Stages

SUFFIX: Final = "_positions"
"""Suffix of the model that returns a backbone's maps."""
TOGETHER: Final = 2
"""Photos of one inference, at most: the maps of a photo have a MiB, and gRPC takes answers of 4."""
MOST_PREPARED: Final = 8
"""Photos that were prepared before, of one call, at most: their features have 5 MiB."""
VIEWS: Final = {camera: PhotoView(camera=camera) for camera in Camera}


@dataclass(frozen=True, slots=True)
class PatchesSeen:
    """Features of photos."""

    patches: Floats
    """[n, h, w, c]"""
    heads: Floats
    """[n, d] of unit length: what each photo shows as a whole."""
    model: str
    """The model, with the version of its file and preprocessing."""


class PatchFeatures:
    """Computes features of patches. The model is loaded with the first photo."""

    def __init__(
        self, intake: Intake, queues: ModelQueues, model: Inference, models: ModelsOnDemand
    ) -> None:
        """`model` returns maps, and is one of `models`."""
        self._intake, self._queues = intake, queues
        self._model, self._models = model, models
        self._described: Description | None = None
        """The model's description, cached while it is loaded."""

    async def see(
        self, photo: bytes, camera: Camera, catalog: str, priority: Priority, stages: Stages
    ) -> PreparedPhoto:
        """Decode a photo, all of it in a padded square. Raises as Intake and Inference."""
        self._intake.check(photo, camera)
        described = await self._known(priority)
        with asking(priority):
            return await self._intake.see(photo, _recipe(described), VIEWS[camera], stages, catalog)

    async def prepared(self, data: bytes, priority: Priority) -> Pixels:
        """Return 1 to MOST_PREPARED photos that were prepared before, from their bytes: uint8 RGB
        [n, side, side, 3]. Raises RequestInvalid, and as Inference."""
        side = _recipe(await self._known(priority)).side
        count, rest = divmod(len(data), side * side * 3)
        if rest or not 1 <= count <= MOST_PREPARED:
            wanted = f"must be 1 to {MOST_PREPARED} photos of {side} by {side} pixels"
            raise RequestInvalid.at("pixels", wanted)
        return np.frombuffer(data, np.uint8).reshape(count, side, side, 3)

    async def compute(
        self, photos: Pixels, catalog: str, priority: Priority, stages: Stages
    ) -> PatchesSeen:
        """Return the features of prepared photos, uint8 RGB [n, side, side, 3]. Raises as
        Inference, and QueueFull."""
        described = await self._known(priority)
        party, queue = Party.of(catalog), self._queues.of(self._model.model)
        found, heads = [], []
        size = min(described.max_batch, TOGETHER)
        for start in range(0, len(photos), size):
            rows = photos[start : start + size]
            with asking(priority):
                async with queue.turn(priority, party, stages, len(rows)):
                    with stages.measure("infer"):
                        answer = await self._infer(rows)
            _check(answer, len(rows))
            found.append(patches(answer.maps))
            heads.append(answer.maps[HEAD].mean(axis=(2, 3)))
        model = (
            f"{described.model} {version_of(replace(described, recipe=_recipe(described)), '1')}"
        )
        return PatchesSeen(np.concatenate(found), unit(np.concatenate(heads)), model)

    async def _infer(self, rows: Pixels) -> Inferred:
        """Run the model, which is loaded again if it was unloaded meanwhile."""
        with self._models.kept(self._model.model):
            try:
                return await self._model.infer({"image": rows})
            except errors.ModelAbsent:  # checking its state first would slow each call
                async with self._models.loaded(self._model.model):
                    return await self._model.infer({"image": rows})

    async def _known(self, priority: Priority) -> Description:
        """Return the description of the model, loaded if need be."""
        if self._described is not None:
            return self._described
        with asking(priority):
            try:
                async with self._models.loaded(self._model.model):
                    self._described = await self._model.describe()
            except errors.ModelAbsent as error:
                raise errors.ModelNotReady(f"Triton can't load {self._model.model}") from error
        return self._described


def _recipe(described: Description) -> PhotoRecipe:
    """Return the preprocessing of inspected photos: as the model's, without cropping."""
    if not isinstance(described.recipe, PhotoRecipe):
        raise errors.ModelNotReady(f"{described.model} does not accept photos")
    return replace(described.recipe, crop=1.0, steps=(PreprocessStep.CROP_PAD,))


def _check(answer: Inferred, count: int) -> None:
    maps = [answer.maps.get(block) for block in (*BLOCKS, HEAD)]
    if not all(
        each is not None and each.ndim == 4 and len(each) == count and np.isfinite(each).all()
        for each in maps
    ):
        raise errors.ModelFailed("the model returned no maps of patches")
