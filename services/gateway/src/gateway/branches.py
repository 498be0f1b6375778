"""The branches: where candidates come from, side by side, and what is tried when they name none."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway import collapse
from gateway.fallbacks import cause_of
from gateway.fresh import fresh
from gateway.fuse import Listing, pick
from gateway.model import (
    Basis,
    Branch,
    Cause,
    Columns,
    Found,
    ImageRefused,
    ImageUnreadable,
    Nominees,
    NothingAvailable,
    Peer,
    ProductNotFound,
    Shopper,
    Signal,
    SignalKind,
    SpaceMissing,
    Vector,
)
from gateway.personal import near_shopper
from gateway.plan import MOST_ASKED
from gateway.trail import Run
from servicekit.errors import ServiceError

T = TypeVar("T")

BRANCH_OF = {
    SignalKind.IMAGE: Branch.VISUAL,
    SignalKind.IMAGE_URI: Branch.VISUAL,
    SignalKind.PRODUCT: Branch.VISUAL,
    SignalKind.TEXT: Branch.TEXT,
}


MOST_ROUNDS = 3
"""How often a branch searches so that all its listings come from one generation of the index."""


@dataclass(frozen=True, slots=True)
class Near:
    """What one search found."""

    listing: Listing
    found: Found


@dataclass(frozen=True, slots=True)
class Missed:
    """Why one search found nothing."""

    stale: bool
    """The index holds another version of the space."""


STALE = Missed(stale=True)
LOST = Missed(stale=False)


@dataclass(frozen=True, slots=True)
class Haul:
    """What one branch brought in."""

    listings: tuple[Listing, ...] = ()
    popular: Nominees | None = None
    """Popular products that the ranker named for a shopper without history: they wait for the case
    that nothing else names candidates."""
    fresh: Listing | None = None
    """New products to give places to: they stand beside whatever is named."""


async def find(run: Run) -> tuple[Listing, ...]:
    """What all branches of the plan name; a lost branch is noted and left out.

    When they name nothing, what is popular, then what is newest. Empty when nothing passes the
    filter. Raises the caller's own errors, and NothingAvailable when everything is lost.
    """
    jobs = [_similar(run, branch) for branch in _signalled(run)]
    if Branch.COLLABORATIVE in run.plan.branches:
        jobs.append(_personal(run))
    if Branch.NEW in run.plan.branches:
        jobs.append(_fresh(run))
    hauls = await side_by_side(*jobs)
    _refuse_if_all_missing(run)
    listings = tuple(listing for haul in hauls for listing in haul.listings)
    if not any(len(listing.columns.product_ids) for listing in listings):
        popular = next((haul.popular for haul in hauls if haul.popular is not None), None)
        listings = await _fall_back(run, popular)
    return (*listings, *(haul.fresh for haul in hauls if haul.fresh is not None))


async def search(run: Run) -> tuple[Listing, ...]:
    """What the signals alone name.

    Raises when no signal could be followed: SpaceMissing when none of them has a space, else
    NothingAvailable.
    """
    listings = await near_signals(run)
    _refuse_if_all_missing(run)
    if not listings:
        causes = {loss.cause for loss in run.trail.losses}
        if causes == {Cause.SPACE_UNAVAILABLE}:
            asked = (signal.index for signal in run.query.signals)
            raise SpaceMissing(place for place in asked if place not in run.trail.missing_places)
        raise NothingAvailable(causes)
    return listings


async def near_signals(run: Run) -> tuple[Listing, ...]:
    """One listing for each signal that could be followed; a lost branch is noted and left out."""
    hauls = await side_by_side(*(_similar(run, branch) for branch in _signalled(run)))
    return tuple(listing for haul in hauls for listing in haul.listings)


async def side_by_side(*jobs: Coroutine[object, object, T]) -> list[T]:
    """The results of all jobs; the first error cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _signalled(run: Run) -> list[Branch]:
    return [branch for branch in run.plan.branches if branch in BRANCH_OF.values()]


