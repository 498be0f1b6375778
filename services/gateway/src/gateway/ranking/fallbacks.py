"""The ladder of degradation: what a failure means, and what the answer then rests on. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from gateway.model.branch import Branch
from gateway.model.causes import Cause, Loss
from gateway.model.messages import Degradation, Reason
from gateway.ranking.wording import own_reason

OWN_CODES: Mapping[Branch, str] = MappingProxyType(
    {
        Branch.VISUAL: "LOOKS_LIKE_QUERY",
        Branch.TEXT: "MATCHES_TEXT",
        Branch.TEXT_VISUAL: "LOOKS_LIKE_TEXT",
        Branch.KEYWORDS: "MATCHES_WORDS",
        Branch.COLLABORATIVE: "MATCHES_TASTE",
        Branch.POPULAR: "POPULAR",
        Branch.NEW: "NEW",
    }
)
"""What is said of a product when the ranker said nothing."""


def degradations(
    losses: Iterable[Loss], told: Iterable[Degradation], named: Sequence[Branch]
) -> tuple[Degradation, ...]:
    """What was lost and what stands in for it, once each: our own losses, then what peers told.

    In the order of the stages, however they raced.
    `named` are the branches that did name candidates.
    """
    once: dict[tuple[str, int], Degradation] = {}
    for loss in sorted(losses, key=_place):
        own = Degradation(
            stage=loss.stage,
            cause=Degradation.Cause.ValueType(loss.cause),
            substitute=_substitute(loss, named),
        )
        once.setdefault((loss.stage, loss.cause), own)
    for item in told:
        once.setdefault((item.stage, item.cause), item)
    return tuple(once.values())


def reasons_for(
    branches: Collection[Branch], given: tuple[Reason, ...], language_code: str = ""
) -> tuple[Reason, ...]:
    """The ranker's reasons, else our own; only the gateway knows that a product is new."""
    if not given:
        return tuple(own_reason(OWN_CODES[branch], language_code) for branch in branches)
    new = OWN_CODES[Branch.NEW]
    if Branch.NEW in branches and all(reason.code != new for reason in given):
        return (*given, own_reason(new, language_code))
    return given


_STAGES = (*Branch, "rank", "hydrate", "record")


def _place(loss: Loss) -> tuple[int, str, str]:
    place = _STAGES.index(loss.stage) if loss.stage in _STAGES else len(_STAGES)
    return place, loss.stage, loss.cause.name


def _substitute(loss: Loss, named: Sequence[Branch]) -> str:
    if loss.cause is Cause.PROFILE_UNAVAILABLE:
        return "nothing personal; products that the shopper hid may be shown"
    if loss.cause is Cause.ANSWER_RECORD_DROPPED:
        return "this page alone"
    match loss.stage:
        case "rank":
            return "the order of fused similarity"
        case "hydrate":
            return "the products that could be read"
    if not named:
        return "nothing"
    return " and ".join(_RESTS_ON[branch] for branch in named)


_RESTS_ON: Mapping[Branch, str] = MappingProxyType(
    {
        Branch.VISUAL: "products that look alike",
        Branch.TEXT: "products that match the text",
        Branch.TEXT_VISUAL: "products that look like the text",
        Branch.KEYWORDS: "products that have words of the text",
        Branch.COLLABORATIVE: "products that fit the shopper",
        Branch.POPULAR: "popular products that pass the filter",
        Branch.NEW: "the newest products that pass the filter",
    }
)
