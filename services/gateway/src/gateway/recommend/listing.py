"""Listings: all products that pass a filter, in an order, page by page.

The retriever orders the whole result. For a shopper the ranker then orders the products of a page,
or only drops those that the shopper hid, where the request names an order of its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.model.causes import Peer
from gateway.model.controls import ActiveControl, ControlOutcomes, ControlState
from gateway.model.errors import NothingAvailable
from gateway.model.filters import CallersFilter
from gateway.model.quality import Quality, check_quality
from gateway.model.query import RequestQuery
from gateway.model.response import ListAnswer
from gateway.ranking.fallbacks import degradations, reasons_for
from gateway.ranking.sorting import NEAREST, POPULARITY, RELEVANCE, in_order
from gateway.recommend.answer_report import versions_of
from gateway.recommend.charge import charged
from gateway.recommend.controls.active import activate_controls, of_kind, pinned_ids
from gateway.recommend.final_order import as_fused, fused, rank, rank_order
from gateway.recommend.nothing_found import why_empty
from gateway.recommend.one_stamp import compare_products, of_one_stamp
from gateway.recommend.pages import attribution, read_page
from gateway.recommend.recommend import draft
from gateway.recommend.validate import check
from gateway.retrieval.fallback import list_snapshot
from gateway.retrieval.ranker_candidates import generate, look_up
from gateway.state.request_context import RequestContext, RequestDependencies
from servicekit.errors import ServiceError
from servicekit.rpc.requests import PageTokenInvalid, page_place, page_token
from sightline_core.answer import AnsweredProduct, AnswerOrder, AnswerResult
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList
from sightline_core.columns import Stamp
from sightline_core.degradations import Degradation
from sightline_core.opaque_messages import ProductRow
from sightline_core.parts import MARGIN
from sightline_core.ranking import Objective
from sightline_core.score_notes import OBJECTIVE, NoteCause, ScoreNote
from sightline_core.search import RANKED, ListedProducts, ListingRequest
from sightline_rules.controls import ControlKind

STAGE = "listing"
PERSONAL = frozenset({"", NEAREST})
"""Orders in which the products of a page are ordered for the shopper."""
BY_POPULARITY = PERSONAL | {POPULARITY, RELEVANCE}
"""Orders that need the popular products; RELEVANCE those of equal matches."""
MOST_SERVED = 2**31 - 1_000


@dataclass(frozen=True, slots=True)
class ListStart:
    """Start of a page."""

    token: str = ""
    """The retriever's."""
    popular: int = 0
    """When the listing's popular products were read, seconds since 1970 (UTC)."""
    served: int = 0
    """Number of places before the page."""


async def listing(query: RequestQuery, deps: RequestDependencies) -> ListAnswer:
    """Return a page of all products that pass; the answer reports its degradations.

    Raises errors of the caller, RequestTooExpensive, ExpensiveRequestsBusy, NothingAvailable
    without any product, and AnswerDegraded.
    """
    check(query, deps.catalogs)
    async with charged(query, deps) as planned:
        return await of_one_stamp(planned, list_page)


async def list_page(planned: RequestContext) -> ListAnswer:
    """Return a page of a planned listing. Raises NothingAvailable, AnswerDegraded."""
    start = _start(planned)
    run, outcomes = await activate_controls(planned)
    popular = await _popular(run, start)
    asked = _asked(run, start, popular)
    tag = _tag(run, start, popular[0], asked)
    try:
        found = await _browse(run, asked, tag)
        if found.not_modified:
            return ListAnswer(etag=run.query.if_none_match, not_modified=True)
        pins = () if run.query.page_token else await _pinned(run, found.columns.stamp)
    except ServiceError as error:
        run.trace.fail(STAGE, Peer.RETRIEVER, error)
        return await _from_snapshot(run)
    page = await _page(run, found, pins, start)
    lost = _lost(run)
    shown = bool(page.results) or bool(run.query.page_token)
    return replace(
        page,
        empty_reason=None if shown else await why_empty(run, page.hidden_count),
        etag="" if lost or run.query.shopper or run.shown.product_ids else f"{found.state}.{tag}",
        total=found.total + len(pins),
        facets=() if run.query.page_token else tuple(found.facets),
        next_page_token=_next(run, found, popular[0], start.served + asked.size + len(pins)),
        degradations=lost,
        timings=run.trace.by_start,
        versions=versions_of(run, STAGE),
        quality=_quality(run, lost),
        control_outcomes=() if run.query.page_token else _outcomes(run, outcomes, pins, page),
        candidates=found.columns,
        score_notes=tuple(run.trace.score_notes.values()),
    )


