"""Nearest neighbours of the signals: one list for each, or one for all positive signals of a
branch.

The scene decides which (`fusion`). Negative signals always have their own lists, which add no
candidates: their products are moved down, see ranking/fuse.py. As parts of the blend they removed
more positive results (`python -m lab signals`, 2026-11).
"""

import asyncio
import re
from collections.abc import Mapping, Sequence

from gateway.model.causes import Peer
from gateway.model.peer_failures import StageFailure
from gateway.model.peers import EmbeddedSignal
from gateway.model.plan import MOST_ASKED
from gateway.model.query import FIRST_GROUP, Signal, SignalKind
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.model.scene import Fusion
from gateway.retrieval.category_fit import category_fits
from gateway.retrieval.embedding import embed
from gateway.retrieval.parallel import in_parallel
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import SPACES, Branch
from sightline_core.candidates import CandidateList
from sightline_core.changed import changed
from sightline_core.degradations import DegradationCause
from sightline_core.opaque_messages import Vector
from sightline_core.search import NearestProducts, VectorBlend

PHOTOS = frozenset({SignalKind.IMAGE, SignalKind.IMAGE_URI, SignalKind.PRODUCT})
FOLLOWED: Mapping[Branch, frozenset[SignalKind]] = {
    Branch.VISUAL: PHOTOS,
    Branch.TEXT: frozenset({SignalKind.TEXT}),
    Branch.TEXT_VISUAL: frozenset({SignalKind.TEXT}),
}
"""Signals that each branch of a space follows."""

MOST_ROUNDS = 3
"""Maximum number of repetitions until all lists of a branch come from one generation of the index.
"""

_PART = re.compile(r"blend\.parts\[(\d+)\]\.product_id")


async def similar(run: RequestContext, branch: Branch) -> BranchResult:
    """Return the lists of the branch's signals that could be searched.

    All are from one generation of the index, although another one may become active between two
    searches.
    """
    for _ in range(MOST_ROUNDS):
        result = await _near_all(run, branch)
        if all(found.space == result.found[0].space for found in result.found):
            return result
    held = result.found[-1].space
    kept = [row for row, found in enumerate(result.found) if found.space == held]
    return changed(
        result,
        listings=tuple(result.listings[row] for row in kept),
        found=tuple(result.found[row] for row in kept),
        steps=tuple(result.steps[row] for row in kept),
        failures=(*result.failures, StageFailure(branch, DegradationCause.INDEX_UNAVAILABLE)),
    )


async def _near_all(run: RequestContext, branch: Branch) -> BranchResult:
    if run.last_products.ids:
        return await _near_last(run, branch)
    signals = [signal for signal in run.query.signals if signal.kind in FOLLOWED[branch]]
    if branch is Branch.TEXT_VISUAL and not await takes_texts(run):
        return NOTHING
    wanted = [signal for signal in signals if not signal.negative]
    if run.plan.scene.fusion is not Fusion.VECTOR or len(wanted) < 2:
        return await _near_each(run, branch, signals)
    negative = [signal for signal in signals if signal.negative]
    return merged(
        await in_parallel(_near_together(run, branch, wanted), _near_each(run, branch, negative))
    )


async def takes_texts(run: RequestContext) -> bool:
    """Return whether texts can be searched in the visual space.

    While the version in the index is unknown, a version that takes texts is assumed; the index
    rejects a wrong one.
    """
    catalog_id, versions, space = run.query.catalog_id, run.deps.versions, SPACES[Branch.VISUAL]
    try:
        async with asyncio.timeout(run.plan.ends.embed - run.trace.elapsed):
            with_texts = await run.deps.text_spaces.of(catalog_id, run.peers.embedder.spaces)
    except TimeoutError:
        return False
    known = versions.of(catalog_id, space)
    if with_texts and not known:
        versions.learn(catalog_id, space, with_texts[0])
        return True
    return known in with_texts


