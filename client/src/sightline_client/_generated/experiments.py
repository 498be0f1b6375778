"""Experiments: list, reports, units.

Made from api/experiments.py by generate_sync.py: change that one and run it.
"""

from sightline_client._generated.base import SyncConnected
from sightline_client.values.experiments import ExperimentList, ExperimentReport, ExperimentUnit


class SyncExperimentCalls(SyncConnected):
    """Experiments: list, reports, units."""

    def list_experiments(self, *, timeout: float | None = None) -> ExperimentList:
        """Return the experiments, latest start first, and the errors in their files."""
        return self._loop.run(self._client.list_experiments(timeout=timeout))

    def experiment_report(self, name: str, *, timeout: float | None = None) -> ExperimentReport:
        """Return how the arms perform, with intervals that stay valid however often they are read.
        NotFound (EXPERIMENT_NOT_FOUND)."""
        return self._loop.run(self._client.experiment_report(name, timeout=timeout))

    def experiment_units(
        self, name: str, *, timeout: float | None = None
    ) -> tuple[ExperimentUnit, ...]:
        """Return the units that were counted, hashed. ``timeout`` is that of one page. NotFound
        (EXPERIMENT_NOT_FOUND)."""
        return self._loop.run(self._client.experiment_units(name, timeout=timeout))
