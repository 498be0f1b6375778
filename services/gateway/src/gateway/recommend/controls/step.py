"""Controls applied to candidates, with their effects; every step returns its outcomes."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial

from gateway.model.causes import Peer
from gateway.model.controls import ActiveControl, ControlOutcomes, ControlRule, ControlState
from gateway.model.errors import PeerUnavailable
from gateway.model.filters import CallersFilter
from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope
from gateway.ranking.near_duplicates import apart
from gateway.ranking.passing import passing
from gateway.recommend.controls.active import of_kind, pinned_ids
from gateway.retrieval.fallback import proven
from gateway.state.exposure_goals import ExposureGoals
from gateway.state.request_context import RequestContext
from gateway.state.trace import RequestTrace, Stage
from servicekit.admission import access
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import in_parallel
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns, gathered
from sightline_core.ranking import Ranked
from sightline_core.search import CheckedProducts, Rejection
from sightline_rules import controls as rules
from sightline_rules.controls import ControlKind
from sightline_rules.filters import Not
from sightline_rules.messages import read
from sightline_rules.rejections import words

STAGE = "controls"
UNBUYABLE = "availability != OUT_OF_STOCK"
"""Condition of scenes that exclude products out of stock."""
NO_BOOST = 1e-12
"""Boost in place of 0, which the ranker rejects: it moves nothing that differs in score."""
COMPARED = 1_000
"""Number of characters of a condition that are compared: a rejection may truncate it."""


Matching = Callable[[CallersFilter], Coroutine[object, object, Collection[str]]]
"""Returns those of some candidates that pass a filter."""


async def apply_controls(
    run: RequestContext, candidates: FusedCandidates
) -> tuple[FusedCandidates, ControlOutcomes]:
    """Return the candidates with pinned products and controls, and the outcomes of other pins."""
    controls = run.plan.controls
    if not controls:
        return candidates, ()
    pins = pinned_ids(controls)
    out = _excluded(pins, run.excluded, run.query.given_ids)
    asked = [item for item in pins if item not in candidates.places and item not in out]
    columns, found = await _checked(run, asked)
    if run.shown.product_ids:
        columns = gathered([(columns, apart(columns, run.shown))])
    if columns.product_ids:
        candidates = candidates.joined(columns)
    places, without = candidates.places, run.plan.scope.without
    absent = {item: _absence(item, out, without, found) for item in pins if item not in places}
    moving = [each for each in controls if each.control.kind is not ControlKind.EXCLUDE]
    match = partial(matching, run, candidates.columns.product_ids)
    named = await subjects(candidates.columns, [each.control for each in moving], match)
    placed = [
        rules.Control(
            name=each.key,
            kind=each.control.kind,
            rows=[places[item] for item in ids if item in places],
            place=each.control.place,
            boost=each.control.boost or NO_BOOST * (each.control.kind is ControlKind.BOOST),
            by_merit=each.control.by_merit,
        )
        for each, ids in zip(moving, named, strict=True)
    ]
    own = candidates.own  # a pinned last product of the shopper is no near-duplicate of itself
    shown = places.keys() & pins
    rest = [row for row, item in enumerate(own.product_ids) if item not in shown]
    applied = [each for each in placed if each.rows]
    candidates = replace(candidates, own=gathered([(own, rest)]), controls=applied)
    return candidates, _of_pins(controls, absent)


async def _checked(
    run: RequestContext, ids: Sequence[str]
) -> tuple[ProductColumns, CheckedProducts | None]:
    """Return the products that may be in the answer, and why others may not.

    If the record can't be read, the second value is None and the products are those that the
    snapshot proves to pass.
    """
    catalog_id, scope, pins = run.query.catalog_id, run.plan.scope, run.deps.pins
    if not ids:
        return ProductColumns(), None
    if (known := pins.of(catalog_id, ids, scope)) is not None:
        return known, CheckedProducts(known, frozenset(), {})
    try:
        async with _reading(run.trace, run.plan.ends.fallback):
            found = await run.peers.retriever.checked(catalog_id, ids, scope)
            pins.keep(catalog_id, ids, scope, found.columns)
            return found.columns, found
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return await proven(run.snapshot, ids, scope), None


def _reading(trace: RequestTrace, until: float) -> Stage:
    """Time a read of the record. Raise PeerUnavailable if it already failed in this request."""
    if Peer.RETRIEVER in trace.unreachable:
        raise PeerUnavailable(Peer.RETRIEVER)
    return trace.stage(STAGE, until)


async def matching(
    run: RequestContext, ids: Sequence[str], condition: CallersFilter
) -> Collection[str]:
    """Return those of the candidates that pass a filter by the record, or by the snapshot if the
    record can't be read."""
    scope = AnswerScope(filter=condition, market_id=run.plan.scope.market_id)
    ask, catalog_id = run.peers.retriever.columns, run.query.catalog_id
    try:
        async with _reading(run.trace, run.plan.ends.fallback):
            parts = [
                await ask(catalog_id, ids[begin : begin + MOST_ASKED], scope)
                for begin in range(0, len(ids), MOST_ASKED)
            ]
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return (await proven(run.snapshot, ids, scope)).product_ids
    return [item for part in parts for item in part.product_ids]


