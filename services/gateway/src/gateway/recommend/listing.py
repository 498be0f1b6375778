"""Listings: all products that pass a filter, in an order, page by page.

The retriever orders the whole result. For a shopper the ranker then orders the products of a page,
or only drops those that the shopper hid, where the request names an order of its own.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.model.causes import Peer
from gateway.model.controls import ActiveControl, ControlOutcomes, ControlState
from gateway.model.errors import NothingAvailable
from gateway.model.plan import RequestPlan
from gateway.model.quality import Quality, check_quality
from gateway.model.query import RequestQuery
from gateway.model.response import ListAnswer
from gateway.model.scene import Scene
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
from gateway.retrieval.ranker_candidates import generate, look_up, nominate_request
from gateway.state.request_context import RequestContext, RequestDependencies
from gateway.state.trace import RequestTrace
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
from sightline_core.versions import Versions
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


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """Order of a page, without its pins."""

    line: Sequence[str]
    """Ids of the products."""
    answered: Mapping[str, AnsweredProduct]
    """By id: the products and pins that are shown."""
    hidden_count: int = 0
    token: str = ""
    """Attribution token of the answer."""


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
    start = _start(planned.query.page_token, planned.digests.callers)
    run, outcomes = await activate_controls(planned)
    query, plan, trace, first = run.query, run.plan, run.trace, not run.query.page_token
    popular = await _popular(run, start)
    asked = _asked(
        query, plan, start, popular[1], language=run.text_language, shown=run.shown.product_ids
    )
    place = (start.token, start.served, popular[0], asked.size)
    version = run.deps.service_version
    versions = versions_of(trace, plan.scene, version)
    tag = _tag(run.digests.stored, place, query, plan.controls, versions)
    try:
        async with trace.stage(STAGE, plan.ends.hydrate):
            known = _known(query, asked, tag)
            found = await run.peers.retriever.browse(query.catalog_id, known, plan.scope)
        if found.not_modified:
            return ListAnswer(etag=query.if_none_match, not_modified=True)
        pins = await _pinned(run, found.columns.stamp) if first else ()
    except ServiceError as error:
        trace.fail(STAGE, Peer.RETRIEVER, error)
        return await _from_snapshot(run)
    order = _as_listed(found, pins)
    if query.shopper is not None and found.rows:
        order = await _for_shopper(run, found, pins, order)
    results = _results(plan.controls, found.rows, pins, order, start.served)
    lost, served = _lost(trace), start.served + asked.size + len(pins)
    return ListAnswer(
        results=results,
        empty_reason=await why_empty(run, order.hidden_count) if first and not results else None,
        etag="" if lost or query.shopper or run.shown.product_ids else f"{found.state}.{tag}",
        total=found.total + len(pins),
        facets=tuple(found.facets) if first else (),
        next_page_token=_next(run.digests.callers, found, popular[0], served),
        degradations=lost,
        timings=trace.by_start,
        versions=versions_of(trace, plan.scene, version, STAGE),
        quality=_quality(query, plan.scene, trace, lost),
        hidden_count=order.hidden_count,
        attribution_token=order.token,
        control_outcomes=(
            _outcomes(plan.controls, outcomes, pins, results, run.left_out) if first else ()
        ),
        candidates=found.columns,
        score_notes=tuple(trace.score_notes.values()),
    )


def _start(token: str, digest: bytes) -> ListStart:
    """Read the page token of a request. `digest`: the request as its caller makes it. Raises
    PageTokenInvalid."""
    place = page_place(token, ("list", digest.hex()), int, int, str)
    if not place:
        return ListStart()
    popular, served, theirs = place
    if not 0 <= served <= MOST_SERVED:
        raise PageTokenInvalid
    return ListStart(theirs, popular, served)


def _next(digest: bytes, found: ListedProducts, popular: int, served: int) -> str:
    if not found.next_token or served > MOST_SERVED:
        return ""
    return page_token(("list", digest.hex()), popular, served, found.next_token)


async def _popular(run: RequestContext, start: ListStart) -> tuple[int, Sequence[str]]:
    """Return the catalog's popular products and when they were read, if the order needs them.

    Without the ranker an older list is used, which is noted.
    """
    if run.query.sort not in BY_POPULARITY:
        return 0, ()
    lists, catalog_id = run.deps.popular, run.query.catalog_id
    if (known := lists.of(catalog_id, start.popular)) is not None:
        return known
    order = nominate_request(RequestQuery(catalog_id=catalog_id), run.plan, None)
    stage = run.trace.stage("nominate", run.plan.ends.candidates)
    found, notes = await generate(order, Branch.POPULAR, run.peers.ranker, stage)
    if found is not None:
        return lists.keep(catalog_id, found.product_ids)
    run.trace.note(notes)
    return lists.former(catalog_id)


def _asked(
    query: RequestQuery,
    plan: RequestPlan,
    start: ListStart,
    popular: Sequence[str],
    *,
    language: str,
    shown: Sequence[str],
) -> ListingRequest:
    """Return the request to the retriever. `shown`: products of earlier shelves."""
    controls, size = plan.controls, query.results_a_page
    pins = pinned_ids(controls)
    buried = of_kind(controls, ControlKind.BURY)
    # A first page has room beside its pins, so that the listing goes on.
    return ListingRequest(
        order=_order(query),
        size=size if query.page_token else size - len(pins[: size - 1]),
        token=start.token,
        text=query.text,
        language_code=language,
        exclude=tuple(dict.fromkeys((*query.exclude_product_ids, *pins))),
        exclude_families=shown,
        ranked=popular,
        last=[each.control.filter for each in buried if each.control.filter is not None],
        last_ids=[item for each in buried for item in each.control.product_ids],
        facets=() if query.page_token else query.facets,
        costs=_weighs_costs(query, plan.scene),
    )


def _order(query: RequestQuery) -> str:
    """Return the retriever's order."""
    if query.text and query.sort in PERSONAL:
        return RELEVANCE
    return RANKED if query.sort in PERSONAL | {POPULARITY} else query.sort


