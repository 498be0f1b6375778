"""How the suite is: all services asked side by side, whatever is down."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.model import (
    Freshness,
    IndexState,
    Peer,
    PeerUnavailable,
    RecallEstimate,
    SpaceState,
    SpaceVersion,
)
from gateway.ports import Index, Models, Spaces
from servicekit import deadlines
from servicekit.errors import Internal, ServiceError, Unavailable

T = TypeVar("T")
VISUAL = "visual"


@dataclass(frozen=True, slots=True)
class ComponentState:
    """How one component is."""

    component: str
    error: ServiceError | None
    """None = it answers."""
    seconds: float
    """How long its answer took."""


@dataclass(frozen=True, slots=True)
class SuiteState:
    """How the suite is. Numbers are -1 where they are not known."""

    components: tuple[ComponentState, ...]
    visual_space: SpaceVersion | None
    """As the index has it."""
    embedder_space_version: str
    embedder_spaces: tuple[SpaceState, ...]
    """Empty = not known."""
    products: int
    indexed_images: int
    pending_images: int
    failed_images: int
    freshness: Freshness | None
    model_version: str
    recall: tuple[RecallEstimate, ...] = ()
    """Of searches of the visual space, by plan and class of filter."""


@dataclass(frozen=True, slots=True)
class _Told(Generic[T]):
    """What a peer answered, or why it did not."""

    value: T | None
    error: ServiceError | None
    seconds: float


async def look(
    catalog_id: str, spaces: Spaces, index: Index, models: Models, seconds: float
) -> SuiteState:
    """The suite's state; no peer is waited for longer than `seconds`."""
    embedder, retriever, ranker = await asyncio.gather(
        _ask(spaces.spaces(catalog_id), Peer.EMBEDDER, seconds),
        _ask(index.count(catalog_id), Peer.RETRIEVER, seconds),
        _ask(models.serving_model(catalog_id), Peer.RANKER, seconds),
    )
    count = retriever.value
    held = count.space.version if count is not None and count.space is not None else ""
    offered, used = _visual(embedder.value, held)
    return SuiteState(
        components=(
            ComponentState("gateway", None, 0.0),
            ComponentState("embedder", embedder.error, embedder.seconds),
            ComponentState("triton", _triton(embedder, used), embedder.seconds),
            ComponentState("retriever", retriever.error, retriever.seconds),
            ComponentState("milvus", _milvus(retriever), retriever.seconds),
            ComponentState("ranker", ranker.error, ranker.seconds),
        ),
        visual_space=count.space if count is not None else None,
        embedder_space_version=offered.version if offered is not None else "",
        embedder_spaces=embedder.value or (),
        products=count.products if count is not None else -1,
        indexed_images=count.indexed if count is not None else -1,
        pending_images=count.pending if count is not None else -1,
        failed_images=count.failed if count is not None else -1,
        freshness=count.freshness if count is not None else None,
        model_version=ranker.value or "",
        recall=count.recall if count is not None else (),
    )


async def _ask(job: Coroutine[object, object, T], peer: Peer, seconds: float) -> _Told[T]:
    start = time.perf_counter()
    value: T | None = None
    error: ServiceError | None = None
    try:
        with deadlines.within(seconds):
            async with asyncio.timeout(seconds):
                value = await job
    except TimeoutError:
        error = PeerUnavailable(peer)
    except ServiceError as told:
        error = told
    return _Told(value, error, time.perf_counter() - start)


def _visual(
    spaces: tuple[SpaceState, ...] | None, held: str
) -> tuple[SpaceState | None, SpaceState | None]:
    """The visual space's default version, which is listed first, and the one that searches need.

    They need the one that the index holds; where it is not served, the default one.
    """
    versions = [item for item in spaces or () if item.space == VISUAL]
    first = next((item for item in versions if item.default), versions[0] if versions else None)
    return first, next((item for item in versions if item.version == held), first)


def _triton(
    embedder: _Told[tuple[SpaceState, ...]], visual: SpaceState | None
) -> ServiceError | None:
    """Triton as the embedder sees it."""
    if embedder.error is not None:
        return Unavailable("not known: the embedder does not answer", reason="EMBEDDER_UNAVAILABLE")
    if visual is None:
        return Internal("the embedder has no visual space", reason="SPACE_UNAVAILABLE")
    if not visual.ready:
        return Unavailable("not every inference succeeds now", reason="TRITON_UNAVAILABLE")
    return None


def _milvus(retriever: _Told[IndexState]) -> ServiceError | None:
    """Milvus as the retriever sees it."""
    if retriever.error is not None:
        return Unavailable(
            "not known: the retriever does not answer", reason="RETRIEVER_UNAVAILABLE"
        )
    if retriever.value is not None and retriever.value.indexed < 0:
        return Unavailable(
            "the engine does not answer, or lost the index", reason="INDEX_UNAVAILABLE"
        )
    return None
