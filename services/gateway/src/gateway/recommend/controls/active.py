"""Controls that apply at the time of a request, and their exclusions."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.model.controls import (
    NO_OUTCOMES,
    ActiveControl,
    ControlOutcome,
    ControlOutcomes,
    ControlState,
)
from gateway.model.filters import CallersFilter
from gateway.model.plan import MOST_RANKED
from gateway.model.query import RequestQuery
from gateway.recommend.controls.conditions import is_met
from gateway.state.request_context import RequestContext
from servicekit.admission import access
from sightline_core.changed import changed
from sightline_rules.controls import ControlKind


async def activate_controls(run: RequestContext) -> tuple[RequestContext, ControlOutcomes]:
    """Return the run with its active controls and exclusions, and the outcomes known so far.

    For pins, only the reasons why they are inactive are known before products are read.
    """
    if not (run.query.controls or run.plan.scene.controls):
        return run, NO_OUTCOMES
    given = [ActiveControl(each, "") for each in run.query.controls]
    given += [ActiveControl(each, run.plan.scene.name) for each in run.plan.scene.controls]
    counts: Mapping[str, int] = {}
    if budgeted := [each.key for each in given if each.control.daily_budget]:
        ask = run.peers.ranker.control_counts
        counts = await run.deps.exposures.of(run.query.catalog_id, budgeted, ask)
    active, outcomes = list[ActiveControl](), list[ControlOutcome]()
    for each in given:
        reason = inactive_reason(each, run.query, run.time_micros, counts)
        if reason is None:
            active.append(_with_boost(run, each))
        if reason is not None or each.control.kind is not ControlKind.PIN:
            outcomes.append(each.outcome(reason or ControlState.APPLIED))
    return _restricted(run, tuple(active)), tuple(outcomes)


def _with_boost(run: RequestContext, given: ActiveControl) -> ActiveControl:
    """Return a goal of exposure with the boost that its products are owed in answers to the caller;
    others as they are."""
    if not given.control.is_goal:
        return given
    caller = access.caller.get().name
    boost = run.deps.goals.boost(run.query.catalog_id, given.key, caller)
    return changed(given, control=changed(given.control, boost=boost))


def _restricted(run: RequestContext, active: tuple[ActiveControl, ...]) -> RequestContext:
    """Return the run with these controls, their exclusions, and enough candidates for pins."""
    left_out = (*run.query.exclude_product_ids, *excluded_ids(active))
    return changed(
        run,
        query=changed(run.query, exclude_product_ids=tuple(dict.fromkeys(left_out))),
        plan=changed(
            run.plan,
            controls=active,
            scope=run.plan.scope._replace(without=excluded_filters(active)),
            most=min(run.plan.most, MOST_RANKED - len(pinned_ids(active))),
        ),
    )


def inactive_reason(
    given: ActiveControl, query: RequestQuery, time_micros: int, counts: Mapping[str, int]
) -> ControlState | None:
    """Return why a control is inactive for a request at this time, with today's exposures; None if
    it is active."""
    control = given.control
    if control.when is not None and not is_met(control.when, query):
        return ControlState.UNMET
    if time_micros < control.start_time:
        return ControlState.NOT_YET
    if control.end_time and time_micros >= control.end_time:
        return ControlState.ENDED
    if control.daily_budget and counts.get(given.key, 0) >= control.daily_budget:
        return ControlState.OUT_OF_BUDGET
    return None


def of_kind(controls: Iterable[ActiveControl], kind: ControlKind) -> list[ActiveControl]:
    """Return the controls of one kind."""
    return [each for each in controls if each.control.kind is kind]


def pinned_ids(controls: Iterable[ActiveControl]) -> tuple[str, ...]:
    """Return the ids of all pinned products, each once."""
    if not controls:
        return ()
    pins = of_kind(controls, ControlKind.PIN)
    return tuple(dict.fromkeys(item for each in pins for item in each.control.product_ids))


def excluded_ids(controls: Sequence[ActiveControl]) -> tuple[str, ...]:
    """Return the ids of products excluded by id; pins of the request take precedence over its
    scene."""
    asked = pinned_ids(each for each in controls if not each.scene)
    excluding = of_kind(controls, ControlKind.EXCLUDE)
    ids = (item for each in excluding for item in each.control.product_ids)
    return tuple(item for item in dict.fromkeys(ids) if item not in asked)


def excluded_filters(controls: Iterable[ActiveControl]) -> tuple[CallersFilter, ...]:
    """Return the filters whose matches are excluded."""
    filters = (each.control.filter for each in of_kind(controls, ControlKind.EXCLUDE))
    return tuple(each for each in filters if each is not None)
