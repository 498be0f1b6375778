"""Reports about an answer: degradations, versions, quality and best match."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from operator import attrgetter

from gateway.model.match import Match, MatchRule, SearchedSpace
from gateway.model.quality import Quality, check_quality, quality_of
from gateway.model.query import RequestQuery, Signal
from gateway.model.response import CorrectedQuery
from gateway.model.scene import Scene
from gateway.ranking.fallbacks import degradations
from gateway.state.trace import RequestTrace, plan_of
from sightline_core.answer import AnswerOrder, AnswerResult
from sightline_core.branch import JUDGED, Branch
from sightline_core.candidates import CandidateList, FusedCandidates
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.versions import SpaceVersion, Versions


def degraded(trace: RequestTrace, candidates: FusedCandidates) -> tuple[Degradation, ...]:
    """Return the degradations so far."""
    if not (trace.failures or trace.reported):
        return ()
    return degradations(trace.failures, trace.reported, candidates.named, trace.snapshot_micros)


_SPACE = attrgetter("space")


def versions_of(trace: RequestTrace, scene: Scene, service_version: str, *steps: str) -> Versions:
    """Return the versions behind the answer so far; `steps`: further steps of its plan."""
    found = (tuple(trace.spaces), trace.model_version, service_version)
    return _versions(
        tuple(scene.labels.items()), found, tuple(trace.branch_steps), (*trace.steps, *steps)
    )


@lru_cache(1024)
def _versions(
    labels: tuple[tuple[str, str], ...],
    found: tuple[tuple[SpaceVersion, ...], str, str],
    branch_steps: tuple[str, ...],
    steps: tuple[str, ...],
) -> Versions:
    spaces, model_version, service_version = found
    return Versions(
        spaces=tuple(sorted(spaces, key=_SPACE)),
        model_version=model_version,
        plan=plan_of(branch_steps, steps),
        service_version=service_version,
        **dict(labels),
    )


def corrected_queries(
    signals: Sequence[Signal], texts: Mapping[int, str]
) -> tuple[CorrectedQuery, ...]:
    """Return the texts of the request that were corrected. `texts`: as corrected, by index."""
    if not texts:
        return ()
    return tuple(
        CorrectedQuery(each.index, each.text, texts[each.index])
        for each in signals
        if each.index in texts
    )


def answer_quality(
    query: RequestQuery,
    scene: Scene,
    trace: RequestTrace,
    lost: Sequence[Degradation],
    named: Collection[Branch],
) -> Quality:
    """Return the quality of an answer whose products these branches found.

    Raises AnswerDegraded below the minimum of request or scene.
    """
    from_snapshot = bool(trace.snapshot_micros)
    if not (lost or from_snapshot):
        return Quality.FULL
    found = quality_of(lost, named, scene.used, from_snapshot=from_snapshot)
    return check_quality(found, query.min_answer_quality or scene.min_answer_quality, lost)


def found_by(results: Iterable[AnswerResult]) -> Set[Branch]:
    """Return the branches that found products."""
    return {each for item in results for each in item.answered.branches}


def best_match(
    query: RequestQuery,
    scene: Scene,
    trace: RequestTrace,
    listings: Sequence[CandidateList],
    order: AnswerOrder | None = None,
) -> Match | None:
    """Return the best match by the thresholds of scene and request.

    None if no signal of the request was searched. `order`: the ranker's order.
    """
    judged = [each for each in listings if each.branch in JUDGED and not each.negative]
    lost = False
    for failure in trace.failures:
        if failure.stage in JUDGED and failure.cause is not DegradationCause.SPACE_UNAVAILABLE:
            lost = True
    if not (judged or lost):
        return None
    spaces = [
        SearchedSpace(each, trace.nearest_cosines.get(each.generation, ())) for each in trace.spaces
    ]
    rule = MatchRule(scene.match, scene.min_quality, query.min_quality, trace.match_cosines)
    return rule.judge(judged, spaces, order, incomplete=lost)
