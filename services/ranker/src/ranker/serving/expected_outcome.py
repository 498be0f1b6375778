"""Expected actions of shoppers on the first products of an answer, by learned probabilities.

The expected number of clicks is ``Σ_k θ_k · chance(product at place k)``, where θ_k is the
probability that place k is examined, relative to the first; purchases alike, and their worth by
price and cost. Orders by changed weights are compared by the recorded raw scores, from which the
chances were learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranker.domain.arrays import Doubles, numbers
from ranker.domain.model import Model
from ranker.serving.answered_order import AnsweredOrder
from ranker.serving.ranking.objective import Offers, click_chances, purchase_chances


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """Expected numbers of an answer; `None` if unknown."""

    clicks: float | None
    purchases: float | None
    revenue: float | None
    """In units of `currency`."""
    margin: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class KnownOffers:
    """Current prices and costs of products."""

    product_ids: Sequence[str]
    offers: Offers


def raw_scores_of(order: AnsweredOrder) -> Mapping[str, float]:
    """Return the raw score of each product of an order; a product that collapsed into another one
    has the score of that one."""
    scores = numbers(order.raw_scores).tolist()
    found, behind = {}, iter(order.collapsed_product_ids)
    for row, score in enumerate(scores):
        found[order.product_ids[row]] = score
        for _ in range(order.collapsed_counts[row] if order.collapsed_counts else 0):
            found[next(behind)] = score
    return found


def expected_outcome(
    product_ids: Sequence[str],
    raw_scores: Mapping[str, float],
    known: KnownOffers | None,
    model: Model | None,
) -> ExpectedOutcome | None:
    """Return the expected outcome of products in this order; None if no chances were learned."""
    if model is None or not model.examination:
        return None
    ids = [item for item in product_ids if item in raw_scores]
    scores = np.array([raw_scores[item] for item in ids])
    clicks = click_chances(model, scores)
    purchases, _ = purchase_chances(model, scores)
    if clicks is None and purchases is None:
        return None
    last = len(model.examination) - 1
    places = np.array([n for n, item in enumerate(product_ids) if item in raw_scores], np.int64)
    seen = np.array(model.examination)[np.minimum(places, last)]
    bought = None if purchases is None else seen * purchases
    revenue, margin, currency = None, None, ""
    if bought is not None and known is not None:
        currency = known.offers.currency
        revenue = _worth(bought, ids, known.product_ids, known.offers.prices)
        margin = _worth(bought, ids, known.product_ids, known.offers.margins)
    return ExpectedOutcome(
        clicks=None if clicks is None else float(seen @ clicks),
        purchases=None if bought is None else float(bought.sum()),
        revenue=revenue,
        margin=margin,
        currency=currency,
    )


def _worth(
    bought: Doubles, ids: Sequence[str], known: Sequence[str], worth: Doubles
) -> float | None:
    """Return the worth of expected purchases, 0 for unknown products; None if all are unknown."""
    if np.isnan(worth).all():
        return None
    by_id = dict(zip(known, np.nan_to_num(worth).tolist(), strict=True))
    return float(bought @ np.array([by_id.get(item, 0.0) for item in ids]))
