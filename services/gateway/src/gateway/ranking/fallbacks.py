"""Descriptions of degraded answers: degradations, fallbacks and reasons. Pure."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from gateway.model.peer_failures import StageFailure
from gateway.ranking.wording import CACHED, own_reason
from sightline_core.branch import BRANCHES, Branch, branches_of
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.reasons import Reason

FEATURED = "FEATURED"
"""Reason of a product that no branch found because a control pinned it."""


OWN_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "FOLLOWED": BRANCHES[Branch.FOLLOWED].reason,
        "FRESHNESS": BRANCHES[Branch.NEW].reason,
        "GIVEN": BRANCHES[Branch.GIVEN].reason,
    }
)
"""Reasons for parts that the gateway computes; the ranker reports these by the part's name."""


def degradations(
    failures: Collection[StageFailure],
    reported: Collection[Degradation],
    named: Sequence[Branch],
    snapshot_micros: int = 0,
) -> tuple[Degradation, ...]:
    """Return each degradation once, with its substitute, in the order of the stages.

    Failures seen by the gateway precede those reported by peers. `named`: branches that found
    candidates. `snapshot_micros`: time when the shown products were read; 0: by this request.
    """
    if not (failures or reported):
        return ()
    once: dict[tuple[str, int], Degradation] = {}
    for failure in sorted(failures, key=_place):
        substitute, as_of = _substitute(failure, named), 0
        if snapshot_micros and failure.stage == HYDRATE:
            substitute, as_of = "prices and stock from an earlier read", snapshot_micros
        own = Degradation(failure.stage, failure.cause, substitute, as_of)
        once.setdefault((failure.stage, failure.cause), own)
    for item in reported:
        once.setdefault((item.stage, item.cause), item)
    return tuple(once.values())


@lru_cache(CACHED)
def reasons_for(
    bits: int, given: tuple[Reason, ...] | None, language_code: str = ""
) -> tuple[Reason, ...]:
    """Return the ranker's reasons, else those of the gateway, which alone knows that a product is
    new. `bits`: the branches that found the product."""
    branches = branches_of(bits)
    if not given:
        codes = [BRANCHES[branch].reason for branch in branches] or [FEATURED]
        return tuple(own_reason(code, language_code) for code in codes)
    given = tuple(
        [
            own_reason(OWN_PARTS[reason.code], language_code)
            if reason.code in OWN_PARTS
            else reason
            for reason in given
        ]
    )
    new = BRANCHES[Branch.NEW].reason
    if Branch.NEW in branches and all(reason.code != new for reason in given):
        return (*given, own_reason(new, language_code))
    return given


HYDRATE = "hydrate"
"""The stage that reads a page's products from the record."""
_STAGES = (*Branch, "facets", "controls", "rank", HYDRATE, "record")


def _place(failure: StageFailure) -> tuple[int, str, str]:
    place = _STAGES.index(failure.stage) if failure.stage in _STAGES else len(_STAGES)
    return place, failure.stage, failure.cause.name


def _substitute(failure: StageFailure, named: Sequence[Branch]) -> str:
    if failure.cause is DegradationCause.PROFILE_UNAVAILABLE:
        return "a result that is not personal; products that the shopper hid may be shown"
    if failure.cause is DegradationCause.ANSWER_RECORD_DROPPED:
        return "this page only"
    match failure.stage:
        case "controls":
            return "the order without controls that need it"
        case "rank":
            given = Branch.GIVEN in named
            return "the order of the request" if given else "the order of fused similarity"
        case "facets":
            return "no counts"
        case "hydrate":
            return "the products that could be read"
    if not named:
        return "nothing"
    return " and ".join(BRANCHES[branch].finds for branch in named)
