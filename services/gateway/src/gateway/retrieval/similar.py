"""What is near to the signals: one list for each, or one for all that is wanted of a branch.

The scene says which (`fusion`). Negative signals have lists of their own either way, which name
nothing: what stands in them is put further down, see fuse.py. Put into the blend they took more
of what is wanted with them (`python -m bench signals`, 2026-11).
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.model.branch import SPACES, Branch
from gateway.model.candidates import Listing
from gateway.model.causes import Cause, Peer
from gateway.model.messages import Vector
from gateway.model.peers import Blend, Found
from gateway.model.plan import MOST_ASKED
from gateway.model.query import Signal, SignalKind
from gateway.model.scene import Fusion
from gateway.retrieval.embedding import embed
from gateway.retrieval.parallel import in_parallel
from gateway.state.run import Run
from servicekit.errors import ServiceError

PHOTOS = frozenset({SignalKind.IMAGE, SignalKind.IMAGE_URI, SignalKind.PRODUCT})
FOLLOWED: Mapping[Branch, frozenset[SignalKind]] = {
    Branch.VISUAL: PHOTOS,
    Branch.TEXT: frozenset({SignalKind.TEXT}),
    Branch.TEXT_VISUAL: frozenset({SignalKind.TEXT}),
}
"""The signals that each branch of a space follows."""

MOST_ROUNDS = 3
"""How often a branch searches so that all its listings come from one generation of the index."""

_PART = re.compile(r"blend\.parts\[(\d+)\]\.product_id")


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


async def similar(run: Run, branch: Branch) -> tuple[Listing, ...]:
    """What is near to the branch's signals; a signal that could not be followed is noted.

    All from one generation of the index: another one may become active between two searches.
    """
    for _ in range(MOST_ROUNDS):
        nears = await _near_all(run, branch)
        if all(near.found.space == nears[0].found.space for near in nears):
            break
    else:
        run.trail.lose(branch, Cause.INDEX_UNAVAILABLE)
        nears = [near for near in nears if near.found.space == nears[-1].found.space]
    for near in nears:
        run.trail.searched(near.found)
        told = near.found.plan or "no plan told"
        away = ", away from it" if near.listing.away else ""
        run.trail.named.append(f"{branch}: top {run.plan.top_k}{away} ({told})")
    return tuple(near.listing for near in nears)


async def _near_all(run: Run, branch: Branch) -> list[Near]:
    signals = [signal for signal in run.query.signals if signal.kind in FOLLOWED[branch]]
    if branch is Branch.TEXT_VISUAL and not await takes_texts(run):
        return []
    wanted = [signal for signal in signals if not signal.negative]
    if run.plan.scene.fusion is not Fusion.VECTOR or len(wanted) < 2:
        return await _near_each(run, branch, signals)
    away = [signal for signal in signals if signal.negative]
    together, apart = await in_parallel(
        _near_together(run, branch, wanted), _near_each(run, branch, away)
    )
    return [*together, *apart]


async def takes_texts(run: Run) -> bool:
    """Whether texts can be searched for in the visual space: its version takes some.

    Which version the index holds may not be known yet; then it is taken to be one that does, and
    the index's refusal tells otherwise.
    """
    catalog_id, versions, space = run.query.catalog_id, run.house.versions, SPACES[Branch.VISUAL]
    try:
        async with asyncio.timeout(run.plan.ends.embed - run.trail.elapsed):
            takers = await run.house.takers.of(catalog_id, run.house.peers.embedder.spaces)
    except TimeoutError:
        return False
    known = versions.of(catalog_id, space)
    if takers and not known:
        versions.learn(catalog_id, space, takers[0])
        return True
    return known in takers


# Each signal by itself


async def _near_each(run: Run, branch: Branch, signals: Sequence[Signal]) -> list[Near]:
    products = [signal for signal in signals if signal.kind is SignalKind.PRODUCT]
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    found = await in_parallel(
        *(_near_product(run, branch, signal) for signal in products),
        *([_near_embedded(run, branch, to_embed)] if to_embed else []),
    )
    return [near for nears in found for near in nears]


async def _near_product(run: Run, branch: Branch, signal: Signal) -> list[Near]:
    try:
        return [await _near_signal(run, branch, signal, signal.product_id)]
    except ServiceError as error:
        if error.reason == "PRODUCT_NOT_FOUND":
            run.trail.missing_places[signal.index] = signal.product_id
        else:
            run.trail.fail(branch, Peer.RETRIEVER, error)
        return []


async def _near_embedded(run: Run, branch: Branch, signals: Sequence[Signal]) -> list[Near]:
    """What is near to photos or texts; embedded a second time when the index holds another version
    of the space than the embedder's default one, or than was known."""
    if not signals:
        return []
    vectors = await embed(run, branch, signals, run.plan.ends.embed, again=True)
    found = await in_parallel(*(_near_vector(run, branch, item, again=True) for item in vectors))
    stale = [signal for (signal, _), near in zip(vectors, found, strict=True) if near == STALE]
    if stale:
        vectors = await embed(run, branch, stale, run.plan.ends.candidates, again=False)
        found += await in_parallel(
            *(_near_vector(run, branch, item, again=False) for item in vectors)
        )
    return [near for near in found if isinstance(near, Near)]


