"""Use case: explain products that were ranked before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ranker.domain.arrays import Doubles
from ranker.ports import Models
from ranker.serving.ranking import breakdown
from ranker.serving.ranking.breakdown import Contributions, again
from ranker.serving.ranking.explain import explain
from ranker.serving.ranking.rank import RankCandidates
from ranker.serving.ranking.shopper_reads import Shoppers
from ranker.serving.request_model import choose_model
from sightline_core.ranking import RequestAnchors
from sightline_core.reasons import Reason


@dataclass(frozen=True, slots=True)
class ReasonsQuery:
    """A checked request for reasons."""

    catalog_id: str
    actor: str | None
    """Pseudonym of the shopper; None if anonymous."""
    candidates: RankCandidates
    """Products to explain, in the order of the answer."""
    parts: Mapping[str, Doubles]
    """Parts of their scores, as Rank answered them."""
    weights: Mapping[str, float]
    now_micros: int
    anchors: RequestAnchors | None = None
    explored_places: frozenset[int] = frozenset()
    """Positions (from 0) that exploration filled."""
    language_code: str = ""
    with_breakdown: bool = False
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class ProductReasons:
    """Reasons and contributions of each product of the query."""

    reasons: Sequence[Sequence[Reason]]
    contributions: Mapping[str, Sequence[Contributions]]
    """By part; empty unless `with_breakdown`."""
    model_version: str
    """Empty if no model answered."""


class GiveReasons:
    """Use case with the shopper's current data."""

    def __init__(self, models: Models, shoppers: Shoppers) -> None:
        self._models, self._shoppers = models, shoppers

    async def __call__(self, query: ReasonsQuery) -> ProductReasons:
        """Return the reasons of every product of the query."""
        served = choose_model(self._models, query.catalog_id, query.model_version)
        whose = (query.catalog_id, query.actor)
        known = await self._shoppers.read(*whose, served.model, now_micros=query.now_micros)
        known, _ = await self._shoppers.resolve(*whose, known, query.anchors)
        evidence = again(query.candidates, query.parts, query.weights, known.shopper, served.model)
        return ProductReasons(
            reasons=explain(evidence, query.language_code, query.explored_places),
            contributions=breakdown.split(evidence) if query.with_breakdown else {},
            model_version=served.version,
        )
