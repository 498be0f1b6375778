"""Nearest neighbours of the signals: one list for each, or one for all positive signals of a
branch.

The scene decides which (`fusion`). Negative signals always have their own lists, which add no
candidates: their products are moved down, see ranking/fuse.py. As parts of the blend they removed
more positive results (`python -m lab signals`, 2026-11).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from gateway.model.causes import Peer
from gateway.model.peer_failures import StageFailure
from gateway.model.peers import EmbeddedSignal
from gateway.model.plan import MOST_ASKED, RequestPlan
from gateway.model.query import FIRST_GROUP, Signal, SignalKind
from gateway.model.retrieved import NOTHING, BranchResult, failed, merged
from gateway.model.scene import Fusion, Scene
from gateway.retrieval.category_fit import category_fits
from gateway.retrieval.embedding import embed
from gateway.state.request_context import RequestContext, RequestDependencies, SpaceVersions
from servicekit.errors import ServiceError
from servicekit.tasks.parallel import in_parallel
from sightline_core.branch import SPACES, Branch
from sightline_core.candidates import CandidateList
from sightline_core.changed import changed
from sightline_core.degradations import DegradationCause
from sightline_core.opaque_messages import Vector
from sightline_core.search import NearestProducts, VectorBlend
from sightline_rules.fast_dataclass import fast_dataclass

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


@fast_dataclass(frozen=True, slots=True)
class _SpaceSearch:
    """Search of a space by the signals of a request."""

    branch: Branch
    plan: RequestPlan
    search: Callable[[Vector | str | VectorBlend], Awaitable[NearestProducts]]
    """Searches the index; raises ServiceError."""
    embed: Callable[..., Awaitable[tuple[list[EmbeddedSignal], BranchResult]]]
    """Embeds signals; see `embedding.embed`."""
    learn: Callable[[str, ServiceError], bool]
    """Remembers the version of a space that a rejection names; false if it names none."""


async def of_one_generation(
    branch: Branch, near: Callable[[], Awaitable[BranchResult]]
) -> BranchResult:
    """Return the lists of a branch, all from one generation of the index, although another one may
    become active between two searches. `near`: searches."""
    for _ in range(MOST_ROUNDS):
        result = await near()
        if len(result.found) < 2 or len({found.space for found in result.found}) < 2:
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


async def by_signals(run: RequestContext, branch: Branch) -> BranchResult:
    """Return the lists of the branch's signals that could be searched."""
    query, plan, deps = run.query, run.plan, run.deps
    signals = [signal for signal in query.signals if signal.kind in FOLLOWED[branch]]
    if branch is Branch.TEXT_VISUAL:
        seconds = plan.ends.embed - run.trace.elapsed
        if not await takes_texts(query.catalog_id, deps, seconds):
            return NOTHING
    out, token = query.left_out, query.min_index_token
    space = _SpaceSearch(
        branch,
        plan,
        search=partial(search, run, exclude=out, min_index_token=token),
        embed=partial(embed, run, branch),
        learn=partial(_learn, deps.versions, query.catalog_id),
    )
    together = plan.scene.fusion is Fusion.VECTOR
    wanted = [signal for signal in signals if not signal.negative] if together else ()
    if len(wanted) < 2:
        return await _near_each(space, signals)
    negative = [signal for signal in signals if signal.negative]
    return merged(await in_parallel(_near_together(space, wanted), _near_each(space, negative)))


async def takes_texts(catalog_id: str, deps: RequestDependencies, seconds: float) -> bool:
    """Return whether texts can be searched in the visual space; false if that is unknown after so
    many seconds.

    While the version in the index is unknown, a version that takes texts is assumed; the index
    rejects a wrong one.
    """
    versions, space = deps.versions, SPACES[Branch.VISUAL]
    try:
        async with asyncio.timeout(seconds):
            with_texts = await deps.text_spaces.of(catalog_id, deps.peers.embedder.spaces)
    except TimeoutError:
        return False
    known = versions.of(catalog_id, space)
    if with_texts and not known:
        versions.learn(catalog_id, space, with_texts[0])
        return True
    return known in with_texts


# The groups of a shopper's last products, in one call


async def by_groups(run: RequestContext, branch: Branch) -> BranchResult:
    """Return a list for each group of the shopper's last products, of one call; none in a catalog
    without such vectors. Products that are missing are skipped."""
    query, plan, results = run.query, run.plan, list[BranchResult]()
    groups = dict[int, Sequence[Signal]](enumerate(run.last_products.groups()))
    exclude = tuple(dict.fromkeys((*run.last_products.ids, *query.left_out)))[:MOST_ASKED]
    while groups:
        nears = [[(each.strength, each.product_id) for each in group] for group in groups.values()]
        try:
            async with run.trace.stage("retrieve", plan.ends.candidates) as note:
                answers = await run.peers.retriever.search_each(
                    query.catalog_id,
                    [VectorBlend(SPACES[branch], tuple(near)) for near in nears],
                    plan.scope,
                    top_k=plan.top_k,
                    exclude=exclude,
                    min_index_token=query.min_index_token,
                )
                worked = [each.work for each in answers if not isinstance(each, ServiceError)]
                note.work = sum(filter(None, worked)) or None
        except ServiceError as error:
            answers = [error] * len(nears)
        left = dict[int, Sequence[Signal]]()
        for (number, group), found in zip(groups.items(), answers, strict=True):
            result = _of_group(branch, plan.top_k, FIRST_GROUP - number, group, found)
            results.append(result)
            if result.missing:
                left[number] = [each for each in group if each.index not in result.missing]
        groups = {number: group for number, group in left.items() if group}
    return merged(results)


