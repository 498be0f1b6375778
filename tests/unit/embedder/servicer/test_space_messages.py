"""Fitted spaces become messages."""

from __future__ import annotations

import pytest

from embedder.domain.manifest import ServingState
from embedder.servicer import messages
from embedder.spaces.listing import ListedSpace
from sightline.embedder.v1 import space_pb2
from tests.unit.embedder.spaces.test_listing import manifest


@pytest.mark.parametrize("standing", ServingState)
def test_a_space_has_the_values_of_its_manifest(standing: ServingState) -> None:
    found = manifest("a", 3, categories=12, shopper_photo_tags=("phone",), forced=True)
    message = messages.space(found, standing)
    assert space_pb2.SpaceState.Name(message.state) == f"SPACE_STATE_{standing.name}"
    assert (message.space, message.model, message.version) == ("visual", "a", found.version)
    assert (message.category_count, list(message.categories)) == (12, [])
    assert message.evaluation.verdict == space_pb2.SpaceEvaluation.VERDICT_BETTER
    assert len(message.evaluation.figures) == len(found.evaluation.figures)
    assert message.create_time.ToDatetime(found.create_time.tzinfo) == found.create_time
    assert (message.forced, list(message.shopper_photo_tags)) == (True, ["phone"])
    assert message == messages.listed(ListedSpace(None, found, standing))
