"""Reading of labels: the texts in a photo."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from embedder.domain import errors, labels
from embedder.domain.items import Priority, Vectors
from embedder.domain.labels import Corners, Label, LabelLine, ReadText
from embedder.domain.photos import Camera, PhotoView, Pixels, PreparedPhoto
from embedder.domain.recipes import PhotoRecipe, has_opencv
from embedder.domain.urgency import asking
from embedder.ports import Inference, Intake, LineImages, ModelsOnDemand
from embedder.serving.priority import ModelQueues
from servicekit.admission.fair_permits import Party
from servicekit.telemetry import Stages

DETECTOR: Final = "ppocrv6_det_small"
READER: Final = "ppocrv6_rec_small"
"""Names of the models in Triton."""
_GREY: Final = 127


class LabelReader:
    """Use case: read the texts in a photo. Both models are loaded with the first photo."""

    def __init__(
        self,
        intake: Intake,
        queues: ModelQueues,
        *,
        detector: Inference,
        reader: Inference,
        models: ModelsOnDemand,
        images: LineImages,
    ) -> None:
        """Find lines with `detector` and read them with `reader`, two of `models`."""
        self._intake, self._queues = intake, queues
        self._detector, self._reader = detector, reader
        self._models, self._images = models, images
        self._recipe: PhotoRecipe | None = None
        """The detector's preprocessing, cached while it is loaded."""

    async def read(
        self, photo: bytes, camera: Camera, catalog: str, priority: Priority, stages: Stages
    ) -> Label:
        """Return the texts in a photo, at most MOST_LINES lines.

        Raises PhotoUndecodable, PhotoTooLarge, EmbedderUnavailable, QueueFull, ModelNotReady and
        ModelFailed.
        """
        if not has_opencv():
            raise errors.ModelNotReady(
                "reading labels needs OpenCV: install sightline-embedder[opencv]"
            )
        self._intake.check(photo, camera)
        look, names = PhotoView(camera=camera), (self._detector.model, self._reader.model)
        with asking(priority), contextlib.ExitStack() as kept:
            for name in names:
                kept.enter_context(self._models.kept(name))
            try:
                return await self._read(photo, look, catalog, priority, stages)
            except errors.ModelAbsent:  # checking their state first would slow each call
                for name in names:
                    async with self._models.loaded(name):
                        self._recipe = None
            return await self._read(photo, look, catalog, priority, stages)

    async def _read(
        self, photo: bytes, look: PhotoView, catalog: str, priority: Priority, stages: Stages
    ) -> Label:
        queue = self._queues.of(self._detector.model)
        async with queue.turn(priority, Party.of(catalog), stages):
            recipe = self._recipe = self._recipe or await self._described()
            seen = await self._intake.see(photo, recipe, look, stages, catalog)
            with stages.measure("infer"):
                found = await self._found(seen, recipe.side)
                cuts = await asyncio.to_thread(self._images.cut, seen.pixels[0], found)
                texts = await self._texts(cuts)
        lines = [
            LabelLine(text, confidence, labels.in_photo(corners, recipe.side, seen.ratio))
            for corners, (text, confidence) in zip(found, texts, strict=True)
            if text and confidence >= labels.LEAST_CONFIDENCE
        ]
        return Label(lines, unsure=len(found) - len(lines))

    async def _described(self) -> PhotoRecipe:
        recipe = (await self._detector.describe()).recipe
        if not isinstance(recipe, PhotoRecipe):
            raise errors.ModelNotReady(f"{self._detector.model} does not accept photos")
        return recipe

    async def _found(self, seen: PreparedPhoto, side: int) -> Sequence[Corners]:
        """Return the lines in a photo in reading order, as corners in the model's square."""
        rows, columns = labels.part_of(side, seen.ratio)
        part = np.ascontiguousarray(seen.pixels[:, rows, columns])
        (chances,) = (await self._detector.infer({"image": part})).vectors
        if chances.size != part[0, ..., 0].size or not np.isfinite(chances).all():
            raise errors.ModelFailed("the model returned no map of texts")
        found = await asyncio.to_thread(self._images.found, chances.reshape(part.shape[1:3]))
        offset = np.array([columns.start, rows.start], np.float32)
        return [each + offset for each in labels.in_reading_order(labels.largest(found))]

    async def _texts(self, cuts: Sequence[Pixels]) -> list[ReadText]:
        """Return the text of each line, in batches of similar widths."""
        read = [ReadText("", 0.0)] * len(cuts)
        batches = list(labels.batches([cut.shape[1] for cut in cuts]))
        answers = await asyncio.gather(
            *(self._line([cuts[place] for place in places], width) for places, width in batches)
        )
        for (places, _), rows in zip(batches, answers, strict=True):
            for place, row in zip(places, rows, strict=True):
                read[place] = labels.decoded(row)
        return read

    async def _line(self, cuts: Sequence[Pixels], width: int) -> Vectors:
        """Return the characters of lines that are padded to a width, [lines, steps, 2]."""
        padded = np.full((len(cuts), labels.LINE_HEIGHT, width, 3), _GREY, np.uint8)
        for row, cut in zip(padded, cuts, strict=True):
            row[:, : cut.shape[1]] = cut
        read = (await self._reader.infer({"image": padded})).vectors
        if read.ndim != 3 or len(read) != len(cuts) or read.shape[2:] != (2,):
            raise errors.ModelFailed("the model returned no characters")
        if not np.isfinite(read).all():
            raise errors.ModelFailed("the model's answer is not finite")
        return read