def _start(run: RequestContext) -> ListStart:
    """Read the request's page token. Raises PageTokenInvalid."""
    place = page_place(run.query.page_token, _about(run), int, int, str)
    if not place:
        return ListStart()
    popular, served, token = place
    if not 0 <= served <= MOST_SERVED:
        raise PageTokenInvalid
    return ListStart(token, popular, served)


def _next(run: RequestContext, found: ListedProducts, popular: int, served: int) -> str:
    if not found.next_token or served > MOST_SERVED:
        return ""
    return page_token(_about(run), popular, served, found.next_token)


def _about(run: RequestContext) -> tuple[str, ...]:
    """Return what binds a page token to the request and its shopper."""
    return ("list", run.digests.callers.hex())


async def _popular(run: RequestContext, start: ListStart) -> tuple[int, Sequence[str]]:
    """Return the catalog's popular products and when they were read, if the order needs them.

    Without the ranker an older list is used, which is noted.
    """
    if run.query.sort not in BY_POPULARITY:
        return 0, ()
    lists, catalog_id = run.deps.popular, run.query.catalog_id
    if (known := lists.of(catalog_id, start.popular)) is not None:
        return known
    whole = replace(run, query=RequestQuery(catalog_id=catalog_id))
    found, notes = await generate(whole, None, Branch.POPULAR, run.plan.ends.candidates)
    if found is not None:
        return lists.keep(catalog_id, found.product_ids)
    run.trace.note(notes)
    return lists.former(catalog_id)


def _asked(
    run: RequestContext, start: ListStart, popular: tuple[int, Sequence[str]]
) -> ListingRequest:
    query, controls = run.query, run.plan.controls
    pins = pinned_ids(controls)
    buried = of_kind(controls, ControlKind.BURY)
    return ListingRequest(
        order=_order(query),
        size=query.results_a_page - (0 if query.page_token else len(_fitting(run, pins))),
        token=start.token,
        text=query.text,
        language_code=run.text_language,
        exclude=tuple(dict.fromkeys((*query.exclude_product_ids, *pins))),
        exclude_families=run.shown.product_ids,
        ranked=popular[1],
        last=_filters(buried),
        last_ids=[item for each in buried for item in each.control.product_ids],
        facets=() if query.page_token else query.facets,
        costs=_weighs_costs(run),
    )


def _order(query: RequestQuery) -> str:
    """Return the retriever's order."""
    if query.text and query.sort in PERSONAL:
        return RELEVANCE
    return RANKED if query.sort in PERSONAL | {POPULARITY} else query.sort


def _weighs_costs(run: RequestContext) -> bool:
    """Return whether the order of a page depends on costs: the shopper's, by parts or objective."""
    scene, query = run.plan.scene, run.query
    weighed = scene.parts_without_signals.get(MARGIN, 0.0) > 0
    objective = scene.applied_objective and scene.objective is Objective.MARGIN
    return query.shopper is not None and bool(weighed or objective)


def _fitting(run: RequestContext, pins: Sequence[str]) -> Sequence[str]:
    """Return the pins of the first page: it always has room for another product, so that the
    listing goes on."""
    return pins[: run.query.results_a_page - 1]


def _filters(controls: Sequence[ActiveControl]) -> list[CallersFilter]:
    return [each.control.filter for each in controls if each.control.filter is not None]


