"""The controls of a request and its scene: which are at work, what they are about, what became of
each.

What is excluded is left out by the request's scope and is never asked for. What is pinned joins the
candidates, as far as the scope passes it. The ranker moves products, as only it sees all of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TypeAlias

from gateway.model.candidates import Candidates
from gateway.model.causes import Peer
from gateway.model.columns import Columns
from gateway.model.controls import Control
from gateway.model.errors import PeerUnavailable
from gateway.model.filters import CallersFilter
from gateway.model.messages import ControlOutcome, Rejection
from gateway.model.peers import Checked, Ranked
from gateway.model.plan import MOST_ASKED, MOST_RANKED, Held
from gateway.model.query import Scope
from gateway.ranking.passing import passing
from gateway.retrieval.parallel import in_parallel
from gateway.state.run import Run
from servicekit.errors import ServiceError
from sightline_rules import controls as rules
from sightline_rules.controls import Kind
from sightline_rules.filters import Not
from sightline_rules.messages import read
from sightline_rules.rejections import words

Outcome: TypeAlias = ControlOutcome.Outcome.ValueType
STAGE = "controls"
UNBUYABLE = "availability != OUT_OF_STOCK"
"""The condition of scenes that leave out what can't be bought."""
COMPARED = 1_000
"""Characters of a condition, whose end a rejection may lack."""


async def under_controls(run: Run) -> Run:
    """The run with the controls that are at work now, and without what these exclude."""
    given = [Held(each, "") for each in run.query.controls]
    given += [Held(each, run.plan.scene.name) for each in run.plan.scene.controls]
    if not given:
        return run
    counts: Mapping[str, int] = {}
    if budgeted := [each.key for each in given if each.control.daily_budget]:
        ask = run.peers.ranker.control_counts
        counts = await run.deps.exposures.of(run.query.catalog_id, budgeted, ask)
    rest = [resting(each, run.time_micros, counts) for each in given]
    held = tuple(each for each, why in zip(given, rest, strict=True) if why is None)
    for each, why in zip(given, rest, strict=True):
        if why is not None:
            note(run, each, why)
        elif each.control.kind is not Kind.PIN:
            note(run, each, ControlOutcome.OUTCOME_APPLIED)
    left_out = (*run.query.exclude_product_ids, *excluded_ids(held))
    return replace(
        run,
        query=replace(run.query, exclude_product_ids=tuple(dict.fromkeys(left_out))),
        plan=replace(
            run.plan,
            controls=held,
            scope=replace(run.plan.scope, without=excluded_filters(held)),
            most=min(run.plan.most, MOST_RANKED - len(pinned_ids(held))),
        ),
    )


def resting(held: Held, time_micros: int, counts: Mapping[str, int]) -> Outcome | None:
    """Why a control is not at work at this time, with these exposures today; None = it is."""
    control = held.control
    if time_micros < control.start_time:
        return ControlOutcome.OUTCOME_NOT_YET
    if control.end_time and time_micros >= control.end_time:
        return ControlOutcome.OUTCOME_ENDED
    if control.daily_budget and counts.get(held.key, 0) >= control.daily_budget:
        return ControlOutcome.OUTCOME_OUT_OF_BUDGET
    return None


def note(run: Run, held: Held, outcome: Outcome, product_id: str = "") -> None:
    """Note what became of a control, or of one product."""
    name = held.control.name
    run.trace.controls.append(
        ControlOutcome(control=name, scene=held.scene, product_id=product_id, outcome=outcome)
    )


def _of_kind(held: Iterable[Held], kind: Kind) -> list[Held]:
    return [each for each in held if each.control.kind is kind]


def pinned_ids(held: Iterable[Held]) -> tuple[str, ...]:
    """All products that are pinned, each once."""
    pins = _of_kind(held, Kind.PIN)
    return tuple(dict.fromkeys(item for each in pins for item in each.control.product_ids))


def excluded_ids(held: Sequence[Held]) -> tuple[str, ...]:
    """All products that are excluded by their ids: a request's pins hold against its scene."""
    asked = pinned_ids(each for each in held if not each.scene)
    excluding = _of_kind(held, Kind.EXCLUDE)
    ids = (item for each in excluding for item in each.control.product_ids)
    return tuple(item for item in dict.fromkeys(ids) if item not in asked)


def excluded_filters(held: Iterable[Held]) -> tuple[CallersFilter, ...]:
    """What passes one of these is excluded."""
    filters = (each.control.filter for each in _of_kind(held, Kind.EXCLUDE))
    return tuple(each for each in filters if each is not None)


async def controlled(run: Run, candidates: Candidates) -> Candidates:
    """The candidates with what is pinned, and with the controls that move them."""
    if not run.plan.controls:
        return candidates
    pinned = [item for item in pinned_ids(run.plan.controls) if item not in candidates.places]
    asked = [item for item in pinned if item not in run.left_out]
    columns, found = await _checked(run, asked)
    if columns.product_ids:
        candidates = candidates.joined(columns)
    _note_pins(run, candidates, found)
    moving = [each for each in run.plan.controls if each.control.kind is not Kind.EXCLUDE]
    named = await in_parallel(*(_named(run, candidates, each.control) for each in moving))
    places = candidates.places
    acting = [
        rules.Control(
            name=each.key,
            kind=each.control.kind,
            rows=[places[item] for item in ids if item in places],
            place=each.control.place,
            boost=each.control.boost,
        )
        for each, ids in zip(moving, named, strict=True)
    ]
    return replace(candidates, controls=[each for each in acting if each.rows])


