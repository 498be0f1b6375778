"""Ranking models: training, evaluation and promotion."""

from datetime import datetime

from sightline.ranker.v1 import model_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import reading


class ModelCalls(Connected):
    """Calls about ranking models: training, evaluation and promotion."""

    async def next_training(self, *, timeout: float | None = None) -> datetime | None:
        """Return when the next nightly training begins; ``None`` = none is scheduled."""
        request = model_service_pb2.ListModelsRequest(catalog_id=self.catalog, page_size=1)
        answer = await self._call(self.calls.admin.ListModels, request, timeout)
        if not answer.HasField("next_training_time"):
            return None
        return reading.time(answer.next_training_time)
