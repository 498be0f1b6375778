"""Computes an answer once more from its record, and says what is not as it was.

The ranker computes; what the same request would meet elsewhere today is looked up here, and changes
nothing of that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import zip_longest

from gateway.model.errors import AnswerMissing, AttributionInvalid, SceneNotFound
from gateway.model.messages import (
    AnsweredProduct,
    Replay,
    Replayed,
    ReplayedPlace,
    Space,
    SpaceVersion,
    Versions,
)
from gateway.model.messages import ReplayDifference as Difference
from gateway.model.query import Scope
from gateway.ports import Scenes
from gateway.state.run import Dependencies
from gateway.state.tokens import Attribution, read_attribution_token
from servicekit.errors import ServiceError
from servicekit.keyring import KeyRing, TokenExpired
from servicekit.requests import RequestInvalid

MOST_SHOWN, DEFAULT_SHOWN = 200, 20
COLLABORATIVE = "collaborative"


async def replay(token: str, catalog_id: str, top_k: int, deps: Dependencies) -> Replayed:
    """The answer as it was and as it is computed now, its first `top_k` places side by side.

    Raises AttributionInvalid, AnswerMissing and what the ranker raises.
    """
    if not 0 <= top_k <= MOST_SHOWN:
        raise RequestInvalid.at("top_k", f"is not within 0 and {MOST_SHOWN}")
    answer_id = _read(token, catalog_id, deps.keys()).answer_id
    found = await deps.peers.ranker.replay(catalog_id, answer_id, top_k or DEFAULT_SHOWN)
    record = found.record
    now = Versions(
        model_version=found.model_version,
        scene=record.versions.scene,
        service_version=deps.service_version,
    )
    differences = [
        *found.differences,
        *_scene_changes(record.versions, now, deps.scenes, catalog_id),
    ]
    for changes in await asyncio.gather(
        _looked("spaces", lambda: _space_changes(catalog_id, record.versions.spaces, now, deps)),
        _looked("products", lambda: _product_changes(catalog_id, found, deps)),
    ):
        differences += changes
    return Replayed(
        equal=found.equal,
        differences=differences,
        places=_side_by_side(record.products, found.recomputed),
        total_count=record.total_count,
        versions=record.versions,
        replay_versions=now,
        degradations=record.degradations,
        experiment_arms=record.arms,
        request_digest=record.request_digest,
        answer_time=record.answer_time,
        answer_id=record.answer_id,
        seed=record.seed,
    )


def _read(token: str, catalog_id: str, keys: KeyRing) -> Attribution:
    try:
        content = read_attribution_token(token, keys, round(time.time() * 1e6))
    except TokenExpired as error:  # and so has the record
        raise AnswerMissing from error
    except ValueError as error:
        raise AttributionInvalid("is not one that this service gave") from error
    if content.catalog_id != catalog_id:
        raise AttributionInvalid("is of an answer of another catalog")
    return content


def _side_by_side(
    recorded: Sequence[AnsweredProduct], computed: Sequence[AnsweredProduct]
) -> Iterable[ReplayedPlace]:
    for place, (one, other) in enumerate(zip_longest(recorded, computed), start=1):
        yield ReplayedPlace(
            place=place, recorded=one, recomputed=other, equal=_ranked(one) == _ranked(other)
        )


def _ranked(product: AnsweredProduct | None) -> AnsweredProduct | None:
    """What the ranker computes of a product."""
    if product is None:
        return None
    ranked = AnsweredProduct()
    ranked.CopyFrom(product)
    ranked.ClearField("matched_image_id")
    ranked.ClearField("branches")
    return ranked


def _scene_changes(
    then: Versions, now: Versions, scenes: Scenes, catalog_id: str
) -> Iterable[Difference]:
    try:
        now.scene_version = scenes.get(then.scene, catalog_id).version
    except SceneNotFound:
        text = "there is no scene of this name any more"
        yield Difference(kind=Difference.KIND_SCENE_CHANGED, subject=then.scene, text=text)
    else:
        if now.scene_version != then.scene_version:
            text = f"its file was {then.scene_version} and is {now.scene_version}"
            yield Difference(kind=Difference.KIND_SCENE_CHANGED, subject=then.scene, text=text)
    if now.service_version != then.service_version:
        text = f"release {then.service_version} answered, {now.service_version} runs"
        kind = Difference.KIND_SERVICE_CHANGED
        yield Difference(kind=kind, subject=now.service_version, text=text)


async def _space_changes(
    catalog_id: str, then: Sequence[SpaceVersion], now: Versions, deps: Dependencies
) -> list[Difference]:
    """What the embedder serves no longer; a model's own space is the model's matter."""
    searched = [space for space in then if space.space != COLLABORATIVE]
    if not searched:
        return []
    served: Sequence[Space] = await deps.peers.embedder.spaces(catalog_id)
    live = {(space.space, space.version) for space in served}
    now.spaces.extend(
        SpaceVersion(space=space.space, version=space.version)
        for space in served
        if space.default_version
    )
    return [
        Difference(
            kind=Difference.KIND_SPACE_CHANGED,
            subject=space.space,
            text=f"version {space.version} was searched and is no longer served",
        )
        for space in searched
        if (space.space, space.version) not in live
    ]


async def _product_changes(catalog_id: str, found: Replay, deps: Dependencies) -> list[Difference]:
    """Which of the first products are gone or were written again."""
    ids = [product.product_id for product in found.record.products]
    if not ids:
        return []
    answered = found.record.answer_time.ToMicroseconds()
    rows = await deps.peers.retriever.products(catalog_id, ids, Scope())
    known = {row.product_id: row for row in rows.rows}
    changes = []
    for product_id in ids:
        row = known.get(product_id)
        if row is None:
            text, kind = "it is no longer in the catalog", Difference.KIND_PRODUCT_GONE
        elif row.update_time.ToMicroseconds() > answered:
            since = row.update_time.ToJsonString()
            text, kind = f"it was changed at {since}", Difference.KIND_PRODUCT_CHANGED
        else:
            continue
        changes.append(Difference(kind=kind, subject=product_id, text=text))
    return changes


async def _looked(what: str, look: Callable[[], Awaitable[list[Difference]]]) -> list[Difference]:
    """What was found; where it can't be looked up, that: a replay does not hang on it."""
    try:
        return await look()
    except ServiceError as error:
        return [Difference(subject=what, text=f"not compared: {error.message}")]
