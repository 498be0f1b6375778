"""Records of answers as columns to learn from: none but AnswerService else reads their contents."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from ranker.feedback.answers import Answered, AnswerLog, Feedback, feedback_of, joined
from ranker.model import ModelCorrupt, ModelNotFound
from ranker.models.artifact import ModelStore
from ranker.parts import DEFAULT_BLEND, POPULARITY
from ranker.record.feedback import KeptAnswer
from ranker.record.models import ModelRegistry
from sightline.ranker.v1 import answer_service_pb2 as pb

MOST_PRODUCTS = 200
"""Products of an answer that are looked at, from the first one on: further ones are not seen."""


async def feedback(
    batches: AsyncIterator[Sequence[KeptAnswer]], *, shown_only: bool = False
) -> Feedback:
    """The answers as columns, read batch by batch; batches and their answers come newest first.

    `shown_only`: candidates that nobody was shown are left out, which most are.
    """
    found: list[Feedback] = []
    async for batch in batches:
        columns = feedback_of(map(_answer, batch))
        found.append(columns.impressions if shown_only else columns)
    return joined(found[::-1])


def _answer(kept: KeptAnswer) -> AnswerLog:
    record = pb.AnswerRecord.FromString(kept.content)
    return AnswerLog(
        answer_id=kept.answer_id,
        answer_micros=kept.answer_micros,
        model_version=kept.model_version,
        products=tuple(map(_product, record.products[:MOST_PRODUCTS])),
        outcomes=kept.outcomes,
    )


def _product(message: pb.AnsweredProduct) -> Answered:
    return Answered(
        message.product_id,
        message.raw_score,
        {part.name: part.value for part in message.parts},
        message.propensity,
    )


async def blends(
    catalog_id: str, versions: Iterable[str], registry: ModelRegistry, store: ModelStore
) -> dict[str, Mapping[str, float]]:
    """By model version what its parts were weighed with; without those whose files are gone."""
    found: dict[str, Mapping[str, float]] = {}
    for version in versions:
        weights: Mapping[str, float] = {}
        if version:  # without a model popularity alone is the ranker's
            try:
                model = await registry.get(catalog_id, version)
                manifest = await asyncio.to_thread(
                    store.manifest, catalog_id, version, model.manifest_sha256
                )
            except (ModelNotFound, ModelCorrupt):
                continue
            weights = manifest.get("blend") or DEFAULT_BLEND
        found[version] = {**weights, POPULARITY: weights.get(POPULARITY) or 1.0}
    return found