async def _checked(run: Run, ids: Sequence[str]) -> tuple[Columns, Checked | None]:
    """Those of the products that may be answered, and why others may not; None = the record could
    not be read, and they are those that the snapshot proves to pass."""
    catalog_id, scope, pins = run.query.catalog_id, run.plan.scope, run.deps.pins
    if not ids:
        return Columns(), None
    if (known := pins.of(catalog_id, ids, scope)) is not None:
        return known, Checked(known, frozenset(), {})
    try:
        async with _reading(run):
            found = await run.peers.retriever.checked(catalog_id, ids, scope)
            pins.keep(catalog_id, ids, scope, found.columns)
            return found.columns, found
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return _proven(run, ids, run.plan.scope), None


def _reading(run: Run) -> AbstractAsyncContextManager[object]:
    """A read of the record. Raises PeerUnavailable where nobody answered it just now."""
    if Peer.RETRIEVER in run.trace.unreachable:
        raise PeerUnavailable(Peer.RETRIEVER)
    return run.trace.stage(STAGE, run.plan.ends.fallback)


def _proven(run: Run, ids: Sequence[str], scope: Scope) -> Columns:
    """Those of the products that the snapshot proves to pass."""
    copy = run.snapshot
    return Columns() if copy is None else copy.columns_of(list(copy.passing(scope, ids)))


async def _named(run: Run, candidates: Candidates, control: Control) -> Collection[str]:
    """The candidates that a control is about, by their columns, or by the record where these do
    not say; where that could not be read, those that the snapshot proves to be."""
    if control.filter is None:
        return control.product_ids
    if (found := passing(candidates.columns, read(control.filter.message))) is not None:
        return found
    scope, ids = Scope(filter=control.filter), candidates.columns.product_ids
    ask, catalog_id = run.peers.retriever.columns, run.query.catalog_id
    try:
        async with _reading(run):
            parts = [
                await ask(catalog_id, ids[begin : begin + MOST_ASKED], scope)
                for begin in range(0, len(ids), MOST_ASKED)
            ]
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return _proven(run, ids, scope).product_ids
    return [item for part in parts for item in part.product_ids]


def _note_pins(run: Run, candidates: Candidates, found: Checked | None) -> None:
    """Note of each pinned product that is no candidate why it is none."""
    places = candidates.places
    for each in _of_kind(run.plan.controls, Kind.PIN):
        for item in each.control.product_ids:
            if item not in places:
                note(run, each, _kept_out(run, item, found), item)


def _kept_out(run: Run, product_id: str, found: Checked | None) -> Outcome:
    if product_id in run.left_out:
        return ControlOutcome.OUTCOME_EXCLUDED
    if found is None:
        return ControlOutcome.OUTCOME_UNAVAILABLE
    if product_id in found.missing:
        return ControlOutcome.OUTCOME_NOT_FOUND
    condition = found.rejections.get(product_id, Rejection()).condition
    if condition == UNBUYABLE:
        return ControlOutcome.OUTCOME_OUT_OF_STOCK
    if condition[:COMPARED] in map(opposite, run.plan.scope.without):
        return ControlOutcome.OUTCOME_EXCLUDED
    return ControlOutcome.OUTCOME_FILTERED


def opposite(condition: CallersFilter) -> str:
    """The first words of what has to hold of products that a filter does not exclude."""
    return words(Not(read(condition.message)))[:COMPARED]


def last_place(candidates: Candidates) -> int:
    """The last place that a pinned product may stand at, from 1; 0 = nothing is pinned."""
    pins = [each for each in candidates.controls if each.kind is Kind.PIN]
    return max((each.place for each in pins), default=0) + sum(len(each.rows) for each in pins)


def note_order(run: Run, candidates: Candidates, order: Collection[str], by: Ranked | None) -> None:
    """Note of each pinned candidate what became of it; `order` reaches as far as pins do."""
    places = candidates.places
    for each in _of_kind(run.plan.controls, Kind.PIN):
        for item in each.control.product_ids:
            if item in places:
                note(run, each, _placed(item, order, by), item)


def _placed(product_id: str, order: Collection[str], by: Ranked | None) -> Outcome:
    if product_id in order:
        return ControlOutcome.OUTCOME_APPLIED
    if by is not None and product_id in by.hidden_pins:
        return ControlOutcome.OUTCOME_HIDDEN
    if by is not None and product_id in by.seen_pins:
        return ControlOutcome.OUTCOME_SEEN
    return ControlOutcome.OUTCOME_COLLAPSED


async def note_gone(run: Run, read: Sequence[str], shown: Collection[str]) -> None:
    """Note why pinned products are not on the page that was read as far as they stand."""
    pinned = pinned_ids(run.plan.controls)
    gone = [item for item in pinned if item in read and item not in shown]
    if not gone:
        return
    for item in gone:
        run.deps.pins.forget(item)
    found = None if run.trace.snapshot_micros else (await _checked(run, gone))[1]
    for each in run.trace.controls:
        if each.product_id in gone:
            each.outcome = _kept_out(run, each.product_id, found)


def count(run: Run, names: Collection[str]) -> None:
    """Count an answer that these controls acted in, as far as they have a budget."""
    budgeted = {each.key for each in run.plan.controls if each.control.daily_budget}
    if acted := [name for name in names if name in budgeted]:
        run.deps.exposures.add(run.query.catalog_id, acted)
