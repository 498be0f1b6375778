"""Choice of the model for a request."""

from typing import NamedTuple

from ranker.domain.model import Model
from ranker.ports import Models


class RequestModel(NamedTuple):
    """Model of a request, and the fallback if the intended one is unavailable."""

    model: Model | None
    """None if no model is promoted, or the promoted one can't be loaded."""
    substitute: str = ""
    """Description of the fallback; empty if the intended model answers."""

    @property
    def version(self) -> str:
        """Return the model's version, "" without a model."""
        return self.model.version if self.model else ""


def choose_model(models: Models, catalog_id: str, pinned: str) -> RequestModel:
    """Return the model of version `pinned` if it is loaded, else the promoted one. Before the first
    promotion an answer by similarity and popularity is not a fallback.
    """
    found = models.pinned(catalog_id, pinned) if pinned else None
    model = found or models.serving(catalog_id)
    wanted = pinned and (model is None or model.version != pinned)
    if not wanted and (model or not models.refused(catalog_id)):
        return RequestModel(model)
    return RequestModel(model, "the promoted model" if model else "similarity and popularity")
