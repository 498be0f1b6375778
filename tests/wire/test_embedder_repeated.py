"""Each call to the embedder that is declared idempotent has one effect when it is made again."""

from pathlib import Path
from typing import Any

import pytest

from embedder.inspection.inspect_piece import Inspector
from embedder.inspection.references import References
from embedder.servicer.inspection import InspectionServicer
from embedder.servicer.spaces import SpaceServicer
from embedder.settings import EmbedderSettings
from tests.fakes.gateway_rest import scripted
from tests.fakes.pieces import piece
from tests.unit.embedder.inspection.test_inspection_use_cases import (
    features,
    inspector,
    made,
    model,
    models,
)
from tests.unit.embedder.spaces.test_promote import Service, fitted, service
from tests.wire.cancelled_calls import Offered, filled
from tests.wire.repeated_calls import methods

__all__ = ["features", "fitted", "inspector", "made", "model", "models", "service"]

pytestmark = [pytest.mark.slow, pytest.mark.full]
PHOTOS = [piece(seed) for seed in range(12)]
VALUES = {"image": piece(100), "images": piece(20), "product_id": "wine", "reference_id": "r"}
ORDER = (
    "InspectionService/AddReferencePhotos",
    "InspectionService/FitReference",
    "InspectionService/RunReferenceFit",
    "InspectionService/PromoteReference",
    "InspectionService/DeleteReference",
    "AdminService/PromoteSpace",
    "AdminService/RetireSpace",
)
STREAM = {"SpaceService/FitSpace"}
"""Has a stream of photos: tests/unit/embedder/spaces/test_learn.py cancels it."""


def files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def offered(made: References, inspector: Inspector, service: Service) -> Offered:
    """Return the calls of an embedder that keep something."""
    spaces = SpaceServicer(None, service.promotion, ("default",))  # type: ignore[arg-type]
    servicers = (InspectionServicer(made, inspector, ("default",)), spaces)
    found = Offered(scripted("embedder", servicers), EmbedderSettings(port=0))
    for name in STREAM:
        del found.methods[name]
    return found


def given(service: Service) -> dict[str, dict[str, Any]]:
    """Return the fields of the calls beside VALUES."""
    version, _ = service.only()
    return {
        "InspectionService/AddReferencePhotos": {"images": PHOTOS},
        "AdminService/PromoteSpace": {"version": version.version},
        "AdminService/RetireSpace": {"version": version.version},
        "InspectionService/DeleteReference": {"version": ""},
    }


def test_every_call_that_is_made_again_is_made_twice() -> None:
    assert methods("embedder").keys() == set(ORDER)


async def test_a_call_that_is_made_again_has_one_effect(
    offered: Offered, service: Service, tmp_path: Path
) -> None:
    for name in ORDER:
        request = filled(offered.methods[name], VALUES, given(service).get(name, {}))
        first = await offered.answer(name, request)
        after = files(tmp_path)
        assert not first.split(":")[0].isupper(), f"{name}: {first}"
        assert await offered.answer(name, request) == first, name
        assert files(tmp_path) == after, name
