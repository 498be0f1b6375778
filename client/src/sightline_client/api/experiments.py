"""Experiments: list, reports, units."""

from sightline.ranker.v1 import experiment_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.values.experiments import ExperimentList, ExperimentReport, ExperimentUnit

_PAGE = 10_000


class ExperimentCalls(Connected):
    """Calls about experiments: list, reports, units."""

    async def list_experiments(self, *, timeout: float | None = None) -> ExperimentList:
        """Return the experiments, latest start first, and the errors in their files."""
        request = experiment_service_pb2.ListExperimentsRequest(catalog_id=self.catalog)
        found = await self._call(self.calls.admin.ListExperiments, request, timeout)
        return from_wire.experiments(found)

    async def experiment_report(
        self, name: str, *, timeout: float | None = None
    ) -> ExperimentReport:
        """Return how the arms perform, with intervals that stay valid however often they are read.
        NotFound (EXPERIMENT_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = experiment_service_pb2.GetExperimentReportRequest(
                catalog_id=self.catalog, name=name
            )
        found = await self._call(self.calls.admin.GetExperimentReport, request, timeout)
        return from_wire.experiment_report(found)

    async def experiment_units(
        self, name: str, *, timeout: float | None = None
    ) -> tuple[ExperimentUnit, ...]:
        """Return the units that were counted, hashed. ``timeout`` is that of one page. NotFound
        (EXPERIMENT_NOT_FOUND)."""
        with to_wire.sendable("request"):
            request = experiment_service_pb2.ListExperimentUnitsRequest(
                catalog_id=self.catalog, name=name, page_size=_PAGE
            )
        pages = self._pages(self.calls.admin.ListExperimentUnits, request, timeout)
        read = from_wire.experiment_unit
        return tuple([read(each) async for page in pages for each in page.units])
