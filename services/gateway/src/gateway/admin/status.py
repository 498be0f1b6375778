"""Status of the suite: queries all services in parallel, even if some are down."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable, SpaceInUse
from gateway.model.peers import IndexState
from servicekit import deadlines
from servicekit.errors import Internal, ServiceError, Unavailable
from sightline_core.opaque_messages import EmbedderSpace

T = TypeVar("T")
VISUAL, TEXT = "visual", "text"
_UNKNOWN = IndexState(products=-1, indexed=-1, pending=-1, failed=-1)


@dataclass(frozen=True, slots=True)
class ComponentState:
    """State of one part of the suite."""

    name: str
    error: ServiceError | None
    """`None` if the part works."""
    seconds: float
    """Response time, in seconds."""


@dataclass(frozen=True, slots=True)
class SuiteState:
    """State of the suite without scenes and component versions."""

    components: tuple[ComponentState, ...]
    images: IndexState
    """State of the visual space in record and index."""
    texts: IndexState
    embedder_space_version: str
    """Default version of the visual space; empty if unknown."""
    embedder_spaces: Sequence[EmbedderSpace]
    model_version: str
    """Version of the serving ranking model; empty if none or unknown."""


@dataclass(frozen=True, slots=True)
class _Reply(Generic[T]):
    """A peer's response or its failure."""

    value: T | None
    error: ServiceError | None
    seconds: float


async def suite_state(
    spaces: Callable[[], Awaitable[Sequence[EmbedderSpace]]],
    images: Callable[[], Awaitable[IndexState]],
    texts: Callable[[], Awaitable[IndexState]],
    model: Callable[[], Awaitable[str]],
    seconds: float,
    *,
    cameras: Callable[[], Awaitable[object]] | None = None,
) -> SuiteState:
    """Return the suite's status from the answers that its peers are asked for.

    Each peer has `seconds` to answer. `cameras`: None: the suite has no service of cameras.
    """
    optional = [_ask(cameras, Peer.VISION, seconds)] if cameras else []
    needed = asyncio.gather(
        _ask(spaces, Peer.EMBEDDER, seconds),
        _ask(images, Peer.RETRIEVER, seconds),
        _ask(texts, Peer.RETRIEVER, seconds),
        _ask(model, Peer.RANKER, seconds),
    )
    (embedder, retriever, of_texts, ranker), vision = await asyncio.gather(
        needed, asyncio.gather(*optional)
    )
    counted = retriever.value or _UNKNOWN
    offered, used = _visual(embedder.value or (), counted.space.version if counted.space else "")
    return SuiteState(
        components=(
            ComponentState("gateway", None, 0.0),
            ComponentState("embedder", embedder.error, embedder.seconds),
            ComponentState("triton", _triton(embedder.error, used), embedder.seconds),
            ComponentState("retriever", retriever.error, retriever.seconds),
            ComponentState("milvus", _milvus(retriever), retriever.seconds),
            ComponentState("ranker", ranker.error, ranker.seconds),
            *(ComponentState("vision", each.error, each.seconds) for each in vision),
        ),
        images=counted,
        texts=_texts(of_texts.value or _UNKNOWN),
        embedder_space_version=offered.version if offered is not None else "",
        embedder_spaces=embedder.value or (),
        model_version=ranker.value or "",
    )


async def _ask(ask: Callable[[], Awaitable[T]], peer: Peer, seconds: float) -> _Reply[T]:
    start = time.perf_counter()
    value: T | None = None
    error: ServiceError | None = None
    try:
        with deadlines.within(seconds):
            async with asyncio.timeout(seconds):
                value = await ask()
    except TimeoutError:
        error = PeerUnavailable(peer)
    except ServiceError as raised:
        error = raised
    return _Reply(value, error, time.perf_counter() - start)


def _visual(
    spaces: Sequence[EmbedderSpace], held: str
) -> tuple[EmbedderSpace | None, EmbedderSpace | None]:
    """Return the visual space's default version and the one that searches need.

    That is the version in the index or, if the embedder does not serve it, the default one. The
    default one is listed first.
    """
    versions = [item for item in spaces if item.space == VISUAL]
    first = next(
        (item for item in versions if item.default_version), versions[0] if versions else None
    )
    return first, next((item for item in versions if item.version == held), first)


def _texts(count: IndexState) -> IndexState:
    """Return the state of the index of texts; without a generation all counts are 0."""
    if count is _UNKNOWN or count.space is not None:
        return count
    return IndexState(advice=count.advice)


def _triton(error: ServiceError | None, visual: EmbedderSpace | None) -> ServiceError | None:
    """Return why Triton does not work, as reported by the embedder; None if it works."""
    if error is not None:
        return Unavailable("unknown: the embedder does not answer", reason="EMBEDDER_UNAVAILABLE")
    if visual is None:
        return Internal("the embedder serves no visual space", reason="SPACE_UNAVAILABLE")
    if not visual.ready:
        return Unavailable("test inferences fail", reason="TRITON_UNAVAILABLE")
    return None


def _milvus(retriever: _Reply[IndexState]) -> ServiceError | None:
    """Return why Milvus does not work, as reported by the retriever; None if it works."""
    if retriever.error is not None:
        return Unavailable("unknown: the retriever does not answer", reason="RETRIEVER_UNAVAILABLE")
    if retriever.value is not None and retriever.value.indexed < 0:
        return Unavailable(
            "the engine does not answer, or has lost the index", reason="INDEX_UNAVAILABLE"
        )
    return None


async def check_unused(
    wanted: str, spaces: Sequence[EmbedderSpace], holding: Callable[[str], Awaitable[Sequence[str]]]
) -> None:
    """Raise SpaceInUse while a generation uses a space, given by its version or model's name.

    `spaces`: serving spaces; others are not checked, since retiring them changes nothing. `holding`
    returns the generations of a version: the embedder, which retires spaces, does not know them.
    """
    for state in spaces:
        named = bool(wanted) and wanted in {state.version, state.model}
        if named and (held := await holding(state.version)):
            raise SpaceInUse(held)
