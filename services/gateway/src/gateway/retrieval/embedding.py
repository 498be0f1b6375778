"""Embedding of signals with the version of the space that the index holds."""

from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, ImageUnreadable
from gateway.model.peer_failures import StageFailure, cause_of
from gateway.model.peers import EmbeddedSignal
from gateway.model.query import Signal
from gateway.model.retrieved import NOTHING, BranchResult, failed
from gateway.state.request_context import RequestContext
from servicekit.errors import ServiceError
from sightline_core.branch import SPACES, Branch
from sightline_core.degradations import DegradationCause
from sightline_core.embedding import EmbeddedSignals
from sightline_core.opaque_messages import Vector

REFUSED = frozenset(
    {"IMAGE_UNDECODABLE", "IMAGE_TOO_LARGE", "IMAGES_TOO_LARGE", "URI_FORBIDDEN", "BOX_INVALID"}
)
"""Reasons of the embedder for invalid photos: errors of the caller."""


async def embed(
    run: RequestContext, branch: Branch, signals: Sequence[Signal], until: float, *, again: bool
) -> tuple[list[EmbeddedSignal], BranchResult]:
    """Return the signals that could be embedded, and notes for the trace.

    `again`: retry with the default version if the known one is no longer served. Raises errors of
    the caller.
    """
    if not signals:
        return [], NOTHING
    catalog_id, versions, scene = run.query.catalog_id, run.deps.versions, run.plan.scene
    space = SPACES[branch]
    version = versions.of(catalog_id, space)
    classify = scene.category_weight > 0 and any(each.is_photo for each in signals)
    try:
        while True:
            async with run.trace.stage("embed", until) as note:
                embedded = await run.peers.embedder.embed(
                    catalog_id,
                    signals,
                    run.query.priority,
                    version,
                    space=space,
                    views=scene.views,
                    classify=classify,
                    language_code=run.text_language,
                )
                note.work = embedded.work
            if not version or not any(_is_not_served(item) for item in embedded.items):
                break
            versions.forget(catalog_id, space)
            if not again:
                break
            version = ""
    except ServiceError as error:
        return [], failed(branch, Peer.EMBEDDER, error)
    return _vectors(branch, signals, embedded)


def _vectors(
    branch: Branch, signals: Sequence[Signal], embedded: EmbeddedSignals
) -> tuple[list[EmbeddedSignal], BranchResult]:
    """Return the signals that the embedder could embed, and the failures of others."""
    pairs = list(zip(signals, embedded.items, strict=True))
    seen = embedded.classifications or (None,) * len(pairs)
    near = embedded.match_cosines or ((),) * len(pairs)
    vectors = [
        EmbeddedSignal(signal, item, classification, cosines)
        for (signal, item), classification, cosines in zip(pairs, seen, near, strict=True)
        if not isinstance(item, ServiceError)
    ]
    failures = tuple(
        StageFailure(branch, _cause(signal, item))
        for signal, item in pairs
        # A visual space that accepts no texts is not a degradation.
        if isinstance(item, ServiceError)
        and (branch is not Branch.TEXT_VISUAL or item.reason != "SPACE_UNAVAILABLE")
    )
    return vectors, BranchResult(failures=failures) if failures else NOTHING


def _is_not_served(item: Vector | ServiceError) -> bool:
    return isinstance(item, ServiceError) and item.reason == "SPACE_VERSION_UNAVAILABLE"


def _cause(signal: Signal, error: ServiceError) -> DegradationCause:
    """Return the failure of a signal. Raise it if the signal's photo is invalid."""
    if refused := photo_error(signal, error):
        raise refused
    return cause_of(Peer.EMBEDDER, error)


def photo_error(photo: Signal, error: ServiceError) -> ServiceError | None:
    """Return the embedder's error about a photo with the path of its field; None for other
    errors."""
    if error.reason in REFUSED:
        part = "box" if error.reason == "BOX_INVALID" else photo.kind
        return ImageRefused(photo.index, part, error.reason, error.message)
    if error.reason == "URI_UNREADABLE":
        return ImageUnreadable(photo.index, error.message)
    return None