async def _near_last(run: RequestContext, branch: Branch) -> BranchResult:
    """Return a list for each group of the shopper's last products, of one call; none in a catalog
    without such vectors. Products that are missing are skipped."""
    groups = dict[int, Sequence[Signal]](enumerate(run.last_products.groups()))
    results = list[BranchResult]()
    while groups:
        nears = [[(each.strength, each.product_id) for each in group] for group in groups.values()]
        blends = [VectorBlend(SPACES[branch], tuple(near)) for near in nears]
        try:
            answers = await _search_each(run, blends)
        except ServiceError as error:
            answers = [error] * len(blends)
        left = dict[int, Sequence[Signal]]()
        for (number, group), found in zip(groups.items(), answers, strict=True):
            if not isinstance(found, ServiceError):
                weight = sum(each.strength for each in group)
                listing = listing_of(branch, weight, found)
                listing = changed(listing, signal=FIRST_GROUP - number)
                results.append(result_of(run, listing, found))
            elif missing := _missing(found, group):
                results.append(BranchResult(missing=missing))
                left[number] = [each for each in group if each.index not in missing]
            elif found.reason != "SPACE_UNAVAILABLE" and not _cancels_out(found):
                results.append(failed(branch, Peer.RETRIEVER, found))
        groups = {number: group for number, group in left.items() if group}
    return merged(results)


async def _search_each(
    run: RequestContext, blends: Sequence[VectorBlend]
) -> Sequence[NearestProducts | ServiceError]:
    exclude = tuple(dict.fromkeys((*run.last_products.ids, *run.query.left_out)))
    async with run.trace.stage("retrieve", run.plan.ends.candidates) as note:
        answers = await run.peers.retriever.search_each(
            run.query.catalog_id,
            blends,
            run.plan.scope,
            top_k=run.plan.top_k,
            exclude=exclude[:MOST_ASKED],
            min_index_token=run.query.min_index_token,
        )
        worked = [each.work for each in answers if not isinstance(each, ServiceError) and each.work]
        note.work = sum(worked) if worked else None
    return answers


# Each signal searched separately


async def _near_each(
    run: RequestContext, branch: Branch, signals: Sequence[Signal]
) -> BranchResult:
    products = [signal for signal in signals if signal.kind is SignalKind.PRODUCT]
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    return merged(
        await in_parallel(
            *(_near_product(run, branch, signal) for signal in products),
            *([_near_embedded(run, branch, to_embed)] if to_embed else []),
        )
    )


async def _near_product(run: RequestContext, branch: Branch, signal: Signal) -> BranchResult:
    try:
        return await _near_signal(run, branch, signal, signal.product_id)
    except ServiceError as error:
        if error.reason == "PRODUCT_NOT_FOUND":
            return BranchResult(missing={signal.index: signal.product_id})
        return failed(branch, Peer.RETRIEVER, error)


async def _near_embedded(
    run: RequestContext, branch: Branch, signals: Sequence[Signal]
) -> BranchResult:
    """Return the lists of photos or texts.

    They are embedded again if the index holds another version of the space.
    """
    vectors, notes = await embed(run, branch, signals, run.plan.ends.embed, again=True)
    first = await in_parallel(*(_near_vector(run, branch, item, again=True) for item in vectors))
    results = [notes, *(near for near in first if near is not None)]
    stale = [item.signal for item, near in zip(vectors, first, strict=True) if near is None]
    if stale:
        vectors, notes = await embed(run, branch, stale, run.plan.ends.candidates, again=False)
        second = (_near_vector(run, branch, item, again=False) for item in vectors)
        results += [notes, *(near for near in await in_parallel(*second) if near is not None)]
    return merged(results)


async def _near_vector(
    run: RequestContext, branch: Branch, embedded: EmbeddedSignal, *, again: bool
) -> BranchResult | None:
    """Return the products nearest to a vector; None if the index holds another version of the
    space.

    `again`: the signal may be embedded again; otherwise another version is a failure.
    """
    try:
        return await _near_signal(run, branch, embedded.signal, embedded)
    except ServiceError as error:
        if again and _learn(run, embedded.vector.space, error):
            return None
        return failed(branch, Peer.RETRIEVER, error)


def _learn(run: RequestContext, space: str, error: ServiceError) -> bool:
    """Return whether a rejection names the version in the index, and remember the version."""
    held = error.metadata.get("held", "")
    if error.reason != "INDEX_VERSION_MISMATCH" or not held:
        return False
    run.deps.versions.learn(run.query.catalog_id, space, held)
    return True


async def _near_signal(
    run: RequestContext, branch: Branch, signal: Signal, near: EmbeddedSignal | str
) -> BranchResult:
    """Return the products nearest to one signal. Raises ServiceError."""
    query = near if isinstance(near, str) else near.vector
    found = await search(run, query, run.query.left_out, run.query.min_index_token)
    listing = listing_of(branch, signal.strength, found, signal)
    if not isinstance(near, str) and not signal.negative:
        listing = _with_categories(run, listing, [near], signal.strength)
    result = result_of(run, listing, found)
    if isinstance(near, str):
        return result
    cosines = {signal.index: near.match_cosines} if near.match_cosines else {}
    return changed(result, match_cosines=cosines)


