"""The start of a request: its scene, plan and trace."""

import time

from gateway.model.query import RequestQuery
from gateway.recommend.plan_request import make_plan, scened
from gateway.state import tokens
from gateway.state.request_context import RequestContext, RequestDependencies
from gateway.state.trace import RequestTrace
from servicekit import deadlines


def begin(
    query: RequestQuery, deps: RequestDependencies, *, in_experiments: bool = True
) -> RequestContext:
    """Plan a checked request within the caller's deadline, else the default time.

    The run of a request that is not personal has no shopper and no visit. `in_experiments`: whether
    the arm of an experiment may answer it.
    """
    query = query.as_answered
    trace, left = RequestTrace(), deadlines.remaining()
    given = deps.default_seconds if left is None else min(left, deps.longest_seconds)
    seconds = max(given - deps.reserve_seconds, 0.0)
    now, there = round(time.time() * 1e6), deps.experiments if in_experiments else None
    name, arms = there.answering(query, now) if there else (query.scene, ())
    scene = deps.scenes.get(name, query.catalog_id)
    if query.read_labels:
        scene = scene.reading_labels
    digests, query = tokens.digests(query), scened(query, scene)
    plan = make_plan(query, scene, seconds)
    return RequestContext(query, digests, plan, deps, trace, now, arms)


async def may_be_in_experiments(query: RequestQuery, deps: RequestDependencies) -> bool:
    """Return whether the arm of an experiment may answer a request; the ranker is asked only if
    there is an arm."""
    there = deps.experiments
    return there is None or await there.permitted(query.as_answered, round(time.time() * 1e6))