def _refuse_if_all_missing(run: Run) -> None:
    if run.query.signals and len(run.trail.missing_places) == len(run.query.signals):
        raise ProductNotFound(
            *(f"signals[{place}].product_id" for place in run.trail.missing_places)
        )


async def _similar(run: Run, branch: Branch) -> Haul:
    """One listing for each of the branch's signals that could be followed.

    All from one generation of the index: another one may become active between two searches.
    """
    for _ in range(MOST_ROUNDS):
        nears = await _near_all(run, branch)
        if len({near.found.space for near in nears}) <= 1:
            break
    else:
        run.trail.lose(branch, Cause.INDEX_UNAVAILABLE)
        nears = [near for near in nears if near.found.space == nears[-1].found.space]
    for near in nears:
        run.trail.searched(near.found)
        told = near.found.plan or "no plan told"
        run.trail.named.append(f"{branch}: top {run.plan.top_k} ({told})")
    return Haul(tuple(near.listing for near in nears))


async def _near_all(run: Run, branch: Branch) -> list[Near]:
    signals = [signal for signal in run.query.signals if BRANCH_OF.get(signal.kind) is branch]
    products = [signal for signal in signals if signal.kind is SignalKind.PRODUCT]
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    found = await side_by_side(
        *(_near_product(run, signal) for signal in products),
        _near_embedded(run, branch, to_embed),
    )
    return [near for nears in found for near in nears]


async def _near_product(run: Run, signal: Signal) -> list[Near]:
    try:
        return [await _near(run, signal, signal.product_id)]
    except ServiceError as error:
        if error.reason == "PRODUCT_NOT_FOUND":
            run.trail.missing_places[signal.index] = signal.product_id
        else:
            run.trail.fail(BRANCH_OF[signal.kind], Peer.RETRIEVER, error)
        return []


async def _near_embedded(run: Run, branch: Branch, signals: Sequence[Signal]) -> list[Near]:
    """What is near to photos or texts; embedded a second time when the index holds another version
    of the space than the embedder's default one, or than was known."""
    if not signals:
        return []
    vectors = await _embed(run, branch, signals, run.plan.ends.embed, again=True)
    found = await side_by_side(*(_near_vector(run, item, again=True) for item in vectors))
    stale = [signal for (signal, _), near in zip(vectors, found, strict=True) if near == STALE]
    if stale:
        vectors = await _embed(run, branch, stale, run.plan.ends.candidates, again=False)
        found += await side_by_side(*(_near_vector(run, item, again=False) for item in vectors))
    return [near for near in found if isinstance(near, Near)]


async def _near_vector(run: Run, embedded: tuple[Signal, Vector], *, again: bool) -> Near | Missed:
    """The products near to a vector. `again`: whether it may be embedded once more."""
    signal, vector = embedded
    try:
        return await _near(run, signal, vector)
    except ServiceError as error:
        held = error.metadata.get("held", "")
        if again and error.reason == "INDEX_VERSION_MISMATCH" and held:
            run.house.versions.learn(run.query.catalog_id, vector.space, held)
            return STALE
        run.trail.fail(BRANCH_OF[signal.kind], Peer.RETRIEVER, error)
        return LOST


async def _embed(
    run: Run, branch: Branch, signals: Sequence[Signal], until: float, *, again: bool
) -> list[tuple[Signal, Vector]]:
    """The vectors of those signals that could be embedded. `again`: with the default version when
    the one that was learnt is not served any more."""
    catalog_id, versions = run.query.catalog_id, run.house.versions
    known = versions.of(catalog_id, branch)
    try:
        items = await _ask_embedder(run, signals, known, until)
        if known and any(_is_not_served(item) for item in items):
            versions.forget(catalog_id, branch)
            if again:
                items = await _ask_embedder(run, signals, "", until)
    except ServiceError as error:
        run.trail.fail(branch, Peer.EMBEDDER, error)
        return []
    vectors: list[tuple[Signal, Vector]] = []
    for signal, item in zip(signals, items, strict=True):
        if isinstance(item, Vector):
            vectors.append((signal, item))
        else:
            run.trail.lose(branch, _embedding_lost(signal, item))
    return vectors


