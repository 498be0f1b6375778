"""The report on exposure over real gRPC, from events and answers that really happened."""

from __future__ import annotations

import pytest

from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import exposure_report_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2
from tests.wire.ranker_suite import PRODUCTS, Suite, crowd, event, refusal, suite

__all__ = ["suite"]


async def answered(suite: Suite, name: str, scene: str = "home") -> list[str]:
    """Record an answer, and return its products."""
    draft = ranking_service_pb2.AnswerDraft(answer_id=name)
    draft.versions.scene = scene
    found = await suite.rank(record=draft)
    await suite.stored()
    return list(found.product_ids)


async def reported(suite: Suite, **fields) -> pb.ExposureReport:
    return await suite.models.GetExposureReport(pb.GetExposureReportRequest(**fields))


async def test_without_impressions_the_first_places_of_answers_count(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    first = (await answered(suite, "a1"))[:10]
    await answered(suite, "a2", scene="other")
    report = await reported(suite, scene="home")
    assert (report.answer_count, report.from_impressions) == (1, False)
    shown = {item[0] for item in first}
    assert {one.value for one in report.groups} == {"A" if kind == "r" else "B" for kind in shown}
    assert sum(one.share for one in report.groups) == pytest.approx(1)
    assert sum(one.product_count for one in report.groups) == 10
    assert not any(one.HasField("outcomes_per_exposure") for one in report.groups), "unknown"
    assert (await reported(suite)).answer_count == 2


async def test_impressions_count_where_they_are_reported(suite: Suite) -> None:
    await suite.append(*crowd())
    await suite.promote(await suite.learn())
    await answered(suite, "a1")
    bob = event_pb2.Shopper(user_id="bob")
    await suite.append(
        event("r0", "IMPRESSION", shopper=bob, answer_id="a1", position=1),
        event("w0", "IMPRESSION", shopper=bob, answer_id="a1", position=3),
        event("w0", "CLICK", shopper=bob, answer_id="a1"),
        event("w1", "IMPRESSION", shopper=bob, answer_id="a1"),  # nobody knows where
    )
    report = await reported(suite, by="brand")
    assert report.from_impressions
    shares = {one.value: one.share for one in report.groups}
    assert shares == pytest.approx({"A": 1 / 1.5, "B": 0.5 / 1.5})
    assert [one.outcomes_per_exposure for one in report.groups] == [0, 2]
    by_category = await reported(suite, by="category")
    assert {one.value for one in by_category.groups} == {"Red", "White"}
    for by, values in (("popularity", {str(n) for n in range(1, 11)}), ("newness", {"new", "old"})):
        found = await reported(suite, by=by)
        assert {one.value for one in found.groups} <= values
    other = await reported(suite, by="attribute.seller")
    assert [one.value for one in other.groups] == [""], "no model learns from it"


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("by", pb.GetExposureReportRequest(by="seller")),
        ("by", pb.GetExposureReportRequest(by="attribute.")),
        ("days", pb.GetExposureReportRequest(days=91)),
        ("days", pb.GetExposureReportRequest(days=-1)),
        ("scene", pb.GetExposureReportRequest(scene="x" * 65)),
        ("shoppers_by", pb.GetExposureReportRequest(shoppers_by="Größe")),
    ],
)
async def test_a_bad_report_is_refused_with_its_field(
    suite: Suite, field: str, request_: pb.GetExposureReportRequest
) -> None:
    error = await refusal(suite.models.GetExposureReport(request_))
    assert (error.reason, [one.field for one in error.violations]) == ("REQUEST_INVALID", [field])


async def test_the_ranker_says_the_relevance_of_the_products_of_controls_by_merit(
    suite: Suite,
) -> None:
    controls = ranking_service_pb2.Controls(page_size=3)
    controls.controls.add(name="reds", candidates=range(6), boost=0.5, by_merit=True)
    controls.controls.add(name="whites", candidates=range(6, 12), boost=0.1, by_merit=True)
    controls.controls.add(name="all", candidates=range(12), boost=0.1)
    found = await suite.rank(controls=controls)
    assert len(PRODUCTS) == 12
    assert sum(found.control_merits) == pytest.approx(1)
    assert found.control_merits[2] == 0, "not by merit"
    for control in controls.controls:
        control.by_merit = False
    assert len((await suite.rank(controls=controls)).control_merits) == 0
