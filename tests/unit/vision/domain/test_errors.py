"""The errors of vision."""

import inspect
import re

import pytest

from servicekit.errors import ServiceError
from servicekit.status import from_status, to_status
from vision.domain import errors

MADE: list[ServiceError] = [
    errors.ImageRejected("IMAGE_UNDECODABLE", "is text", "images[0]"),
    errors.ProductNotFound("watch.rules[0]"),
    errors.ImageNotFound("image_id"),
    errors.ImageTakenDown("images[0]"),
    errors.ImageDamaged(),
    errors.ImageUnreadable("the host answered 404", "image_uri"),
    errors.SnapshotUnchanged(),
    errors.VersionMismatch("v1", "v2"),
    errors.EtagMismatch(),
    errors.EmbedderUnavailable(),
    errors.RetrieverUnavailable(),
    errors.RankerUnavailable(),
    errors.PhotosUnavailable(),
    errors.PhotosFull(),
    errors.PlanInvalid.at("plan.products", "is empty"),
    errors.WatchInvalid.at("watch.rules", "is empty"),
    errors.FrameTimeInvalid(),
    errors.ResumeTokenInvalid.at("resume_token", "is no token"),
    errors.WatchNotFound(),
    errors.WatchExists(),
    errors.WatchesFull(100),
    errors.WatchContended(),
    errors.WebhookInvalid.at("uri", "is empty"),
    errors.WebhookNotFound(),
    errors.WebhookExists(),
    errors.WebhooksFull(20),
    errors.WebhookKeysMissing(),
    errors.ImageUnreadable("gives no file", "image_uri"),
    errors.RankerUnavailable(),
    errors.PlanInvalid.at("plan", "is empty"),
    errors.ReferenceNotFound(),
    errors.ReferenceTooFewPhotos(3, 10),
    errors.ReferenceMixed(3, 9),
    errors.ReferencesFull(100, 8),
    errors.ReferenceFull(500),
    errors.PromotionRefused("WORSE", "x"),
    errors.FitInProgress("another reference is"),
    errors.ModelNotReady("m 1", "m 2"),
]


def test_every_error_of_the_model_is_tried_here() -> None:
    classes = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, ServiceError) and member.__module__ == errors.__name__
    }
    assert {type(error) for error in MADE} == classes


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_keeps_reason_and_fields_and_is_drawn(error: ServiceError) -> None:
    reported = from_status(to_status(error))
    assert (reported.code, reported.reason) == (error.code, error.reason)
    assert reported.violations == error.violations
    assert reported.retry_after == error.retry_after
    assert re.search(rf"{type(error).__name__}\s+.*{error.reason}", errors.__doc__ or "")
    if error.code == "UNAVAILABLE":
        assert error.retry_after, error.reason
