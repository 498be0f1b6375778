"""Records of answers as columns to learn from: only this module and AnswerService read their
contents."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import numpy as np

from ranker.adapters.model_store import ModelStore
from ranker.domain import answer_columns
from ranker.domain.answer_arrays import read_columns
from ranker.domain.arrays import numbers
from ranker.domain.errors import ModelCorrupt, ModelNotFound
from ranker.domain.feedback import Feedback, LoggedAnswer, feedback_of, joined
from ranker.record.answer_feedback import KeptAnswer
from ranker.record.models import ModelRegistry
from ranker.serving.ranking.parts import DEFAULT_BLEND, POPULARITY

MOST_PRODUCTS = 200
"""Number of first products of an answer that are read: shoppers do not see further ones."""


async def feedback(
    batches: AsyncIterator[Sequence[KeptAnswer]], *, shown_only: bool = False
) -> Feedback:
    """Return the answers as columns, read in batches, newest first. `shown_only`: exclude
    candidates that were not shown (the majority)."""
    found: list[Feedback] = []
    async for batch in batches:
        columns = feedback_of(map(_answer, batch))
        found.append(columns.impressions if shown_only else columns)
    return joined(found[::-1])


def _answer(kept: KeptAnswer) -> LoggedAnswer:
    columns = answer_columns.cut(read_columns(kept.content), 0, MOST_PRODUCTS)
    count = len(columns.product_ids)
    return LoggedAnswer(
        answer_id=kept.answer_id,
        answer_micros=kept.answer_micros,
        model_version=kept.model_version,
        product_ids=tuple(columns.product_ids),
        raw_scores=numbers(columns.raw_scores) if columns.raw_scores else np.zeros(count),
        parts={one.name: numbers(one.values) / (one.share or 1.0) for one in columns.parts},
        propensities=numbers(columns.propensities) if columns.propensities else np.ones(count),
        outcomes=kept.outcomes,
    )


async def blends(
    catalog_id: str, versions: Iterable[str], registry: ModelRegistry, store: ModelStore
) -> dict[str, Mapping[str, float]]:
    """Return the blend of each model version; versions without files are left out."""
    found: dict[str, Mapping[str, float]] = {}
    for version in versions:
        weights: Mapping[str, float] = {}
        if version:  # without a model, popularity is the ranker's only part
            try:
                model = await registry.get(catalog_id, version)
                manifest = await asyncio.to_thread(store.manifest, *model.key)
            except (ModelNotFound, ModelCorrupt):
                continue
            weights = manifest.get("blend") or DEFAULT_BLEND
        found[version] = {**weights, POPULARITY: weights.get(POPULARITY) or 1.0}
    return found
