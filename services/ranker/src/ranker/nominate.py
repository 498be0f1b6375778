"""Names the products of the whole catalogue that fit a shopper's behaviour best."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ranker.fold_in import FoldIn, query
from ranker.model import History, HistoryReader, Model


class Basis(StrEnum):
    """What nominees were chosen by."""

    NOTHING = "NOTHING"
    LONG_TERM = "LONG_TERM"
    SESSION = "SESSION"
    POPULARITY = "POPULARITY"


@dataclass(frozen=True, slots=True)
class Nomination:
    """Products by behaviour, best first."""

    product_ids: tuple[str, ...]
    scores: tuple[float, ...]
    """Falling; of no fixed range."""
    basis: Basis


async def nominate(
    catalog_id: str,
    shopper: FoldIn,
    model: Model | None,
    history: History,
    reader: HistoryReader,
    *,
    top_k: int,
    exclude: Collection[str],
) -> Nomination:
    """At most `top_k` products, neither excluded nor hidden; none when nobody did anything yet."""
    left_out = history.hidden.union(exclude)
    if model is not None and shopper.personal:
        return by_vectors(shopper, model, top_k, left_out)
    popular = await reader.most_popular(catalog_id, top_k + len(left_out))
    kept = [pair for pair in popular if pair[0] not in left_out][:top_k]
    basis = Basis.POPULARITY if kept else Basis.NOTHING
    return Nomination(tuple(item for item, _ in kept), tuple(share for _, share in kept), basis)


def basis_of(shopper: FoldIn) -> Basis:
    """What a shopper's own nominees are chosen by; `shopper` is personal."""
    return Basis.SESSION if shopper.long_term is None else Basis.LONG_TERM


def by_vectors(shopper: FoldIn, model: Model, top_k: int, left_out: frozenset[str]) -> Nomination:
    """The score is that of rank.py with taste and session weighted alike."""
    basis = basis_of(shopper)
    scores = model.item_vectors @ query(shopper, model.item_vectors.shape[1]) + model.item_biases
    drop = [model.item_rows[item] for item in left_out if item in model.item_rows]
    scores[drop] = -np.inf
    count = min(top_k, len(scores) - len(drop))
    if count <= 0:
        return Nomination((), (), basis)
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    rows = np.flatnonzero(scores >= threshold)
    # item_ids are sorted: a stable sort breaks ties by id.
    rows = rows[np.argsort(-scores[rows], kind="stable")][:count]
    return Nomination(
        product_ids=tuple(model.item_ids[row] for row in rows),
        scores=tuple(float(score) for score in scores[rows] / np.float32(model.score_scale)),
        basis=basis,
    )
