"""How good an answer is. Pure."""

from collections.abc import Collection, Iterable

from gateway.model.branch import Branch
from gateway.model.messages import Degradation
from gateway.model.quality import Quality

_FALLBACKS = frozenset({Branch.POPULAR, Branch.NEW})


def quality_of(
    degradations: Iterable[Degradation],
    named: Collection[Branch],
    wanted: Collection[Branch] = (),
    *,
    from_snapshot: bool,
) -> Quality:
    """The quality of an answer whose products these branches named; new products where they are
    `wanted` stand in for nothing.

    That later pages are lost does not make this one poorer.
    """
    if from_snapshot:
        return Quality.SNAPSHOT
    dropped = Degradation.CAUSE_ANSWER_RECORD_DROPPED
    lost = {each.stage for each in degradations if each.cause != dropped}
    if not lost:
        return Quality.FULL
    if _FALLBACKS.difference(wanted).issuperset(named) and not lost.isdisjoint(Branch):
        return Quality.FALLBACK
    return Quality.REDUCED