async def subjects(
    columns: ProductColumns,
    controls: Sequence[ControlRule],
    match: Matching,
) -> list[Collection[str]]:
    """Return for each control the ids of the candidates that it applies to.

    All filters are evaluated together on the candidates' columns; `match` evaluates those on a
    field that these lack.
    """
    given = [each.filter for each in controls if each.filter is not None]
    known = await passing(columns, [read(each.message) for each in given]) if given else []
    lacking = [one for one, ids in zip(given, known, strict=True) if ids is None]
    matched = iter(await in_parallel(*map(match, lacking)) if lacking else ())
    found = iter([next(matched) if ids is None else ids for ids in known])
    return [each.product_ids if each.filter is None else next(found) for each in controls]


def _excluded(pins: Sequence[str], left_out: Sequence[str], given: Set[str]) -> Set[str]:
    """Return the pins that the request excludes, or that its own candidates, if any, lack."""
    return {item for item in pins if item in left_out or (given and item not in given)}


def _absence(
    product_id: str, out: Set[str], without: Sequence[CallersFilter], found: CheckedProducts | None
) -> ControlState:
    """Return why a pinned product may not be in the answer."""
    if product_id in out:
        return ControlState.EXCLUDED
    if found is None:
        return ControlState.UNAVAILABLE
    if product_id in found.missing:
        return ControlState.NOT_FOUND
    condition = found.rejections.get(product_id, Rejection()).condition
    if condition == UNBUYABLE:
        return ControlState.OUT_OF_STOCK
    if condition[:COMPARED] in map(opposite, without):
        return ControlState.EXCLUDED
    return ControlState.FILTERED


def _of_pins(
    controls: Iterable[ActiveControl], states: Mapping[str, ControlState]
) -> ControlOutcomes:
    """Return the outcomes of the pinned products that have these states."""
    return tuple(
        each.outcome(states[item], item)
        for each in of_kind(controls, ControlKind.PIN)
        for item in each.control.product_ids
        if item in states
    )


def opposite(condition: CallersFilter) -> str:
    """Return the beginning of the negated filter, which all products pass that it does not
    exclude."""
    return words(Not(read(condition.message)))[:COMPARED]


def last_place(candidates: FusedCandidates) -> int:
    """Return the last place of a pinned product, from 1; 0 without pins."""
    if not candidates.controls:
        return 0
    pins = [each for each in candidates.controls if each.kind is ControlKind.PIN]
    return max((each.place for each in pins), default=0) + sum(len(each.rows) for each in pins)


def pin_outcomes(
    controls: Sequence[ActiveControl],
    candidates: FusedCandidates,
    order: Collection[str],
    ranked: Ranked | None,
) -> ControlOutcomes:
    """Return the outcome of each pinned candidate; `order` contains the places of all pins."""
    if not controls:
        return ()
    pins = [item for item in pinned_ids(controls) if item in candidates.places]
    return _of_pins(controls, {item: _placed(item, order, ranked) for item in pins})


def _placed(product_id: str, order: Collection[str], ranked: Ranked | None) -> ControlState:
    if product_id in order:
        return ControlState.APPLIED
    if ranked is not None and product_id in ranked.hidden_pins:
        return ControlState.HIDDEN
    if ranked is not None and product_id in ranked.seen_pins:
        return ControlState.SEEN
    return ControlState.COLLAPSED


async def correct_outcomes(
    run: RequestContext, outcomes: ControlOutcomes, read: Sequence[str], shown: Collection[str]
) -> ControlOutcomes:
    """Return the outcomes, with reasons why pinned products of the order are not on the page.

    `read`: products read for the page; `shown`: products on it.
    """
    if not run.plan.controls:
        return outcomes
    pinned = pinned_ids(run.plan.controls)
    gone = [item for item in pinned if item in read and item not in shown]
    if not gone:
        return outcomes
    for item in gone:
        run.deps.pins.forget(item)
    found = None if run.trace.snapshot_micros else (await _checked(run, gone))[1]
    out, without = _excluded(gone, run.excluded, run.query.given_ids), run.plan.scope.without
    states = {item: _absence(item, out, without, found) for item in gone}
    return tuple(
        replace(each, state=states[each.product_id]) if each.product_id in states else each
        for each in outcomes
    )


def note_goals(
    goals: ExposureGoals,
    catalog_id: str,
    controls: Iterable[ActiveControl],
    candidates: FusedCandidates,
    *,
    shown: Sequence[str],
    merits: Mapping[str, float],
) -> None:
    """Add a page to the goals of exposure. `merits`: share of relevance by control."""
    asked = [each for each in controls if each.control.is_goal]
    if not asked:
        return
    ids, caller = candidates.columns.product_ids, access.caller.get().name
    rows = {control.name: control.rows for control in candidates.controls}
    for goal in asked:
        if goal.key not in rows:
            goals.note_unmatched(catalog_id, goal.key)
            continue
        control = goal.control
        target = merits.get(goal.key, 0.0) if control.by_merit else control.least_share
        theirs = frozenset(ids[row] for row in rows[goal.key])
        goals.note(catalog_id, goal.key, shown, theirs, target, caller=caller)


def budgeted(controls: Iterable[ActiveControl], names: Collection[str]) -> Sequence[str]:
    """Return the names of controls that have a daily budget."""
    if not names:
        return ()
    known = {each.key for each in controls if each.control.daily_budget}
    return [name for name in names if name in known]
