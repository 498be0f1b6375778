"""Ranking models: training, evaluation and promotion.

Made by generate_sync.py from
api/models.py: change that one and run it.
"""

from datetime import datetime

from sightline_client._generated.base import SyncConnected


class SyncModelCalls(SyncConnected):
    """Ranking models: training, evaluation and promotion."""

    def next_training(self, *, timeout: float | None = None) -> datetime | None:
        """Return when the next nightly training begins; ``None`` = none is scheduled."""
        return self._loop.run(self._client.next_training(timeout=timeout))