def _weighs_costs(query: RequestQuery, scene: Scene) -> bool:
    """Return whether the order of a page depends on costs: the shopper's, by parts or objective."""
    weighed = scene.parts_without_signals.get(MARGIN, 0.0) > 0
    objective = scene.applied_objective and scene.objective is Objective.MARGIN
    return query.shopper is not None and bool(weighed or objective)


def _tag(
    digest: bytes,
    place: tuple[object, ...],
    query: RequestQuery,
    controls: Sequence[ActiveControl],
    versions: Versions,
) -> str:
    """Return the hash of everything but the catalog that a page without a shopper depends on.

    `digest`, `place`: of the request as it is stored, and of the page in the listing.
    """
    parts = (
        digest,
        (*place, query.facets and repr(query.facets)),
        (query.language_code, versions.scene, versions.scene_version, versions.service_version),
        [each.key for each in controls],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _known(query: RequestQuery, asked: ListingRequest, tag: str) -> ListingRequest:
    """Return the request with the state of the catalog in which the caller knows the page."""
    state, _, known = query.if_none_match.rpartition(".")
    return replace(asked, known_state=state) if known == tag and not query.shopper else asked


async def _pinned(run: RequestContext, stamp: Stamp | None) -> tuple[ProductRow, ...]:
    """Return the pinned products that pass. `stamp`: that of the page. Raises ServiceError,
    ChangedMeanwhile."""
    query, plan = run.query, run.plan
    out = query.exclude_product_ids
    ids = [item for item in pinned_ids(plan.controls) if item not in out]
    ids = ids[: query.results_a_page - 1]
    if not ids:
        return ()
    async with run.trace.stage("controls", plan.ends.hydrate):
        found = await run.peers.retriever.products(query.catalog_id, ids, plan.scope)
    compare_products(run.trace, found, len(found.rows), stamp)
    shown = frozenset(run.shown.families)
    return tuple(row for row in found.rows if (row.parent_id or row.product_id) not in shown)


def _outcomes(
    controls: Sequence[ActiveControl],
    known: ControlOutcomes,
    pins: Sequence[ProductRow],
    results: Sequence[AnswerResult],
    left_out: Sequence[str],
) -> ControlOutcomes:
    """Return the outcomes of the controls, without boosts, which have no effect."""
    boosts = {each.control.name for each in of_kind(controls, ControlKind.BOOST)}
    shown = {result.row.product_id for result in results}
    passing = {row.product_id for row in pins}

    def state(product_id: str) -> ControlState:
        if product_id in shown:
            return ControlState.APPLIED
        if product_id in passing:
            return ControlState.HIDDEN
        return ControlState.EXCLUDED if product_id in left_out else ControlState.FILTERED

    return (
        *(each for each in known if each.control not in boosts),
        *(
            each.outcome(state(item), item)
            for each in of_kind(controls, ControlKind.PIN)
            for item in each.control.product_ids
        ),
    )


def _as_listed(found: ListedProducts, pins: Sequence[ProductRow]) -> ListedOrder:
    """Return the retriever's order."""
    line = [row.product_id for row in found.rows]
    beside = dict(zip(line, found.variants, strict=False))
    ids = (*line, *[row.product_id for row in pins])
    return ListedOrder(
        line,
        {item: AnsweredProduct(item, 0.0, collapsed=tuple(beside.get(item, ()))) for item in ids},
    )


def _results(
    controls: Sequence[ActiveControl],
    rows: Sequence[ProductRow],
    pins: Sequence[ProductRow],
    order: ListedOrder,
    served: int,
) -> tuple[AnswerResult, ...]:
    """Return the products of a page in their order, its pins at their places or at its end."""
    places = dict[str, int]()
    for each in of_kind(controls, ControlKind.PIN):
        for place, item in enumerate(each.control.product_ids, each.control.place):
            places.setdefault(item, place)
    line = [*order.line]
    shown = [row.product_id for row in pins if row.product_id in order.answered]
    for item in sorted(shown, key=places.__getitem__):
        line.insert(places[item] - 1, item)
    by_id = {row.product_id: row for row in (*rows, *pins)}
    return tuple(
        AnswerResult(by_id[item], rank, order.answered[item])
        for rank, item in enumerate(line, served + 1)
    )


async def _for_shopper(
    run: RequestContext, found: ListedProducts, pins: Sequence[ProductRow], listed: ListedOrder
) -> ListedOrder:
    """Return the shopper's order of a page, with scores and reasons, without hidden products and
    pins. In an order of the request the products keep it; without the ranker nothing changes."""
    query, plan, trace = run.query, run.plan, run.trace
    pinned = [row.product_id for row in pins]
    lists = [CandidateList(Branch.POPULAR, 1.0, found.columns)]
    stage = trace.stage("hydrate", plan.ends.rank)
    columns, notes = await look_up(
        pinned, query.catalog_id, plan.scope, run.peers.retriever, stage, branch="controls"
    )
    trace.note(notes)
    if columns is not None and columns.product_ids:
        lists.append(CandidateList(Branch.POPULAR, 1.0, columns, after=len(pinned)))
    candidates = fused(lists, plan, run.left_out, run.shown)
    personal = query.sort in PERSONAL
    record = draft(run, candidates)
    order = rank_order(run, candidates, record=record if personal else None)
    ranked = await rank(replace(order, collapse=False), run.peers.ranker, trace, plan.ends.rank)
    if ranked is None:
        if personal and plan.scene.applied_objective:
            trace.note_scores([ScoreNote(OBJECTIVE, NoteCause.NOT_APPLIED)])
        return listed
    answered = _explained(ranked.order, query.language_code, listed.answered)
    ids, own = ranked.order.product_ids, frozenset(listed.line)
    for item in frozenset(candidates.columns.product_ids).difference(ids):
        del answered[item]
    line = [item for item in (ids if personal else listed.line) if item in own and item in answered]
    token = attribution(query, run.deps.keys(), record) if ranked.recorded else ""
    return ListedOrder(line, answered, ranked.hidden_count, token)


def _explained(
    order: AnswerOrder, language: str, listed: Mapping[str, AnsweredProduct]
) -> dict[str, AnsweredProduct]:
    """Return the products, those of the order as the ranker scored them."""
    answered = dict(listed)
    for place, item in enumerate(order.product_ids):
        given = order.reasons_at(place) or ()
        reasons = reasons_for(0, given, language) if given else ()
        scored = order.product(place, reasons)
        answered[item] = scored._replace(branches=(), collapsed=answered[item].collapsed)
    return answered


async def _from_snapshot(run: RequestContext) -> ListAnswer:
    """Return the products that the snapshot proves to pass, in the request's order: one page.

    Raises NothingAvailable.
    """
    query, plan, trace = run.query, run.plan, run.trace
    if query.page_token or query.text:
        raise NothingAvailable(trace.causes)
    found = fused(await list_snapshot(run), plan, run.left_out, run.shown)
    order = in_order(as_fused(found), found.columns, query.sort, len(found.order))
    page = await read_page(run, order)
    if not page.results:
        raise NothingAvailable(trace.causes)
    lost = _lost(trace)
    return ListAnswer(
        results=page.results,
        total=order.total,
        degradations=lost,
        timings=trace.by_start,
        versions=versions_of(trace, plan.scene, run.deps.service_version),
        quality=_quality(query, plan.scene, trace, lost),
        candidates=found.columns,
    )


def _lost(trace: RequestTrace) -> tuple[Degradation, ...]:
    return degradations(trace.failures, trace.reported, (), trace.snapshot_micros)


def _quality(
    query: RequestQuery, scene: Scene, trace: RequestTrace, lost: Sequence[Degradation]
) -> Quality:
    """Return the quality of the page. Raises AnswerDegraded."""
    found = Quality.REDUCED if lost else Quality.FULL
    if trace.snapshot_micros or trace.snapshot_listed:
        found = Quality.SNAPSHOT
    return check_quality(found, query.min_answer_quality or scene.min_answer_quality, lost)