def _tag(run: RequestContext, start: ListStart, popular: int, asked: ListingRequest) -> str:
    """Return the hash of everything but the catalog that a page without a shopper depends on."""
    query, versions = run.query, versions_of(run)
    parts = (
        run.digests.stored,
        (start.token, start.served, popular, asked.size, query.facets and repr(query.facets)),
        (query.language_code, versions.scene, versions.scene_version, versions.service_version),
        [each.key for each in run.plan.controls],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


async def _browse(run: RequestContext, asked: ListingRequest, tag: str) -> ListedProducts:
    """Return the page, or that it is as the caller knows it. Raises ServiceError."""
    state, _, known = run.query.if_none_match.rpartition(".")
    if known == tag and not run.query.shopper:
        asked = replace(asked, known_state=state)
    async with run.trace.stage(STAGE, run.plan.ends.hydrate):
        return await run.peers.retriever.browse(run.query.catalog_id, asked, run.plan.scope)


async def _pinned(run: RequestContext, stamp: Stamp | None) -> tuple[ProductRow, ...]:
    """Return the pinned products that pass. `stamp`: that of the page. Raises ServiceError,
    ChangedMeanwhile."""
    out = run.query.exclude_product_ids
    ids = [item for item in pinned_ids(run.plan.controls) if item not in out]
    ids = [*_fitting(run, ids)]
    if not ids:
        return ()
    async with run.trace.stage("controls", run.plan.ends.hydrate):
        found = await run.peers.retriever.products(run.query.catalog_id, ids, run.plan.scope)
    compare_products(run, found, len(found.rows), stamp)
    shown = frozenset(run.shown.families)
    return tuple(row for row in found.rows if (row.parent_id or row.product_id) not in shown)


def _outcomes(
    run: RequestContext, known: ControlOutcomes, pins: Sequence[ProductRow], page: ListAnswer
) -> ControlOutcomes:
    """Return the outcomes of the controls, without boosts, which have no effect."""
    boosts = {each.control.name for each in of_kind(run.plan.controls, ControlKind.BOOST)}
    shown = {result.row.product_id for result in page.results}
    passing, out = {row.product_id for row in pins}, run.left_out

    def state(product_id: str) -> ControlState:
        if product_id in shown:
            return ControlState.APPLIED
        if product_id in passing:
            return ControlState.HIDDEN
        return ControlState.EXCLUDED if product_id in out else ControlState.FILTERED

    return (
        *(each for each in known if each.control not in boosts),
        *(
            each.outcome(state(item), item)
            for each in of_kind(run.plan.controls, ControlKind.PIN)
            for item in each.control.product_ids
        ),
    )


async def _page(
    run: RequestContext, found: ListedProducts, pins: Sequence[ProductRow], start: ListStart
) -> ListAnswer:
    """Return the products of a page, in their final order."""
    beside = dict(zip([row.product_id for row in found.rows], found.variants, strict=False))
    answered = {
        row.product_id: AnsweredProduct(
            row.product_id, 0.0, collapsed=tuple(beside.get(row.product_id, ()))
        )
        for row in (*found.rows, *pins)
    }
    line = [row.product_id for row in found.rows]
    hidden, token = 0, ""
    if run.query.shopper is not None and found.rows:
        line, hidden, token = await _for_shopper(run, found, pins, answered)
    shown = [row.product_id for row in pins if row.product_id in answered]
    line = _with_pins(run, line, shown)
    rows = {row.product_id: row for row in (*found.rows, *pins)}
    return ListAnswer(
        results=tuple(
            AnswerResult(rows[item], rank, answered[item])
            for rank, item in enumerate(line, start.served + 1)
        ),
        hidden_count=hidden,
        attribution_token=token,
    )


def _with_pins(run: RequestContext, line: list[str], pins: Sequence[str]) -> list[str]:
    """Return the page with its pins at their places, or at its end."""
    places = dict[str, int]()
    for each in of_kind(run.plan.controls, ControlKind.PIN):
        for place, item in enumerate(each.control.product_ids, each.control.place):
            places.setdefault(item, place)
    line = list(line)
    for item in sorted(pins, key=places.__getitem__):
        line.insert(places[item] - 1, item)
    return line


async def _for_shopper(
    run: RequestContext,
    found: ListedProducts,
    pins: Sequence[ProductRow],
    answered: dict[str, AnsweredProduct],
) -> tuple[list[str], int, str]:
    """Return the ids of a page's products in the shopper's order, without pins, the number of
    hidden products, and the token of its answer. In an order of the request the products keep it.

    Scores and reasons are added to `answered`, and hidden pins removed from it. Without the ranker
    the page stays as it is.
    """
    listed = CandidateList(Branch.POPULAR, 1.0, found.columns)
    candidates = fused(run, (listed, *await _pin_list(run, pins)))
    personal = run.query.sort in PERSONAL
    record = draft(run, candidates)
    order = rank_order(run, candidates, record=record if personal else None)
    ranked = await rank(run, replace(order, collapse=False))
    line = [row.product_id for row in found.rows]
    if ranked is None:
        if personal and run.plan.scene.applied_objective:
            run.trace.note_scores([ScoreNote(OBJECTIVE, NoteCause.NOT_APPLIED)])
        return line, 0, ""
    _explain(run, ranked.order, answered)
    ids, own = ranked.order.product_ids, frozenset(line)
    for item in frozenset(candidates.columns.product_ids).difference(ids):
        del answered[item]
    line = [item for item in (ids if personal else line) if item in own and item in answered]
    token = attribution(run, record) if ranked.recorded else ""
    return line, ranked.hidden_count, token


async def _pin_list(run: RequestContext, pins: Sequence[ProductRow]) -> tuple[CandidateList, ...]:
    """Return pinned products as candidates; none if there are no pins or they can't be read."""
    ids = [row.product_id for row in pins]
    columns, notes = await look_up(run, ids, "controls", run.plan.ends.rank)
    run.trace.note(notes)
    if columns is None or not columns.product_ids:
        return ()
    return (CandidateList(Branch.POPULAR, 1.0, columns, after=len(ids)),)


def _explain(run: RequestContext, order: AnswerOrder, answered: dict[str, AnsweredProduct]) -> None:
    """Replace the products of an order by those that the ranker scored."""
    for place, item in enumerate(order.product_ids):
        given = order.reasons_at(place) or ()
        reasons = reasons_for(0, given, run.query.language_code) if given else ()
        scored = order.product(place, reasons)
        answered[item] = scored._replace(branches=(), collapsed=answered[item].collapsed)


async def _from_snapshot(run: RequestContext) -> ListAnswer:
    """Return the products that the snapshot proves to pass, in the request's order: one page.

    Raises NothingAvailable.
    """
    if run.query.page_token or run.query.text:
        raise NothingAvailable(run.trace.causes)
    found = fused(run, await list_snapshot(run))
    order = in_order(as_fused(found), found.columns, run.query.sort, len(found.order))
    page = await read_page(run, order)
    if not page.results:
        raise NothingAvailable(run.trace.causes)
    lost = _lost(run)
    return ListAnswer(
        results=page.results,
        total=order.total,
        degradations=lost,
        timings=run.trace.by_start,
        versions=versions_of(run),
        quality=_quality(run, lost),
        candidates=found.columns,
    )


def _lost(run: RequestContext) -> tuple[Degradation, ...]:
    trace = run.trace
    return degradations(trace.failures, trace.reported, (), trace.snapshot_micros)


def _quality(run: RequestContext, lost: Sequence[Degradation]) -> Quality:
    """Return the quality of the page. Raises AnswerDegraded."""
    found = Quality.REDUCED if lost else Quality.FULL
    if run.trace.snapshot_micros or run.trace.snapshot_listed:
        found = Quality.SNAPSHOT
    least = run.query.min_answer_quality or run.plan.scene.min_answer_quality
    return check_quality(found, least, lost)
