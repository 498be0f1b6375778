"""Comparisons with plans and suggested quantities become messages."""

from __future__ import annotations

import pytest

from sightline.vision.v1 import shelf_pb2 as pb
from sightline_rules.photo_areas import PhotoArea
from vision.detection.plan_comparison import FindingKind, PlanComparison, PlanCount, PlanFinding
from vision.detection.stock import ReorderQuantity, StockLack, StockSuggestion
from vision.servicer.shelf_plans import _comparison, _suggestion


@pytest.mark.parametrize("kind", FindingKind)
def test_a_finding_names_its_detection_and_its_entry_only_if_it_has_them(
    kind: FindingKind,
) -> None:
    findings = [
        PlanFinding(kind, "a", 1, PhotoArea(0.25, 0, 1, 1), 0, 2),
        PlanFinding(kind, "b", 0, None),
    ]
    counts = [PlanCount("a", 3, {FindingKind.PRESENT: 2, FindingKind.OUT_OF_ORDER: 1})]
    message = _comparison(PlanComparison(findings, counts, 4, 0.5))
    first, second = message.findings
    assert pb.PlanFinding.Kind.Name(first.kind) == f"KIND_{kind}"
    assert (first.product_id, first.row, first.detection, first.planned) == ("a", 1, 0, 2)
    assert first.HasField("detection")
    assert first.box.left == 0.25
    assert not any(second.HasField(name) for name in ("detection", "planned", "box"))
    (count,) = message.counts
    assert (count.planned, count.present, count.out_of_order, count.missing) == (3, 2, 1, 0)
    assert (message.row_count, message.compliance) == (4, 0.5)


@pytest.mark.parametrize("lack", StockLack)
def test_a_suggestion_has_a_quantity_or_says_what_lacks(lack: StockLack) -> None:
    found = StockSuggestion("a", 2, "why", 5, 28, lack)
    message = _suggestion(found)
    assert pb.StockSuggestion.Lack.Name(message.lack) == f"LACK_{lack}"
    assert (message.product_id, message.on_shelf, message.text) == ("a", 2, "why")
    assert (message.sold_units, message.observed_days) == (5, 28)
    assert not message.HasField("quantity")
    quantity = ReorderQuantity(7, 3, 9, 6.5, 1.5)
    known = _suggestion(StockSuggestion("a", 2, "why", quantity=quantity))
    assert (known.quantity, known.quantity_low, known.quantity_high) == (7, 3, 9)
    assert (known.expected_demand, known.safety_stock) == (6.5, 1.5)