async def _near_vector(
    run: Run, branch: Branch, embedded: tuple[Signal, Vector], *, again: bool
) -> Near | Missed:
    """The products near to a vector. `again`: whether it may be embedded once more."""
    signal, vector = embedded
    try:
        return await _near_signal(run, branch, signal, vector)
    except ServiceError as error:
        if again and _learn(run, vector.space, error):
            return STALE
        run.trail.fail(branch, Peer.RETRIEVER, error)
        return LOST


def _learn(run: Run, space: str, error: ServiceError) -> bool:
    """Whether a refusal says which version of the space the index holds; it is remembered."""
    held = error.metadata.get("held", "")
    if error.reason != "INDEX_VERSION_MISMATCH" or not held:
        return False
    run.house.versions.learn(run.query.catalog_id, space, held)
    return True


async def _near_signal(run: Run, branch: Branch, signal: Signal, near: Vector | str) -> Near:
    """The products near to one signal. Raises ServiceError."""
    found = await _search(run, near)
    return Near(
        Listing(
            branch,
            signal.strength,
            found.columns,
            found.similarities,
            found.image_ids,
            collapsed=found.collapsed,
            own=found.own,
            signal=signal.index,
            away=signal.negative,
        ),
        found,
    )


async def _search(run: Run, near: Vector | str | Blend) -> Found:
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
    return found


# All that is wanted of a branch at once


async def _near_together(run: Run, branch: Branch, signals: Sequence[Signal]) -> list[Near]:
    """What is near to wanted signals together; where they cancel out, to each of them."""
    near = await _near_blend(run, branch, signals)
    return await _near_each(run, branch, signals) if near is None else near


async def _near_blend(run: Run, branch: Branch, signals: Sequence[Signal]) -> list[Near] | None:
    """What is near to signals put together; those that are lost are left out. None = they cancel
    out."""
    nears: dict[int, Vector | str] = {
        signal.index: signal.product_id for signal in signals if signal.kind is SignalKind.PRODUCT
    }
    to_embed = [signal for signal in signals if signal.kind is not SignalKind.PRODUCT]
    vectors = await embed(run, branch, to_embed, run.plan.ends.embed, again=True)
    again = True
    while True:
        nears |= {signal.index: vector for signal, vector in vectors}
        left = [signal for signal in signals if signal.index in nears]
        if not left:
            return []
        parts = tuple((signal.strength, nears[signal.index]) for signal in left)
        try:
            found = await _search(run, Blend(SPACES[branch], parts))
        except ServiceError as error:
            if _cancels_out(error):
                return None
            missing = _missing(error, left)
            for signal in missing:
                run.trail.missing_places[signal.index] = signal.product_id
                del nears[signal.index]
            if missing:
                continue
            if again and _learn(run, SPACES[branch], error):
                again = False
                for signal, _ in vectors:
                    del nears[signal.index]
                held = [signal for signal, _ in vectors]
                vectors = await embed(run, branch, held, run.plan.ends.candidates, again=False)
                continue
            run.trail.fail(branch, Peer.RETRIEVER, error)
            return []
        return [Near(_together(branch, left, found), found)]


def _together(branch: Branch, signals: Sequence[Signal], found: Found) -> Listing:
    """The list of signals that were put together; it is near to none of them alone."""
    return Listing(
        branch,
        sum(signal.strength for signal in signals),
        found.columns,
        found.similarities,
        found.image_ids,
        collapsed=found.collapsed,
        own=found.own,
    )


def _missing(error: ServiceError, signals: Sequence[Signal]) -> list[Signal]:
    """The signals whose product the catalogue does not hold."""
    if error.reason != "PRODUCT_NOT_FOUND":
        return []
    places = (_PART.fullmatch(violation.field) for violation in error.violations)
    return [signals[int(place[1])] for place in places if place and int(place[1]) < len(signals)]


def _cancels_out(error: ServiceError) -> bool:
    return error.reason == "VECTOR_INVALID" and any(
        violation.field == "blend" for violation in error.violations
    )