async def _ask_embedder(
    run: Run, signals: Sequence[Signal], version: str, until: float
) -> Sequence[Vector | ServiceError]:
    async with run.trail.stage("embed", until) as note:
        embedded = await run.house.peers.embedder.embed(
            run.query.catalog_id, signals, run.query.priority, version
        )
        note.work = embedded.work
    return embedded.items


def _is_not_served(item: Vector | ServiceError) -> bool:
    return isinstance(item, ServiceError) and item.reason == "SPACE_VERSION_UNAVAILABLE"


def _embedding_lost(signal: Signal, error: ServiceError) -> Cause:
    """What one signal's failure means; a photo that is none, or not to be had, is the caller's."""
    if error.reason in ("IMAGE_UNDECODABLE", "IMAGE_TOO_LARGE", "URI_FORBIDDEN"):
        raise ImageRefused(signal.index, signal.kind, error.reason, error.message)
    if error.reason == "URI_UNREADABLE":
        raise ImageUnreadable(signal.index, error.message)
    return cause_of(Peer.EMBEDDER, error)


async def _near(run: Run, signal: Signal, near: Vector | str) -> Near:
    """The products near to one signal. Raises ServiceError."""
    async with run.trail.stage("retrieve", run.plan.ends.candidates) as note:
        found = await run.house.peers.retriever.search(
            run.query.catalog_id,
            near,
            run.plan.scope,
            top_k=run.plan.top_k,
            exclude=run.query.left_out[:MOST_ASKED],
            min_index_token=run.query.min_index_token,
        )
        note.work = found.work
    columns, branch = found.columns, BRANCH_OF[signal.kind]
    listing = Listing(
        branch,
        signal.strength,
        columns,
        found.similarities,
        found.image_ids,
        collapsed=found.collapsed,
        own=found.own,
        signal=signal.index,
    )
    return Near(listing, found)


async def _personal(run: Run) -> Haul:
    """What fits the shopper: of a large catalogue out of the index, if that holds the model's
    products, else as the ranker names it."""
    branch, until = Branch.COLLABORATIVE, run.plan.ends.candidates
    nominees = await _nominate(run, run.query.shopper, branch, until, accept_vectors=True)
    if nominees is not None and nominees.vectors:
        near, beside = await side_by_side(_near_shopper(run, nominees), _named(run, nominees))
        if near is not None:
            run.trail.named.append(f"{branch}: top {run.plan.top_k} by {nominees.basis}, index")
            # An empty list would take half of the branch's weight.
            if beside is not None and len(beside.columns.product_ids):
                return Haul((near, beside))
            return Haul((near,))
        if Peer.RETRIEVER in run.trail.gone:
            return Haul()  # nominees could not be looked up either
        nominees = await _nominate(run, run.query.shopper, branch, until)
    if nominees is None:
        return Haul()
    if nominees.basis not in (Basis.LONG_TERM, Basis.SESSION):
        return Haul(popular=nominees)
    listing = await _named(run, nominees)
    if listing is None:
        return Haul()
    run.trail.named.append(f"{branch}: top {run.plan.nominees} by {nominees.basis}")
    return Haul((listing,))


async def _fresh(run: Run) -> Haul:
    return Haul(fresh=await fresh(run))


async def _near_shopper(run: Run, nominees: Nominees) -> Listing | None:
    """What the index holds near the shopper; None = it could not be searched, or holds the products
    of no model that the ranker has."""
    try:
        return await near_shopper(run, nominees)
    except ServiceError as error:
        run.trail.fail(Branch.COLLABORATIVE, Peer.RETRIEVER, error)
        return None


async def _named(run: Run, nominees: Nominees) -> Listing | None:
    """The shopper's nominees that pass the filter; None = they could not be read."""
    branch = Branch.COLLABORATIVE
    columns = await _hydrate(run, nominees, branch, run.plan.ends.candidates)
    return None if columns is None else Listing(branch, 1.0, columns)