def _of_group(
    branch: Branch,
    top_k: int,
    index: int,
    group: Sequence[Signal],
    found: NearestProducts | ServiceError,
) -> BranchResult:
    """Return the list of a group, whose signal has this index, or what is missing or failed."""
    if not isinstance(found, ServiceError):
        listing = listing_of(branch, sum(each.strength for each in group), found)
        return result_of(top_k, changed(listing, signal=index), found)
    if missing := _missing(found, group):
        return BranchResult(missing=missing)
    if found.reason == "SPACE_UNAVAILABLE" or _cancels_out(found):
        return NOTHING
    return failed(branch, Peer.RETRIEVER, found)


# Each signal searched separately


async def _near_each(space: _SpaceSearch, signals: Sequence[Signal]) -> BranchResult:
    products = [signal for signal in signals if signal.kind is SignalKind.PRODUCT]
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    near = await in_parallel(
        *(_near_signal(space, signal, signal.product_id) for signal in products),
        *([_near_embedded(space, to_embed)] if to_embed else []),
    )
    return merged([each for each in near if each is not None])


async def _near_embedded(space: _SpaceSearch, signals: Sequence[Signal]) -> BranchResult:
    """Return the lists of photos or texts.

    They are embedded again if the index holds another version of the space.
    """
    ends = space.plan.ends
    vectors, notes = await space.embed(signals, ends.embed, again=True)
    first = await in_parallel(
        *(_near_signal(space, item.signal, item, again=True) for item in vectors)
    )
    results = [notes, *(near for near in first if near is not None)]
    stale = [item.signal for item, near in zip(vectors, first, strict=True) if near is None]
    if stale:
        vectors, notes = await space.embed(stale, ends.candidates, again=False)
        second = (_near_signal(space, item.signal, item) for item in vectors)
        results += [notes, *(near for near in await in_parallel(*second) if near is not None)]
    return merged(results)


async def _near_signal(
    space: _SpaceSearch, signal: Signal, near: EmbeddedSignal | str, *, again: bool = False
) -> BranchResult | None:
    """Return the products nearest to a vector or product; None if the index holds another version
    of the space.

    `again`: the signal may be embedded again; otherwise another version is a failure.
    """
    branch, plan = space.branch, space.plan
    try:
        found = await space.search(near if isinstance(near, str) else near.vector)
    except ServiceError as error:
        if isinstance(near, str):
            if error.reason == "PRODUCT_NOT_FOUND":
                return BranchResult(missing={signal.index: near})
        elif again and space.learn(near.vector.space, error):
            return None
        return failed(branch, Peer.RETRIEVER, error)
    listing = listing_of(branch, signal.strength, found, signal)
    if isinstance(near, str):
        return result_of(plan.top_k, listing, found)
    if not signal.negative:
        listing = _with_categories(plan.scene, listing, [near], signal.strength)
    result = result_of(plan.top_k, listing, found)
    if not near.match_cosines:
        return result
    return changed(result, match_cosines={signal.index: near.match_cosines})


def _learn(versions: SpaceVersions, catalog_id: str, space: str, error: ServiceError) -> bool:
    """Return whether a rejection names the version in the index, and remember the version."""
    held = error.metadata.get("held", "")
    if error.reason != "INDEX_VERSION_MISMATCH" or not held:
        return False
    versions.learn(catalog_id, space, held)
    return True


def _with_categories(
    scene: Scene, listing: CandidateList, embedded: Sequence[EmbeddedSignal], total: float
) -> CandidateList:
    """Return the listing with what the categories of photos add, weighted by the signals' shares of
    the strength `total` of all signals of the list."""
    shown = [
        (item.classification, scene.category_weight * item.signal.strength / total)
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


def result_of(top_k: int, listing: CandidateList, found: NearestProducts) -> BranchResult:
    """Return the list of a search for `top_k` products, with the search in words."""
    away = ", away from it" if listing.negative else ""
    step = f"{listing.branch}: top {top_k}{away} ({found.plan or 'unknown plan'})"
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


async def _near_together(space: _SpaceSearch, signals: Sequence[Signal]) -> BranchResult:
    """Return the list of all positive signals together; if they cancel out, a list for each."""
    near = await _near_blend(space, signals)
    return await _near_each(space, signals) if near is None else near


async def _near_blend(space: _SpaceSearch, signals: Sequence[Signal]) -> BranchResult | None:
    """Return the list of signals combined into one vector; None if they cancel out.

    Failed signals are skipped.
    """
    nears: dict[int, Vector | str] = {
        signal.index: signal.product_id for signal in signals if signal.kind is SignalKind.PRODUCT
    }
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    branch, plan, name, again = space.branch, space.plan, SPACES[space.branch], True
    vectors, notes = await space.embed(to_embed, plan.ends.embed, again=True)
    while True:
        nears |= {item.signal.index: item.vector for item in vectors}
        left = [signal for signal in signals if signal.index in nears]
        if not left:
            return notes
        parts = tuple((signal.strength, nears[signal.index]) for signal in left)
        try:
            found = await space.search(VectorBlend(name, parts))
        except ServiceError as error:
            if _cancels_out(error):
                return None
            if missing := _missing(error, left):
                notes = merged([notes, BranchResult(missing=missing)])
                nears = {place: near for place, near in nears.items() if place not in missing}
                continue
            if again and space.learn(name, error):
                again = False
                held = [item.signal for item in vectors]
                nears = {place: near for place, near in nears.items() if isinstance(near, str)}
                vectors, more = await space.embed(held, plan.ends.candidates, again=False)
                notes = merged([notes, more])
                continue
            return merged([notes, failed(branch, Peer.RETRIEVER, error)])
        weight = sum(signal.strength for signal in left)
        listing = listing_of(branch, weight, found)
        listing = _with_categories(plan.scene, listing, vectors, weight)
        return merged([notes, result_of(plan.top_k, listing, found)])


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
