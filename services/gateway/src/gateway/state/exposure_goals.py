"""Goals of exposure over many answers, of this process.

The exposure of a product at place i is 1 / log2(1 + i), as in Singh and Joachims 2018, "Fairness of
Exposure in Rankings" (KDD). What the products of a goal lack is added up over the answers that had
one of them as a candidate, and they are boosted in proportion to it, as in Morik et al. 2020,
"Controlling Fairness and Bias in Dynamic Learning-to-Rank" (SIGIR). Each process keeps its own
sums: if each reaches a share, all of them together do.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Gauge

GAIN = 0.05
"""Boost for each unit of exposure that is owed: the first place of one answer is one unit."""
MOST_BOOST = 2.0
"""Maximum boost: more than 1 raises a product of the lowest relevance of the best 100 above all
others."""
MOST_OWED = MOST_BOOST / GAIN
"""Maximum of what is owed, or was given too much: earlier answers are forgotten."""
ANSWERS = 1_000
"""Number of answers over which the shown share is averaged."""

SHARE = Gauge(
    "sightline_gateway_exposure_share",
    "Share of the exposure of the last thousand answers that a goal's products got, by goal.",
    ("goal",),
    multiprocess_mode="mostrecent",
)
TARGET = Gauge(
    "sightline_gateway_exposure_target_share",
    "Share of the exposure that a goal's products should get, by goal.",
    ("goal",),
    multiprocess_mode="mostrecent",
)


@dataclass(slots=True)
class GoalState:
    """Sums of a goal."""

    owed: float = 0.0
    """Exposure that its products lack; negative: they got more."""
    share: float = 0.0
    """Share that they got, averaged over the last answers, 0 to 1."""
    target: float = 0.0
    """Share that they should get, averaged in the same way."""
    answers: int = 0

    @property
    def boost(self) -> float:
        """What is added to the relevance of its products, which is 0 to 1."""
        return min(max(self.owed, 0.0) * GAIN, MOST_BOOST)


class ExposureGoals:
    """State of the goals by catalog and key."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], GoalState] = {}

    def of(self, catalog_id: str, key: str) -> GoalState:
        """Return the state of a goal."""
        return self._states.setdefault((catalog_id, key), GoalState())

    def note(
        self,
        catalog_id: str,
        key: str,
        shown: Sequence[str],
        product_ids: Collection[str],
        target: float,
    ) -> None:
        """Add an answer. `shown`: the products of its page, in order; `product_ids`: those of the
        goal; `target`: the share that they should get."""
        everything = exposure(range(len(shown)))
        if not everything:
            return
        got = exposure(place for place, item in enumerate(shown) if item in product_ids)
        state = self.of(catalog_id, key)
        owed = state.owed + target * everything - got
        state.owed = min(max(owed, -MOST_OWED), MOST_OWED)
        state.answers += 1
        weight = 1 / min(state.answers, ANSWERS)
        state.share += weight * (got / everything - state.share)
        state.target += weight * (target - state.target)
        SHARE.labels(f"{catalog_id} {key}").set(state.share)
        TARGET.labels(f"{catalog_id} {key}").set(state.target)


def exposure(places: Iterable[int]) -> float:
    """Return the exposure of products at these places, from 0."""
    return math.fsum(1 / math.log2(2 + place) for place in places)
