"""Reports of experiments: offers of the catalog in, margins out for operators alone."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from google.type.money_pb2 import Money

from gateway.servicer.experiments import MOST_READ, ExperimentReports
from servicekit import access
from sightline.common.v1.product_pb2 import Product
from sightline.ranker.v1 import experiment_service_pb2 as pb

METRICS = ("click_rate", "revenue", "margin", "margin_per_impression")


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
        metrics = [pb.MetricReport(metric=each) for each in METRICS]
        verdict = pb.ArmReport.VERDICT_BETTER
        return pb.ExperimentReport(arms=[pb.ArmReport(metrics=metrics, verdict=verdict)] * 2)


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
    ("role", "seen"), [(access.Role.OPERATE, METRICS), (access.Role.MODELS, METRICS[:2])]
)
async def test_only_who_may_read_costs_sees_margins(
    role: access.Role, seen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = SimpleNamespace(roles=frozenset({role}))
    reports = ExperimentReports(Ranker(["p1"]), Retriever())  # type: ignore[arg-type]
    token = access.caller.set(caller)  # type: ignore[arg-type]
    try:
        report = await reports.report("default", "order")
    finally:
        access.caller.reset(token)
    for arm in report.arms:
        assert tuple(each.metric for each in arm.metrics) == seen
        assert arm.verdict == pb.ArmReport.VERDICT_BETTER


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