def _with_categories(
    run: RequestContext, listing: CandidateList, embedded: Sequence[EmbeddedSignal], total: float
) -> CandidateList:
    """Return the listing with what the categories of photos add, weighted by the signals' shares of
    the strength `total` of all signals of the list."""
    shown = [
        (item.classification, run.plan.scene.category_weight * item.signal.strength / total)
        for item in embedded
        if item.classification is not None
    ]
    return (
        changed(listing, category_fits=category_fits(shown, listing.columns)) if shown else listing
    )


def listing_of(
    branch: Branch, weight: float, found: NearestProducts, near: Signal | None = None
) -> CandidateList:
    """Return the listing of a search by one signal, or by several (None)."""
    return CandidateList(
        branch,
        weight,
        found.columns,
        found.similarities,
        found.image_ids,
        collapsed=found.collapsed,
        own=found.own,
        signal=None if near is None else near.index,
        negative=near is not None and near.negative,
    )


def result_of(run: RequestContext, listing: CandidateList, found: NearestProducts) -> BranchResult:
    """Return a search's list, with the search in words."""
    away = ", away from it" if listing.negative else ""
    step = f"{listing.branch}: top {run.plan.top_k}{away} ({found.plan or 'unknown plan'})"
    return BranchResult((listing,), found=(found,), steps=(step,))


async def search(
    run: RequestContext,
    near: Vector | str | VectorBlend,
    exclude: Sequence[str],
    min_index_token: str = "",
) -> NearestProducts:
    """Search the index. Raises ServiceError."""
    async with run.trace.stage("retrieve", run.plan.ends.candidates) as note:
        found = await run.peers.retriever.search(
            run.query.catalog_id,
            near,
            run.plan.scope,
            top_k=run.plan.top_k,
            exclude=exclude[:MOST_ASKED],
            min_index_token=min_index_token,
        )
        note.work = found.work
    return found


# All positive signals of a branch searched at once


async def _near_together(
    run: RequestContext, branch: Branch, signals: Sequence[Signal]
) -> BranchResult:
    """Return the list of all positive signals together; if they cancel out, a list for each."""
    near = await _near_blend(run, branch, signals)
    return await _near_each(run, branch, signals) if near is None else near


async def _near_blend(
    run: RequestContext, branch: Branch, signals: Sequence[Signal]
) -> BranchResult | None:
    """Return the list of signals combined into one vector; None if they cancel out.

    Failed signals are skipped.
    """
    nears: dict[int, Vector | str] = {
        signal.index: signal.product_id for signal in signals if signal.kind is SignalKind.PRODUCT
    }
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    vectors, notes = await embed(run, branch, to_embed, run.plan.ends.embed, again=True)
    again = True
    while True:
        nears |= {item.signal.index: item.vector for item in vectors}
        left = [signal for signal in signals if signal.index in nears]
        if not left:
            return notes
        parts = tuple((signal.strength, nears[signal.index]) for signal in left)
        try:
            blend = VectorBlend(SPACES[branch], parts)
            found = await search(run, blend, run.query.left_out, run.query.min_index_token)
        except ServiceError as error:
            if _cancels_out(error):
                return None
            if missing := _missing(error, left):
                notes = merged([notes, BranchResult(missing=missing)])
                nears = {place: near for place, near in nears.items() if place not in missing}
                continue
            if again and _learn(run, SPACES[branch], error):
                again = False
                held = [item.signal for item in vectors]
                nears = {place: near for place, near in nears.items() if isinstance(near, str)}
                vectors, more = await embed(
                    run, branch, held, run.plan.ends.candidates, again=False
                )
                notes = merged([notes, more])
                continue
            return merged([notes, failed(branch, Peer.RETRIEVER, error)])
        weight = sum(signal.strength for signal in left)
        listing = _with_categories(run, listing_of(branch, weight, found), vectors, weight)
        return merged([notes, result_of(run, listing, found)])


def _missing(error: ServiceError, signals: Sequence[Signal]) -> Mapping[int, str]:
    """Return the products missing from the catalog, by index of the signal."""
    if error.reason != "PRODUCT_NOT_FOUND":
        return {}
    rows = (_PART.fullmatch(violation.field) for violation in error.violations)
    missing = [signals[int(row[1])] for row in rows if row and int(row[1]) < len(signals)]
    return {signal.index: signal.product_id for signal in missing}


def _cancels_out(error: ServiceError) -> bool:
    return error.reason == "VECTOR_INVALID" and any(
        violation.field == "blend" for violation in error.violations
    )
