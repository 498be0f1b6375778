"""Controls applied to candidates, with their effects; every step returns its outcomes."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from gateway.model.causes import Peer
from gateway.model.controls import ControlOutcome, ControlOutcomes, ControlRule, ControlState
from gateway.model.errors import PeerUnavailable
from gateway.model.filters import CallersFilter
from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope
from gateway.ranking.near_duplicates import apart
from gateway.ranking.passing import passing
from gateway.recommend.controls.active import of_kind, pinned_ids
from gateway.retrieval.fallback import proven
from gateway.retrieval.parallel import in_parallel
from gateway.state.request_context import RequestContext
from servicekit.admission import access
from servicekit.errors import ServiceError
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


async def apply_controls(
    run: RequestContext, candidates: FusedCandidates
) -> tuple[FusedCandidates, ControlOutcomes]:
    """Return the candidates with pinned products and controls, and the outcomes of other pins."""
    if not run.plan.controls:
        return candidates, ()
    pinned = [item for item in pinned_ids(run.plan.controls) if item not in candidates.places]
    asked = [item for item in pinned if not _is_excluded(run, item)]
    columns, found = await _checked(run, asked)
    if run.shown.product_ids:
        columns = gathered([(columns, apart(columns, run.shown))])
    if columns.product_ids:
        candidates = candidates.joined(columns)
    outcomes = _absent_pins(run, candidates, found)
    moving = [each for each in run.plan.controls if each.control.kind is not ControlKind.EXCLUDE]
    named = await _all_subjects(run, candidates, [each.control for each in moving])
    places = candidates.places
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
    shown = places.keys() & pinned_ids(run.plan.controls)
    rest = [row for row, item in enumerate(own.product_ids) if item not in shown]
    own = gathered([(own, rest)])
    return replace(candidates, own=own, controls=[each for each in placed if each.rows]), outcomes


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
        async with _reading(run):
            found = await run.peers.retriever.checked(catalog_id, ids, scope)
            pins.keep(catalog_id, ids, scope, found.columns)
            return found.columns, found
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return await proven(run, ids, run.plan.scope), None


def _reading(run: RequestContext) -> AbstractAsyncContextManager[object]:
    """Time a read of the record. Raise PeerUnavailable if it already failed in this request."""
    if Peer.RETRIEVER in run.trace.unreachable:
        raise PeerUnavailable(Peer.RETRIEVER)
    return run.trace.stage(STAGE, run.plan.ends.fallback)


async def _all_subjects(
    run: RequestContext, candidates: FusedCandidates, controls: Sequence[ControlRule]
) -> list[Collection[str]]:
    """Return for each control the ids of the candidates that it applies to.

    All filters are evaluated together on the candidates' columns; those on a field that these lack
    by the record, or the snapshot if the record can't be read.
    """
    filters = [read(each.filter.message) for each in controls if each.filter is not None]
    found = iter(await passing(candidates.columns, filters) if filters else ())
    known = [None if each.filter is None else next(found) for each in controls]
    pairs = zip(controls, known, strict=True)
    return await in_parallel(*(_subjects(run, candidates, *pair) for pair in pairs))


async def _subjects(
    run: RequestContext,
    candidates: FusedCandidates,
    control: ControlRule,
    found: Collection[str] | None,
) -> Collection[str]:
    """Return the ids of the candidates that a control applies to; `found`: by their columns."""
    if control.filter is None:
        return control.product_ids
    if found is not None:
        return found
    scope = AnswerScope(filter=control.filter, market_id=run.plan.scope.market_id)
    ids = candidates.columns.product_ids
    ask, catalog_id = run.peers.retriever.columns, run.query.catalog_id
    try:
        async with _reading(run):
            parts = [
                await ask(catalog_id, ids[begin : begin + MOST_ASKED], scope)
                for begin in range(0, len(ids), MOST_ASKED)
            ]
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return (await proven(run, ids, scope)).product_ids
    return [item for part in parts for item in part.product_ids]


def _absent_pins(
    run: RequestContext, candidates: FusedCandidates, found: CheckedProducts | None
) -> ControlOutcomes:
    """Return the outcomes of the pinned products that are not candidates."""
    places = candidates.places
    return tuple(
        each.outcome(_absence(run, item, found), item)
        for each in of_kind(run.plan.controls, ControlKind.PIN)
        for item in each.control.product_ids
        if item not in places
    )


def _is_excluded(run: RequestContext, product_id: str) -> bool:
    """Return whether the request excludes a product, or has candidates without it."""
    given = run.query.given_ids
    return product_id in run.excluded or bool(given and product_id not in given)


def _absence(run: RequestContext, product_id: str, found: CheckedProducts | None) -> ControlState:
    """Return why a pinned product may not be in the answer."""
    if _is_excluded(run, product_id):
        return ControlState.EXCLUDED
    if found is None:
        return ControlState.UNAVAILABLE
    if product_id in found.missing:
        return ControlState.NOT_FOUND
    condition = found.rejections.get(product_id, Rejection()).condition
    if condition == UNBUYABLE:
        return ControlState.OUT_OF_STOCK
    if condition[:COMPARED] in map(opposite, run.plan.scope.without):
        return ControlState.EXCLUDED
    return ControlState.FILTERED


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
    run: RequestContext, candidates: FusedCandidates, order: Collection[str], ranked: Ranked | None
) -> ControlOutcomes:
    """Return the outcome of each pinned candidate; `order` contains the places of all pins."""
    if not run.plan.controls:
        return ()
    places = candidates.places
    return tuple(
        each.outcome(_placed(item, order, ranked), item)
        for each in of_kind(run.plan.controls, ControlKind.PIN)
        for item in each.control.product_ids
        if item in places
    )


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

    def corrected(each: ControlOutcome) -> ControlOutcome:
        if each.product_id not in gone:
            return each
        return replace(each, state=_absence(run, each.product_id, found))

    return tuple(map(corrected, outcomes))


def note_goals(
    run: RequestContext,
    candidates: FusedCandidates,
    shown: Sequence[str],
    merits: Mapping[str, float],
) -> None:
    """Add a page to the goals of exposure. `merits`: share of relevance by control."""
    if not run.plan.controls:
        return
    goals = [each for each in run.plan.controls if each.control.is_goal]
    if not goals:
        return
    ids, catalog_id = candidates.columns.product_ids, run.query.catalog_id
    rows = {control.name: control.rows for control in candidates.controls}
    caller = access.caller.get().name
    for goal in goals:
        if goal.key not in rows:
            run.deps.goals.note_unmatched(catalog_id, goal.key)
            continue
        control = goal.control
        target = merits.get(goal.key, 0.0) if control.by_merit else control.least_share
        theirs = frozenset(ids[row] for row in rows[goal.key])
        run.deps.goals.note(catalog_id, goal.key, shown, theirs, target, caller=caller)


def count_exposure(run: RequestContext, names: Collection[str]) -> None:
    """Count an answer that these controls changed, for those with a daily budget."""
    if not names:
        return
    budgeted = {each.key for each in run.plan.controls if each.control.daily_budget}
    if acted := [name for name in names if name in budgeted]:
        run.deps.exposures.add(run.query.catalog_id, acted)
