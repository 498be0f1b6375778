"""Recomputation of a recorded answer, with the differences.

The ranker computes the order. Differences in other services are looked up here and do not affect
it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from gateway.model.errors import AnswerMissing, AttributionInvalid, SceneNotFound
from gateway.model.query import AnswerScope
from gateway.model.replay import Difference, DifferenceKind, RecordedAnswer
from gateway.state.request_context import RequestDependencies
from gateway.state.tokens import AnswerAttribution, read_attribution_token
from servicekit.errors import ServiceError
from servicekit.keys.keyring import KeyRing, TokenExpired
from servicekit.rpc.requests import RequestInvalid
from sightline_core.answer import AnsweredProduct
from sightline_core.opaque_messages import EmbedderSpace
from sightline_core.versions import SpaceVersion, Versions

MOST_SHOWN, DEFAULT_SHOWN = 200, 20
COLLABORATIVE = "collaborative"


@dataclass(frozen=True, slots=True)
class ReplayedPlace:
    """One rank of an answer, as recorded and as computed now."""

    place: int
    recorded: AnsweredProduct | None
    recomputed: AnsweredProduct | None
    equal: bool


@dataclass(frozen=True, slots=True)
class ReplayedAnswer:
    """An answer computed again, with the changes since it was given."""

    record: RecordedAnswer
    equal: bool
    differences: tuple[Difference, ...]
    places: tuple[ReplayedPlace, ...]
    versions: Versions
    """Versions that an answer would use now."""


async def replay(
    token: str, catalog_id: str, top_k: int, deps: RequestDependencies
) -> ReplayedAnswer:
    """Return the first `top_k` places of an answer, as recorded and as computed now.

    Raises AttributionInvalid, AnswerMissing and the ranker's errors.
    """
    if not 0 <= top_k <= MOST_SHOWN:
        raise RequestInvalid.at("top_k", f"is not within 0 and {MOST_SHOWN}")
    answer_id = _read(token, catalog_id, deps.keys()).answer_id
    found = await deps.peers.ranker.replay(catalog_id, answer_id, top_k or DEFAULT_SHOWN)
    record = found.record
    scene_version, scene_changes = _scene_changes(record.versions, deps, catalog_id)
    (spaces, space_changes), product_changes = await asyncio.gather(
        _space_changes(catalog_id, record.versions.spaces, deps),
        _product_changes(catalog_id, record, deps),
    )
    return ReplayedAnswer(
        record=record,
        equal=found.equal,
        differences=(*found.differences, *scene_changes, *space_changes, *product_changes),
        places=_side_by_side(record.products, found.recomputed),
        versions=Versions(
            spaces=spaces,
            model_version=found.model_version,
            scene=record.versions.scene,
            scene_version=scene_version,
            service_version=deps.service_version,
        ),
    )


def _read(token: str, catalog_id: str, keys: KeyRing) -> AnswerAttribution:
    try:
        content = read_attribution_token(token, keys, round(time.time() * 1e6))
    except TokenExpired as error:  # records expire at the same time
        raise AnswerMissing from error
    except ValueError as error:
        raise AttributionInvalid("is not a token of this service") from error
    if content.catalog_id != catalog_id:
        raise AttributionInvalid("belongs to another catalog")
    return content


def _side_by_side(
    recorded: Sequence[AnsweredProduct], computed: Sequence[AnsweredProduct]
) -> tuple[ReplayedPlace, ...]:
    pairs = enumerate(zip_longest(recorded, computed), start=1)
    return tuple(
        ReplayedPlace(place, one, other, _ranked(one) == _ranked(other))
        for place, (one, other) in pairs
    )


def _ranked(product: AnsweredProduct | None) -> AnsweredProduct | None:
    """Return the ranker's values of a product."""
    return product and product._replace(matched_image_id="", branches=())


def _scene_changes(
    then: Versions, deps: RequestDependencies, catalog_id: str
) -> tuple[str, list[Difference]]:
    """Return the current version of the answer's scene, and the changes of scene and release."""
    changes, version, kind = list[Difference](), "", DifferenceKind.SCENE_CHANGED
    try:
        version = deps.scenes.get(then.scene, catalog_id).version
    except SceneNotFound:
        changes.append(Difference(then.scene, "the scene was deleted", kind))
    else:
        if version != then.scene_version:
            text = f"its version was {then.scene_version} and is {version}"
            changes.append(Difference(then.scene, text, kind))
    now = deps.service_version
    if now != then.service_version:
        text = f"release {then.service_version} answered, {now} runs"
        changes.append(Difference(now, text, DifferenceKind.SERVICE_CHANGED))
    return version, changes


async def _space_changes(
    catalog_id: str, then: Sequence[SpaceVersion], deps: RequestDependencies
) -> tuple[tuple[SpaceVersion, ...], list[Difference]]:
    """Return the current default spaces, and searched ones that are no longer served.

    The space of the ranking model is excluded: the ranker reports on its model.
    """
    searched = [space for space in then if space.space != COLLABORATIVE]
    if not searched:
        return (), []
    try:
        served: Sequence[EmbedderSpace] = await deps.peers.embedder.spaces(catalog_id)
    except ServiceError as error:
        return (), [_not_compared("spaces", error)]
    live = {(space.space, space.version) for space in served}
    now = tuple(SpaceVersion(each.space, each.version) for each in served if each.default_version)
    return now, [
        Difference(
            space.space,
            f"version {space.version} was searched and is no longer served",
            DifferenceKind.SPACE_CHANGED,
        )
        for space in searched
        if (space.space, space.version) not in live
    ]


async def _product_changes(
    catalog_id: str, record: RecordedAnswer, deps: RequestDependencies
) -> list[Difference]:
    """Return which of the first products were deleted or changed."""
    ids = [product.product_id for product in record.products]
    if not ids:
        return []
    try:
        rows = await deps.peers.retriever.products(catalog_id, ids, AnswerScope())
    except ServiceError as error:
        return [_not_compared("products", error)]
    known = {row.product_id: row for row in rows.rows}
    changes = []
    for product_id in ids:
        row = known.get(product_id)
        if row is None:
            text, kind = "the product was deleted", DifferenceKind.PRODUCT_GONE
        elif row.update_time.ToMicroseconds() > record.answer_micros:
            since = row.update_time.ToJsonString()
            text, kind = f"it was changed at {since}", DifferenceKind.PRODUCT_CHANGED
        else:
            continue
        changes.append(Difference(product_id, text, kind))
    return changes


def _not_compared(what: str, error: ServiceError) -> Difference:
    """Return a note that a comparison was not possible: it does not fail the replay."""
    return Difference(what, f"not compared: {error.message}")
