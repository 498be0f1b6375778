"""Reports of experiments: offers of the catalog in, with costs for operators alone."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from google.type.money_pb2 import Money

from gateway.servicer.experiments import MOST_READ, ExperimentReports
from servicekit.admission import access
from sightline.common.v1.product_pb2 import Product
from sightline.ranker.v1 import experiment_service_pb2 as pb


@dataclass
class Ranker:
    products: list[str]
    offers: list[pb.ProductOffer] = field(default_factory=list)

    async def experiment_products(self, catalog_id: str, name: str) -> list[str]:
        return self.products

    async def experiment_report(self, catalog_id: str, name: str) -> pb.ExperimentReport:
        return pb.ExperimentReport(arms=[pb.ArmReport()])

    async def counted_experiment(
        self, catalog_id: str, name: str, offers: list[pb.ProductOffer]
    ) -> pb.ExperimentReport:
        self.offers = offers
        return pb.ExperimentReport(arms=[pb.ArmReport()] * 2)


@dataclass
class Retriever:
    asked: list[int] = field(default_factory=list)

    async def products(
        self, catalog_id: str, ids: list[str], scope: object, *, unshown: bool
    ) -> Any:
        assert unshown
        self.asked.append(len(ids))
        euros = Money(currency_code="EUR", units=3)
        return SimpleNamespace(rows=[Product(product_id=each, cost=euros) for each in ids])


@pytest.mark.parametrize(
    ("role", "costed"), [(access.Role.OPERATE, True), (access.Role.MODELS, False)]
)
async def test_only_who_may_read_costs_has_them_counted(role: access.Role, costed: bool) -> None:
    """Verdicts and the numbers of products without a cost would reveal costs, too."""
    caller = SimpleNamespace(roles=frozenset({role}))
    ranker = Ranker(["p1"])
    reports = ExperimentReports(ranker, Retriever())  # type: ignore[arg-type]
    token = access.caller.set(caller)  # type: ignore[arg-type]
    try:
        await reports.report("default", "order")
    finally:
        access.caller.reset(token)
    assert [each.HasField("cost") for each in ranker.offers] == [costed]


async def test_costs_of_all_products_reach_the_ranker() -> None:
    ranker, retriever = Ranker([f"p{n}" for n in range(MOST_READ + 1)]), Retriever()
    await ExperimentReports(ranker, retriever).report("default", "order")  # type: ignore[arg-type]
    assert retriever.asked == [MOST_READ, 1]
    assert len(ranker.offers) == MOST_READ + 1
    assert ranker.offers[0].cost.units == 3


async def test_nothing_bought_needs_no_catalog() -> None:
    ranker, retriever = Ranker([]), Retriever()
    report = await ExperimentReports(ranker, retriever).report("default", "order")  # type: ignore[arg-type]
    assert report.arms
    assert not retriever.asked
