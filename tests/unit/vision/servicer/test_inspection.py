"""Calls about references count verdicts, and say what a fit in a job will take."""

from __future__ import annotations

from typing import Any

import pytest

from servicekit.admission import costs
from servicekit.admission.costs import Cost
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from sightline.vision.v1 import inspection_service_pb2 as pb
from tests.unit.vision.servicer.test_inspection_messages import MANIFEST
from vision.domain.catalog_keys import same
from vision.domain.errors import EmbedderUnavailable
from vision.domain.inspection import PieceComparison, PieceVerdict
from vision.inspection.inspect_piece import InspectedPiece
from vision.servicer.inspection import FIT_SECONDS, INSPECTIONS, InspectionServicer
from vision.wiring import job_queue


class Inspecting:
    """Finds every piece of one verdict, or fails."""

    def __init__(self, verdict: PieceVerdict, error: ServiceError | None = None) -> None:
        self.verdict, self.error = verdict, error

    async def inspect(self, *_: Any) -> InspectedPiece:
        if self.error is not None:
            raise self.error
        compared = PieceComparison(self.verdict, None, 1.5, 2.0, None, None, 0.25, 0.125, ())
        return InspectedPiece(compared, MANIFEST, 0.5, b"")


def servicer(inspecting: Any = None, jobs: Any = None) -> InspectionServicer:
    none: Any = None
    return InspectionServicer(("default",), none, inspecting, jobs, same)


def counted() -> dict[str, float]:
    return {each: INSPECTIONS.labels(each.lower())._value.get() for each in PieceVerdict}


@pytest.mark.parametrize("verdict", PieceVerdict)
async def test_a_verdict_is_counted_and_a_failed_call_is_not(verdict: PieceVerdict) -> None:
    before, none = counted(), None
    await servicer(Inspecting(verdict)).Inspect(pb.InspectRequest(image=b"x"), none)
    after = counted()
    assert after == {**before, verdict: before[verdict] + 1}
    down = servicer(Inspecting(verdict, EmbedderUnavailable()))
    with pytest.raises(EmbedderUnavailable):
        await down.Inspect(pb.InspectRequest(image=b"x"), none)
    assert counted() == after


async def test_a_fit_in_a_job_costs_its_caller_what_it_will_take(db: Database) -> None:
    cost = Cost()
    given = costs.current.set(cost)
    asked = pb.StartReferenceFitRequest(reference_id="bottle")
    await servicer(jobs=job_queue(db)).StartReferenceFit(asked, None)
    costs.current.reset(given)
    assert cost.seconds == pytest.approx(FIT_SECONDS)
