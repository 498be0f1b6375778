"""The embedder's errors."""

import re

from embedder import model
from servicekit.errors import Code, ServiceError

MADE = [
    model.BatchInvalid(65),
    model.ItemEmpty(),
    model.TextInvalid(0),
    model.BoxInvalid("x"),
    model.ViewsInvalid(5),
    model.PhotoUndecodable("x"),
    model.PhotoTooLarge("x"),
    model.SpaceUnavailable("x"),
    model.SpaceVersionUnavailable("visual", ["a" * 16]),
    model.ModelNotReady("x"),
    model.ClassifierUnavailable("x"),
    model.SpaceNotFound(),
    model.FitInvalid("x"),
    model.FitUnavailable("x"),
    model.FitInProgress(),
    model.FitFailed(-9),
    model.PromotionRefused("WORSE", "x"),
    model.EmbedderUnavailable("x"),
    model.ProcessLost("its process ended"),
    model.ModelSilent(),
    model.QueueFull(),
    model.DeadlinePassed(),
    model.ModelFailed("x"),
]


def own_errors() -> set[type[ServiceError]]:
    return {
        kind
        for kind in vars(model).values()
        if isinstance(kind, type) and issubclass(kind, ServiceError) and kind is not ServiceError
    }


def test_the_tree_at_the_top_of_the_module_names_every_error_with_its_reason() -> None:
    drawn = dict(re.findall(r"── (\w+) +([A-Z_]+)  ", model.__doc__ or ""))
    assert {type(error) for error in MADE} == own_errors()
    assert drawn == {type(error).__name__: error.reason for error in MADE}


def test_what_may_succeed_in_a_moment_says_when_and_nothing_else_does() -> None:
    retried = {error.reason for error in MADE if error.retry_after is not None}
    assert retried == {"EMBEDDER_UNAVAILABLE", "EMBED_QUEUE_FULL", "FIT_IN_PROGRESS"}


def test_a_caller_s_mistake_is_never_reported_as_ours() -> None:
    ours = {error.reason for error in MADE if error.code in {Code.INTERNAL, Code.UNKNOWN}}
    assert ours == {"FIT_FAILED", "MODEL_FAILED"}
