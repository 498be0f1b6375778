"""Models that are loaded with the first photo that needs them."""

from dataclasses import dataclass

from embedder.domain import errors
from embedder.domain.items import Priority, Vectors
from embedder.domain.models import Description
from embedder.domain.photos import PhotoView
from embedder.domain.recipes import PhotoRecipe
from embedder.domain.urgency import asking
from embedder.ports import Inference, Intake, ModelsOnDemand
from embedder.serving.priority import ModelQueues
from servicekit.admission.fair_permits import Party
from servicekit.telemetry import Stages


@dataclass(frozen=True, slots=True)
class PhotoOutput:
    """What a model returned for a photo."""

    described: Description
    values: Vectors
    """float32 [d]."""
    ratio: float
    """Width by height of the photo."""


class OnDemandModel:
    """A model that sees one photo at a time."""

    def __init__(
        self, intake: Intake, queues: ModelQueues, model: Inference, models: ModelsOnDemand
    ) -> None:
        """`model` is one of `models`."""
        self.intake = intake
        self._queues, self._model, self._models = queues, model, models
        self._described: Description | None = None
        """The model's description, cached while it is loaded."""

    async def output(
        self, photo: bytes, look: PhotoView, catalog: str, priority: Priority, stages: Stages
    ) -> PhotoOutput:
        """Run the model on a photo. Raises PhotoUndecodable, PhotoTooLarge, EmbedderUnavailable,
        QueueFull, ModelNotReady and ModelFailed."""
        with asking(priority), self._models.kept(self._model.model):
            try:
                return await self._output(photo, look, catalog, priority, stages)
            except errors.ModelAbsent:  # checking its state first would slow each call
                async with self._models.loaded(self._model.model):
                    self._described = None
            return await self._output(photo, look, catalog, priority, stages)

    async def _output(
        self, photo: bytes, look: PhotoView, catalog: str, priority: Priority, stages: Stages
    ) -> PhotoOutput:
        async with self._queues.of(self._model.model).turn(priority, Party.of(catalog), stages):
            described = self._described = self._described or await self._model.describe()
            if not isinstance(described.recipe, PhotoRecipe):
                raise errors.ModelNotReady(f"{described.model} does not accept photos")
            seen = await self.intake.see(photo, described.recipe, look, stages, catalog)
            with stages.measure("infer"):
                (output,) = (await self._model.infer({"image": seen.pixels})).vectors
        return PhotoOutput(described, output, seen.ratio)
