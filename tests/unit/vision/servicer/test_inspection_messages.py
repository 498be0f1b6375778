"""References and comparisons of pieces become messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sightline.vision.v1 import inspection_service_pb2 as pb
from sightline_rules.photo_areas import PhotoArea
from vision.domain.inspection import AnomalousPart, PieceComparison, PieceVerdict, VerdictDoubt
from vision.domain.reference_evaluation import (
    ReferenceEvaluation,
    ReferenceFigures,
    ReferenceVerdict,
)
from vision.domain.references import ListedReference, ReferenceManifest, ReferenceState
from vision.inspection.inspect_piece import InspectedPiece
from vision.servicer.inspection import _inspected, _reference

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MANIFEST = ReferenceManifest(
    *("cap", "0" * 16, "p1", 40, 1.5, "dino"), create_time=NOW, file="0" * 64, size_bytes=9
)


@pytest.mark.parametrize("doubt", [None, *VerdictDoubt])
@pytest.mark.parametrize("verdict", PieceVerdict)
def test_a_comparison_is_answered_with_its_reference(
    verdict: PieceVerdict, doubt: VerdictDoubt | None
) -> None:
    parts = (AnomalousPart(PhotoArea(0.25, 0, 1, 1), 2.5),)
    compared = PieceComparison(verdict, doubt, 1.5, 2.0, None, None, 0.25, 0.125, parts)
    piece = InspectedPiece(compared, MANIFEST, 0.5, b"png")
    message = _inspected(piece)
    assert pb.InspectResponse.Verdict.Name(message.verdict) == f"VERDICT_{verdict}"
    assert pb.InspectResponse.Doubt.Name(message.doubt) == f"DOUBT_{doubt or 'UNSPECIFIED'}"
    assert (message.score, message.threshold, message.p_value) == (1.5, 2.0, 0.25)
    assert not message.HasField("threshold_low")
    assert (message.false_alarm_rate, message.least_false_alarm_rate) == (0.5, 0.125)
    assert (message.parts[0].box.left, message.parts[0].score) == (0.25, 2.5)
    assert message.heat_map_png == b"png"
    named = (message.reference_id, message.version, message.product_id)
    assert named == ("cap", "0" * 16, "p1")


def test_a_draft_has_no_version_and_a_fitted_reference_its_evaluation() -> None:
    draft = _reference(ListedReference("cap", ReferenceState.DRAFT, 12, NOW))
    assert (draft.reference_id, draft.photo_count, draft.version) == ("cap", 12, "")
    assert draft.state == pb.InspectionReference.STATE_DRAFT
    assert draft.create_time.ToDatetime(UTC) == NOW
    assert not draft.HasField("evaluation")
    figures = ReferenceFigures(*(0.5 for _ in ReferenceFigures.__dataclass_fields__))
    found = ReferenceEvaluation(
        *(ReferenceVerdict.BETTER, "v0", 30, 20, figures, figures, 0.25, 0.75)
    )
    manifest = replace(MANIFEST, evaluation=found)
    message = _reference(ListedReference("cap", ReferenceState.SERVING, 40, NOW, manifest))
    assert (message.version, message.size_bytes, message.model) == ("0" * 16, 9, "dino")
    assert 0 < message.least_false_alarm_rate < 1
    assert message.evaluation.verdict == pb.ReferenceEvaluation.VERDICT_BETTER
    counts = (message.evaluation.photo_count, message.evaluation.defect_count)
    assert (counts, message.evaluation.gain_high) == ((30, 20), 0.75)
    assert message.evaluation.fitted.ListFields()