async def _fall_back(run: Run, nominees: Nominees | None) -> tuple[Listing, ...]:
    """What is popular, then, until a page is full, what is newest, in the filter's scope."""
    if Peer.RETRIEVER in run.trail.gone:
        # Whatever the ranker named could not be looked up.
        raise NothingAvailable(loss.cause for loss in run.trail.losses)
    popular = await _popular(run, nominees)
    if popular is not None and _fills_a_page(run, popular):
        return (popular,)
    newest = await _newest(run, popular)
    listings = tuple(listing for listing in (popular, newest) if listing is not None)
    if not listings and run.trail.losses:
        raise NothingAvailable(loss.cause for loss in run.trail.losses)
    return listings


def _fills_a_page(run: Run, listing: Listing) -> bool:
    left = collapse.count(listing.columns, frozenset(run.query.left_out))
    return left >= run.query.results_a_page


async def _popular(run: Run, nominees: Nominees | None) -> Listing | None:
    """Popular products that pass the filter; None = none, or they could not be had.

    `nominees` are those that the ranker named for the shopper; None = it was not asked yet.
    """
    if not run.plan.scene.popular_fallback:
        return None
    asked, until = run.plan.nominees, run.plan.ends.fallback
    # A peer that did not answer a moment ago is not asked a second time.
    if nominees is None and Peer.RANKER not in run.trail.gone:
        asked = MOST_ASKED
        nominees = await _nominate(run, None, Branch.POPULAR, until)
    if nominees is None:
        return None
    columns = await _hydrate(run, nominees, Branch.POPULAR, until)
    if columns is None or not len(columns.product_ids):
        return None
    run.trail.named.append(f"{Branch.POPULAR}: top {asked}")
    return Listing(Branch.POPULAR, 1.0, columns)


async def _nominate(
    run: Run,
    shopper: Shopper | None,
    branch: Branch,
    until: float,
    *,
    accept_vectors: bool = False,
) -> Nominees | None:
    try:
        async with run.trail.stage("nominate", until):
            nominees = await run.house.peers.ranker.nominate(
                run.query.catalog_id,
                shopper,
                run.query.session_id if shopper is not None else "",
                top_k=run.plan.nominees if shopper is not None else MOST_ASKED,
                exclude=run.query.left_out[:MOST_ASKED],
                accept_vectors=accept_vectors,
            )
    except ServiceError as error:
        run.trail.fail(branch, Peer.RANKER, error)
        return None
    run.trail.model_version = run.trail.model_version or nominees.model_version
    run.trail.heard(nominees.degradations)
    return nominees


async def _hydrate(
    run: Run,
    nominees: Nominees,
    branch: Branch,
    until: float,
) -> Columns | None:
    """What the record says of nominees that pass the filter; None = it could not be read."""
    if not nominees.product_ids:
        return Columns()
    try:
        async with run.trail.stage("hydrate", until):
            return await run.house.peers.retriever.columns(
                run.query.catalog_id, nominees.product_ids[:MOST_ASKED], run.plan.scope
            )
    except ServiceError as error:
        run.trail.fail(branch, Peer.RETRIEVER, error)
        return None


async def _newest(run: Run, before: Listing | None) -> Listing | None:
    """The newest products that pass the filter, going on after `before`; None = not to be had."""
    if not run.plan.scene.new_fallback or Peer.RETRIEVER in run.trail.gone:
        return None
    named = before.columns.product_ids if before is not None else ()
    # The retriever's list knows neither of them: as many more are asked for.
    count = min(run.plan.top_k + len(run.query.left_out) + len(named), MOST_ASKED)
    try:
        async with run.trail.stage("retrieve", run.plan.ends.fallback):
            columns = await run.house.peers.retriever.newest(
                run.query.catalog_id, run.plan.scope, count
            )
    except ServiceError as error:
        run.trail.fail(Branch.NEW, Peer.RETRIEVER, error)
        return None
    done = f"{Branch.NEW}: top {count}"
    (run.trail.named if before is None else run.trail.steps).append(done)
    known, whole = frozenset(named), Listing(Branch.NEW, 1.0, columns)
    rows = [row for row, item in enumerate(columns.product_ids) if item not in known]
    return Listing(Branch.NEW, 1.0, pick([(whole, row) for row in rows]), after=len(named))
