"""The embedder's errors."""

import re

from embedder.domain import errors
from servicekit.errors import Code, ServiceError

MADE = [
    errors.BatchInvalid(65),
    errors.ItemEmpty(),
    errors.TextInvalid(0),
    errors.BoxInvalid("x"),
    errors.ViewsInvalid(5),
    errors.PhotoUndecodable("x"),
    errors.PhotoTooLarge("x"),
    errors.PhotosTooLarge(41_000_000, 40_000_000),
    errors.SpaceUnavailable("x"),
    errors.SpaceVersionUnavailable("visual", ["a" * 16]),
    errors.ModelNotReady("x"),
    errors.ClassifierUnavailable("x"),
    errors.SpaceNotFound(),
    errors.FitInvalid("x"),
    errors.FitUnavailable("x"),
    errors.FitInProgress(),
    errors.FitFailed(-9),
    errors.PromotionRefused("WORSE", "x"),
    errors.SpaceUnsigned(),
    errors.EmbedderUnavailable("x"),
    errors.ProcessLost("its process ended"),
    errors.ModelSilent(),
    errors.SpacesFull(8),
    errors.QueueFull(),
    errors.DeadlinePassed(),
    errors.ModelFailed("x"),
    errors.HeatMapUnavailable("x"),
    errors.ModelAbsent("x"),
]


def own_errors() -> set[type[ServiceError]]:
    return {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, ServiceError)
        and kind.__module__ == errors.__name__
    }


def test_the_tree_at_the_top_of_the_module_names_every_error_with_its_reason() -> None:
    drawn = dict(re.findall(r"── (\w+) +([A-Z_]+)  ", errors.__doc__ or ""))
    assert {type(error) for error in MADE} == own_errors()
    assert drawn == {type(error).__name__: error.reason for error in MADE}


def test_what_may_succeed_in_a_moment_says_when_and_nothing_else_does() -> None:
    retried = {error.reason for error in MADE if error.retry_after is not None}
    assert retried == {"EMBEDDER_UNAVAILABLE", "EMBED_QUEUE_FULL", "FIT_IN_PROGRESS"}


def test_a_caller_s_mistake_is_never_reported_as_ours() -> None:
    ours = {error.reason for error in MADE if error.code in {Code.INTERNAL, Code.UNKNOWN}}
    assert ours == {"FIT_FAILED", "MODEL_FAILED"}
