"""Status of the suite: all services asked side by side, whatever is down; and what is in use."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable, SpaceInUse
from gateway.model.messages import (
    ComponentStatus,
    EmbedderSpace,
    IndexState,
    Space,
    SuiteStatus,
)
from servicekit import deadlines
from servicekit.errors import Internal, ServiceError, Unavailable
from servicekit.status import to_status

T = TypeVar("T")
VISUAL, TEXT = "visual", "text"
_UNKNOWN = IndexState(products=-1, indexed=-1, pending=-1, failed=-1)


@dataclass(frozen=True, slots=True)
class _Reply(Generic[T]):
    """What a peer answered, or why it did not."""

    value: T | None
    error: ServiceError | None
    seconds: float


async def suite_state(
    spaces: Coroutine[object, object, Sequence[Space]],
    images: Coroutine[object, object, IndexState],
    texts: Coroutine[object, object, IndexState],
    model: Coroutine[object, object, str],
    seconds: float,
) -> SuiteStatus:
    """The suite's status, but for scenes and versions, by what its peers answer to these questions;
    none is waited for longer than `seconds`."""
    embedder, retriever, of_texts, ranker = await asyncio.gather(
        _ask(spaces, Peer.EMBEDDER, seconds),
        _ask(images, Peer.RETRIEVER, seconds),
        _ask(texts, Peer.RETRIEVER, seconds),
        _ask(model, Peer.RANKER, seconds),
    )
    counted, worded = retriever.value or _UNKNOWN, _texts(of_texts.value or _UNKNOWN)
    offered, used = _visual(embedder.value or (), counted.space.version)
    return SuiteStatus(
        components=[
            _component("gateway", None, 0.0),
            _component("embedder", embedder.error, embedder.seconds),
            _component("triton", _triton(embedder.error, used), embedder.seconds),
            _component("retriever", retriever.error, retriever.seconds),
            _component("milvus", _milvus(retriever), retriever.seconds),
            _component("ranker", ranker.error, ranker.seconds),
        ],
        visual_space=counted.space if counted.HasField("space") else None,
        embedder_space_version=offered.version if offered is not None else "",
        embedder_spaces=[_offered(item) for item in embedder.value or ()],
        products=counted.products,
        indexed_images=counted.indexed,
        pending_images=counted.pending,
        failed_images=counted.failed,
        indexed_texts=worded.indexed,
        pending_texts=worded.pending,
        failed_texts=worded.failed,
        freshness=counted.freshness if counted.HasField("freshness") else None,
        model_version=ranker.value or "",
        recall=counted.recall,
        advice=[each.advice for each in (counted, worded) if each.advice],
    )


def _offered(space: Space) -> EmbedderSpace:
    names = ("space", "version", "model", "dimension", "ready", "default_version")
    return EmbedderSpace(**{name: getattr(space, name) for name in names})


def _component(name: str, error: ServiceError | None, seconds: float) -> ComponentStatus:
    """How one component is, and how long its answer took."""
    message = ComponentStatus(component=name)
    message.status.SetInParent()
    if error is not None:
        message.status.MergeFrom(to_status(error))
    message.latency.FromMicroseconds(round(seconds * 1e6))
    return message


async def _ask(job: Coroutine[object, object, T], peer: Peer, seconds: float) -> _Reply[T]:
    start = time.perf_counter()
    value: T | None = None
    error: ServiceError | None = None
    try:
        with deadlines.within(seconds):
            async with asyncio.timeout(seconds):
                value = await job
    except TimeoutError:
        error = PeerUnavailable(peer)
    except ServiceError as raised:
        error = raised
    return _Reply(value, error, time.perf_counter() - start)


def _visual(spaces: Sequence[Space], held: str) -> tuple[Space | None, Space | None]:
    """The visual space's default version, which is listed first, and the one that searches need.

    They need the one that the index holds; where it is not served, the default one.
    """
    versions = [item for item in spaces if item.space == VISUAL]
    first = next(
        (item for item in versions if item.default_version), versions[0] if versions else None
    )
    return first, next((item for item in versions if item.version == held), first)


def _texts(count: IndexState) -> IndexState:
    """What the index has of texts; without a generation none is indexed, waits or failed."""
    if count is _UNKNOWN or count.HasField("space"):
        return count
    return IndexState(advice=count.advice)


def _triton(error: ServiceError | None, visual: Space | None) -> ServiceError | None:
    """Triton as the embedder sees it."""
    if error is not None:
        return Unavailable("not known: the embedder does not answer", reason="EMBEDDER_UNAVAILABLE")
    if visual is None:
        return Internal("the embedder has no visual space", reason="SPACE_UNAVAILABLE")
    if not visual.ready:
        return Unavailable("not every inference succeeds now", reason="TRITON_UNAVAILABLE")
    return None


def _milvus(retriever: _Reply[IndexState]) -> ServiceError | None:
    """Milvus as the retriever sees it."""
    if retriever.error is not None:
        return Unavailable(
            "not known: the retriever does not answer", reason="RETRIEVER_UNAVAILABLE"
        )
    if retriever.value is not None and retriever.value.indexed < 0:
        return Unavailable(
            "the engine does not answer, or has no index any more", reason="INDEX_UNAVAILABLE"
        )
    return None


async def check_unused(
    wanted: str, spaces: Sequence[Space], holding: Callable[[str], Awaitable[Sequence[str]]]
) -> None:
    """Raise SpaceInUse while a generation uses a space, given by its version or model's name.

    `spaces` are those in service; of any other nothing is asked: taking it out changes nothing.
    `holding` names the generations of a version: the embedder, which takes it out, has no index.
    """
    for state in spaces:
        named = bool(wanted) and wanted in {state.version, state.model}
        if named and (held := await holding(state.version)):
            raise SpaceInUse(held)
