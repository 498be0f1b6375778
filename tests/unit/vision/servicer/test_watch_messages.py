"""Watches in messages."""

from __future__ import annotations

import pytest

from sightline.vision.v1 import watch_pb2 as pb
from vision.domain.watches import (
    OBJECT_SIMILARITY,
    PHOTO_SIMILARITY,
    PRODUCT_SIMILARITY,
    WatchTarget,
)
from vision.servicer.watch_messages import watch_draft


def rule(target: pb.WatchTarget, *, counted: bool) -> pb.WatchRule:
    if counted:
        detected = pb.DetectedCondition(target=target, below=3)
        return pb.WatchRule(rule_id="few", detected=detected)
    presence = pb.PresenceCondition(target=target, direction=pb.PresenceCondition.DIRECTION_GONE)
    return pb.WatchRule(rule_id="few", presence=presence)


@pytest.mark.parametrize(
    ("target", "counted", "similarity"),
    [
        (pb.WatchTarget(product_id="wine"), False, PRODUCT_SIMILARITY),
        (pb.WatchTarget(image=b"photo"), False, PHOTO_SIMILARITY),
        (pb.WatchTarget(product_id="wine"), True, PRODUCT_SIMILARITY),
        (pb.WatchTarget(image=b"photo"), True, OBJECT_SIMILARITY),
        (pb.WatchTarget(image=b"photo", min_similarity=0.8), True, 0.8),
    ],
)
def test_a_target_without_a_similarity_has_that_of_its_kind(
    target: pb.WatchTarget, counted: bool, similarity: float
) -> None:
    message = pb.Watch(watch_id="shelf", rules=[rule(target, counted=counted)])
    (found,) = watch_draft(message).watch.rules
    assert isinstance(found.target, WatchTarget)
    assert found.target.min_similarity == pytest.approx(similarity)
