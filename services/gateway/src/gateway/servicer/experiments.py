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


@dataclass(frozen=True, slots=True)
class ExperimentReports:
    """Reads reports of experiments."""

    ranker: RankerClient
    retriever: RetrieverPort

    async def report(self, catalog_id: str, name: str) -> pb.ExperimentReport:
        """Return an experiment's report, counted with costs for a caller that may read them.
        Raises ServiceError."""
        bought = await self.ranker.experiment_products(catalog_id, name)
        if not bought:
            return await self.ranker.experiment_report(catalog_id, name)
        offers = await self._offers(catalog_id, bought)
        return await self.ranker.counted_experiment(catalog_id, name, offers)

    async def _offers(self, catalog_id: str, product_ids: Sequence[str]) -> list[pb.ProductOffer]:
        offers, with_costs = [], reads_costs()
        for start in range(0, len(product_ids), MOST_READ):
            chunk = product_ids[start : start + MOST_READ]
            found = await self.retriever.products(catalog_id, chunk, AnswerScope(), unshown=True)
            rows = cast(Sequence[product_pb2.Product], found.rows)
            offers += [
                pb.ProductOffer(
                    product_id=row.product_id,
                    price=row.price,
                    cost=row.cost if with_costs else None,
                )
                for row in rows
            ]
        return offers
