"""Pages of an answer's order. The record is read again to decide which products may be shown; if it
can't be read, the snapshot decides."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from itertools import count as naturals
from operator import attrgetter

from gateway.model.causes import Peer
from gateway.model.errors import AnswerMissing, NothingAvailable, PeerUnavailable
from gateway.model.match import Match
from gateway.model.peer_failures import cause_of
from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope, RequestQuery
from gateway.model.response import RecommendAnswer
from gateway.ranking.fallbacks import HYDRATE, degradations, reasons_for
from gateway.ranking.wording import meant, named, named_products, of_last_products, read, titled
from gateway.recommend.answer_report import answer_quality, found_by
from gateway.recommend.one_stamp import compare_products
from gateway.recommend.plan_request import weights_of
from gateway.retrieval.personal import anchors_of
from gateway.state.request_context import RequestContext, RequestDependencies
from gateway.state.tokens import (
    AnswerAttribution,
    PageStart,
    attribution_token,
    mark_of,
    page_token,
    read_page_token,
)
from gateway.state.trace import RequestTrace
from servicekit.errors import ServiceError, Unavailable
from servicekit.keys.keyring import KeyRing
from servicekit.rpc.requests import PageTokenInvalid
from servicekit.tasks.off_loop import off_loop
from sightline_core.answer import (
    AnsweredProduct,
    AnswerOrder,
    AnswerRecord,
    AnswerResult,
    result,
)
from sightline_core.candidates import Contributions
from sightline_core.changed import changed
from sightline_core.columns import Stamp
from sightline_core.opaque_messages import ProductRow
from sightline_core.ranking import AnswerRange, ReasonRequest
from sightline_core.reasons import MoveCause, Reason
from sightline_core.search import ProductRows
from sightline_core.versions import Versions
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.markets import localized

READ_AHEAD = 100
"""Minimum number of products read at once if some of the first ones have vanished."""

Rest = Callable[[int], Awaitable[AnswerOrder]]
"""The order from an index on, behind the part that was requested; raises ServiceError."""


@fast_dataclass(frozen=True, slots=True)
class AnswerPage:
    """One page of an answer."""

    results: tuple[AnswerResult, ...]
    offset: int
    """Number of products of the order processed by this and earlier pages."""
    served: int
    """Number of products served by this and earlier pages."""


@dataclass(slots=True)
class _Shown:
    """Products of a page that were read together."""

    order: AnswerOrder
    places: list[int]
    """Indexes in the whole order."""
    rows: list[ProductRow]
    reasons: list[tuple[Reason, ...] | None]
    """`None` for a product whose reasons were not requested from the ranker."""
    contributions: list[Mapping[str, Contributions] | None] = field(default_factory=list)
    """`None`, and if empty: those that came with the order."""


async def read_page(
    run: RequestContext,
    order: AnswerOrder,
    rest: Rest | None = None,
    *,
    offset: int = 0,
    served: int = 0,
    size: int = 0,
    whole: bool = False,
    stamp: Stamp | None = None,
) -> AnswerPage:
    """Return a page of products from `offset` on, as now recorded.

    A product that vanished or no longer passes is skipped, and the next one takes its place and
    rank. If the record can't be read, the products that the snapshot proves to pass are shown.
    Missing reasons, as on later pages, are requested now; without them the sentences are plainer.

    Raises NothingAvailable without any product or, with `whole`, with less than a page while the
    snapshot has products that are no candidates. If the record fails halfway and there is no
    snapshot, the page is short, which is noted.

    `size`: number of products; 0: that of the request. `stamp`: that of the columns that gave the
    order; None: unknown. Raises ChangedMeanwhile if writes have changed products since, or between
    two reads.
    """
    query, trace = run.query, run.trace
    size = size or query.results_a_page
    shown, titles, offset = await _read(run, order, rest, offset, stamp, size=size)
    if trace.snapshot_micros:
        least = size if whole and run.unlisted_snapshot is not None else 1
        if sum([len(each.rows) for each in shown]) < least:
            raise NothingAvailable(trace.causes)
    for each in shown:
        if None in each.reasons:
            titles |= await _ask_reasons(run, shown)
            break
    results, language = list[AnswerResult](), query.language_code
    for each in shown:
        reasons = _worded(each, titles, trace, language, followed=run.plan.by_history)
        first = served + len(results) + 1
        answered = each.order.products(each.places, reasons, each.contributions)
        results += map(result, zip(each.rows, naturals(first), answered))
    return AnswerPage(tuple(results), offset, served + len(results))


def _worded(
    shown: _Shown, titles: Mapping[str, str], trace: RequestTrace, language: str, *, followed: bool
) -> list[tuple[Reason, ...]]:
    """Return the products' reasons in a language. `followed`: they name the shopper's last
    products."""
    order, synonyms, texts = shown.order, trace.synonyms, trace.read
    held = order.branches
    bits = map(held.__getitem__, order.rows(shown.places)) if held else repeat(0)
    found = [*map(reasons_for, bits, shown.reasons, repeat(language))]
    if followed:
        found = [of_last_products(each, language) for each in found]
    for at, row in enumerate(shown.rows) if synonyms or texts else ():
        if used := synonyms.get(row.product_id):
            found[at] = meant(found[at], used, language)
        if text := texts.get(row.product_id):
            found[at] = read(found[at], text, language)
    for at, names in enumerate(map(named, found)) if titles else ():
        if names:
            found[at] = titled(found[at], tuple(map(titles.get, names)), language)
    return found


async def _read(
    run: RequestContext,
    order: AnswerOrder,
    rest: Rest | None,
    offset: int,
    stamp: Stamp | None,
    *,
    size: int,
) -> tuple[list[_Shown], dict[str, str], int]:
    """Return the page's products, titles of products that reasons name, and the offset of its
    end."""
    shown, titles = list[_Shown](), dict[str, str]()
    # Products that a control has excluded since the first page are excluded from later pages too.
    left, count, excluded = size, size, frozenset(run.query.exclude_product_ids)
    while left and offset < order.total:
        try:
            if offset >= order.end and rest is not None:
                order = await rest(offset)
            begin = offset - order.offset
            ids = order.product_ids[begin : begin + min(count, MOST_ASKED)]
            if not ids:
                break
            count = len(ids)
            named = named_products(order.reasons[begin : begin + count])
            found = await _rows(run, ids, named)
        except ServiceError as error:
            run.trace.fail(HYDRATE, Peer.RETRIEVER, error)
            if not shown:
                raise NothingAvailable(run.trace.causes) from error
            break
        compare_products(run.trace, found, count, stamp)
        stamp = stamp or found.stamp
        titles |= found.titles
        out = excluded if not (order.left_out or shown) else _left_out(excluded, order, shown)
        kept = _kept(order, offset, found, out, read=count, most=left)
        left -= len(kept.places)
        offset = offset + count if left else kept.places[-1] + 1
        # One call per vanished product would be too many after a whole catalog was exchanged.
        count = max(size, READ_AHEAD)
        if kept.places:
            shown.append(kept)
    return shown, titles, offset


def _left_out(
    excluded: frozenset[str], order: AnswerOrder, shown: Sequence[_Shown]
) -> frozenset[str]:
    """Return products that may not be shown, with those that are: the rest of an order may be of
    another ranking."""
    return excluded.union(order.left_out, *[map(_product_id, each.rows) for each in shown])


def _kept(
    order: AnswerOrder,
    offset: int,
    found: ProductRows,
    left_out: frozenset[str],
    *,
    read: int,
    most: int,
) -> _Shown:
    """Return the first `most` of `read` products of an order from `offset` on that may be shown."""
    begin = offset - order.offset
    ids = order.product_ids[begin : begin + read]
    by_id = dict(zip(map(_product_id, found.rows), found.rows, strict=True))
    passing = by_id.keys() - left_out if left_out else by_id
    kept = [*compress(naturals(), map(passing.__contains__, ids))][:most]
    told = list[tuple[Reason, ...] | None](order.reasons[begin : begin + read])
    if (missing := read - len(told)) > 0:
        told += [() if order.is_fused else None] * missing
    return _Shown(
        order,
        [*map(offset.__add__, kept)],
        [*map(by_id.__getitem__, map(ids.__getitem__, kept))],
        [*map(told.__getitem__, kept)],
    )


_product_id = attrgetter("product_id")


async def _rows(run: RequestContext, ids: Sequence[str], named: Sequence[str]) -> ProductRows:
    """Return those of the products that pass, from the record, else from the snapshot.

    Raises ServiceError if neither can be read.
    """
    copy = run.snapshot
    try:
        gone = run.trace.snapshot_listed and Peer.RETRIEVER in run.trace.unreachable
        if gone or run.trace.snapshot_micros:
            raise PeerUnavailable(Peer.RETRIEVER)  # not requested again
        until = run.plan.ends.answer if copy is None else run.plan.ends.hydrate
        async with run.trace.stage(HYDRATE, until):
            return await run.peers.retriever.products(
                run.query.catalog_id, ids, run.plan.scope, named
            )
    except ServiceError as error:
        if copy is None:
            raise
        if not run.trace.snapshot_micros:
            run.trace.fail(HYDRATE, Peer.RETRIEVER, error)
            run.trace.snapshot_micros = copy.time_micros
    scope = run.plan.scope
    known = [copy.rows[each] for each in named if each in copy.rows]
    titles = {row.product_id: localized(row, scope.market_id).title for row in known}
    rows = await off_loop(copy.steps(scope, len(ids)), copy.passing(scope, ids))
    return ProductRows(tuple(rows), titles)


def _explored(product: AnsweredProduct) -> bool:
    return any(move.cause == MoveCause.EXPLORATION and move.places > 0 for move in product.moves)


async def _ask_reasons(run: RequestContext, shown: Sequence[_Shown]) -> Mapping[str, str]:
    """Add missing reasons of the ranker to products, if available, and read the titles that these
    name."""
    if Peer.RANKER in run.trace.unreachable or run.trace.snapshot_micros:
        return {}
    asked = [
        (each, place) for each in shown for place, own in enumerate(each.reasons) if own is None
    ]
    answered = [each.order.product(each.places[place]) for each, place in asked]
    parts = [name for name, _ in answered[0].parts]
    order = ReasonRequest(
        catalog_id=run.query.catalog_id,
        language_code=run.query.language_code,
        shopper=run.query.shopper,
        session_id=run.query.session_id,
        rows=[each.rows[place] for each, place in asked],
        parts=[(part, [item.parts[at][1] for item in answered]) for at, part in enumerate(parts)],
        weights=weights_of(
            run.plan.scene,
            tuple({branch for item in answered for branch in item.branches}),
            tuple(parts),
        ),
        explored_places=[place for place, item in enumerate(answered) if _explored(item)],
        explain=run.query.explain,
        anchors=anchors_of(run.query, run.plan.scene, run.trace.anchors),
        model_version=run.plan.scene.ranking.model,
    )
    try:
        async with run.trace.stage("reasons", run.plan.ends.answer):
            reasoned = await run.peers.ranker.reasons(order)
        for each in shown:
            each.contributions = [None] * len(each.rows)
        for row, ((each, place), reasons) in enumerate(zip(asked, reasoned.reasons, strict=True)):
            each.reasons[place] = reasons
            each.contributions[place] = {
                part: values[row] for part, values in reasoned.contributions.items()
            }
        named = named_products(reasoned.reasons)
        if not named:
            return {}
        async with run.trace.stage("titles", run.plan.ends.answer):
            catalog_id, scope = run.query.catalog_id, AnswerScope(market_id=run.query.market_id)
            return (await run.peers.retriever.products(catalog_id, (), scope, named)).titles
    except ServiceError:
        return {}


async def later_page(run: RequestContext) -> RecommendAnswer:
    """Return a page read from the answer's record.

    Products that may no longer be shown, or that the shopper hid or saw meanwhile, are skipped.
    """
    query, trace, deps, keys = run.query, run.trace, run.deps, run.deps.keys()
    here = read_page_token(query.page_token, run.digests.callers, keys, run.time_micros)
    record, rest = await _recorded(run, here)
    page = await read_page(run, record.order, rest, offset=here.offset, served=here.served)
    match = deps.matches.unpack(here.match) if here.match else None
    lost = (
        # Failures of reading the first page affect that page only.
        *(item for item in record.degradations if item.stage != HYDRATE),
        *degradations(trace.failures, (), (), trace.snapshot_micros),
    )
    named = found_by(page.results) if lost else ()
    more = page.offset < record.order.total
    return RecommendAnswer(
        results=page.results,
        no_good_match=here.no_good_match,
        quality=answer_quality(query, run.plan.scene, trace, lost, named),
        degradations=lost,
        timings=trace.by_start,
        versions=record.versions,
        freshness=None,
        missing_product_ids=(),
        hidden_count=record.hidden_count,
        attribution_token=attribution(query, keys, record),
        next_page_token=next_page(here.digest, deps, record, page, match) if more else "",
        match=match,
        arms=record.arms,
    )


async def _recorded(run: RequestContext, here: PageStart) -> tuple[AnswerRecord, Rest]:
    """Return the record of a page token from its offset on, if the token belongs to this request,
    and what reads the rest of its order."""
    query, plan, deps = run.query, run.plan, run.deps

    async def read(offset: int, limit: int = 0) -> AnswerRecord:
        async with run.trace.stage("record", plan.ends.rank):
            asked = AnswerRange(here.answer_id, offset, limit, query.shopper, plan.scene.drop_seen)
            return await run.peers.ranker.answer(query.catalog_id, asked)

    async def rest(offset: int) -> AnswerOrder:
        return (await read(offset)).order

    record = deps.answers.find(query.catalog_id, here.answer_id)
    if record is None:
        try:
            record = await read(here.offset, plan.ahead)
        except Unavailable as error:
            raise NothingAvailable([cause_of(Peer.RANKER, error)]) from error
    if record.request_digest != run.digests.stored:
        raise PageTokenInvalid("belongs to another request: repeat that request, or omit the token")
    if 0 < record.expire_micros < time.time() * 1e6:
        raise AnswerMissing
    if not record.expire_micros:
        expires = run.time_micros + round(deps.answer_seconds * 1e6)
        record = changed(record, expire_micros=expires)
    return record, rest


def next_page(
    digest: bytes,
    deps: RequestDependencies,
    record: AnswerRecord,
    page: AnswerPage,
    match: Match | None,
) -> str:
    """Return the token of the page after this one. `digest`: the request as its caller makes it."""
    start = PageStart(
        answer_id=record.answer_id,
        offset=page.offset,
        served=page.served,
        digest=digest,
        no_good_match=match is not None and match.is_poor,
        match=deps.matches.pack(match),
    )
    return page_token(start, deps.keys(), record.expire_micros)


def attribution(
    query: RequestQuery, keys: KeyRing, record: AnswerRecord, versions: Versions | None = None
) -> str:
    """Return the token that joins events to this answer. `versions`: None: those of the record."""
    versions = versions or record.versions
    return attribution_token(
        AnswerAttribution(
            answer_id=record.answer_id,
            catalog_id=query.catalog_id,
            scene=versions.scene,
            scene_version=versions.scene_version,
            model_version=versions.model_version,
            seed=record.seed,
            arms=record.arms,
            made_seconds=record.answer_micros // 1_000_000,
            shopper=mark_of(query.shopper, query.catalog_id, keys),
        ),
        keys,
        record.expire_micros,
    )
