"""Reports of experiments, with prices and costs of the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from gateway.clients.ranker import RankerClient
from gateway.model.query import AnswerScope
from gateway.ports import RetrieverPort
from gateway.servicer.requests import reads_costs
from sightline.common.v1 import product_pb2
from sightline.ranker.v1 import experiment_service_pb2 as pb

MOST_READ = 1_000
"""Products that are read at a time."""
MARGIN = "margin"
"""Prefix of the metrics that reveal costs."""


@dataclass(frozen=True, slots=True)
class ExperimentReports:
    """Reads reports of experiments."""

    ranker: RankerClient
    retriever: RetrieverPort

    async def report(self, catalog_id: str, name: str) -> pb.ExperimentReport:
        """Return an experiment's report, with metrics of margin for a caller that may read costs.
        Raises ServiceError."""
        bought = await self.ranker.experiment_products(catalog_id, name)
        if not bought:
            return await self.ranker.experiment_report(catalog_id, name)
        offers = await self._offers(catalog_id, bought)
        report = await self.ranker.counted_experiment(catalog_id, name, offers)
        return report if reads_costs() else _without_margin(report)

    async def _offers(self, catalog_id: str, product_ids: Sequence[str]) -> list[pb.ProductOffer]:
        offers = []
        for start in range(0, len(product_ids), MOST_READ):
            chunk = product_ids[start : start + MOST_READ]
            found = await self.retriever.products(catalog_id, chunk, AnswerScope(), unshown=True)
            rows = cast(Sequence[product_pb2.Product], found.rows)
            offers += [
                pb.ProductOffer(product_id=row.product_id, price=row.price, cost=row.cost)
                for row in rows
            ]
        return offers


def _without_margin(report: pb.ExperimentReport) -> pb.ExperimentReport:
    """Return the report without metrics that reveal costs; verdicts stay."""
    for arm in report.arms:
        kept = [each for each in arm.metrics if not each.metric.startswith(MARGIN)]
        del arm.metrics[:]
        arm.metrics.extend(kept)
    return report
