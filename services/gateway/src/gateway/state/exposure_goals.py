"""Goals of exposure over many answers, of this process.

The exposure of a product at place i is 1 / log2(1 + i), as in Singh and Joachims 2018, "Fairness of
Exposure in Rankings" (KDD). What the products of a goal lack is added up over the answers that had
one of them as a candidate, and they are boosted in proportion to it, as in Morik et al. 2020,
"Controlling Fairness and Bias in Dynamic Learning-to-Rank" (SIGIR).

Each process keeps sums for each caller: if each of them reaches a share, all of them together do.
So a caller's answers move the goal in its own answers only, and within them what one answer adds
and what is kept in mind are bounded.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import Gauge

from gateway.state.caller_names import CallerNames
from servicekit.telemetry import get_logger


def exposure(places: Iterable[int]) -> float:
    """Return the exposure of products at these places, from 0."""
    return math.fsum(1 / math.log2(2 + place) for place in places)


GAIN = 0.05
"""Boost for each unit of exposure that is owed: the first place of one answer is one unit."""
MOST_BOOST = 2.0
"""Maximum boost: more than 1 raises a product of the lowest relevance of the best 100 above all
others."""
MOST_OWED = MOST_BOOST / GAIN
"""Maximum of what is owed: about what ten pages give that a goal's products fill."""
PAGE = exposure(range(10))
"""Maximum of what one answer counts: as a page of ten products."""
SURPLUS_PAGES = 10
"""A goal that got too much is at rest for at most this many pages, or until one first place is
made up for."""
ANSWERS = 1_000
"""Number of answers over which the shown share is averaged."""
UNMATCHED = 100
"""Number of answers in a row without a candidate after which a goal is logged."""

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
UNMATCHED_ANSWERS = Gauge(
    "sightline_gateway_exposure_unmatched_answers",
    "Answers since the last one that had a product of the goal among its candidates, by goal.",
    ("goal",),
    multiprocess_mode="mostrecent",
)


@dataclass(slots=True)
class GoalState:
    """Sums of a goal."""

    owed: dict[str, float] = field(default_factory=dict)
    """Exposure that its products lack, by caller; negative: they got more."""
    share: float = 0.0
    """Share that they got, averaged over the last answers, 0 to 1."""
    target: float = 0.0
    """Share that they should get, averaged in the same way."""
    answers: int = 0
    unmatched: int = 0
    """Number of answers since the last one with a candidate."""


class ExposureGoals:
    """State of the goals by catalog and key."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], GoalState] = {}
        self._names = CallerNames()

    def of(self, catalog_id: str, key: str) -> GoalState:
        """Return the state of a goal."""
        return self._states.setdefault((catalog_id, key), GoalState())

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        for key in [key for key in self._states if key[0] == catalog_id]:
            del self._states[key]

    def boost(self, catalog_id: str, key: str, caller: str) -> float:
        """Return what is added to the relevance of a goal's products, which is 0 to 1, in answers
        to a caller."""
        owed = self.of(catalog_id, key).owed.get(self._names.of(caller), 0.0)
        return min(max(owed, 0.0) * GAIN, MOST_BOOST)

    def note(
        self,
        catalog_id: str,
        key: str,
        shown: Sequence[str],
        product_ids: Collection[str],
        target: float,
        *,
        caller: str,
    ) -> None:
        """Add an answer. `shown`: the products of its page, in order; `product_ids`: those of the
        goal; `target`: the share that they should get."""
        everything = exposure(range(len(shown)))
        if not everything:
            return
        got = exposure(place for place, item in enumerate(shown) if item in product_ids)
        share, state = got / everything, self.of(catalog_id, key)
        state.answers += 1
        weight = 1 / min(state.answers, ANSWERS)
        state.share += weight * (share - state.share)
        state.target += weight * (target - state.target)
        name = self._names.of(caller)
        owed = state.owed.get(name, 0.0) + (target - share) * min(everything, PAGE)
        surplus = max(SURPLUS_PAGES * state.target * PAGE, 1.0)
        state.owed[name] = min(max(owed, -surplus), MOST_OWED)
        SHARE.labels(f"{catalog_id} {key}").set(state.share)
        TARGET.labels(f"{catalog_id} {key}").set(state.target)
        self._note_unmatched(catalog_id, key, 0)

    def note_unmatched(self, catalog_id: str, key: str) -> None:
        """Count an answer without a candidate among the goal's products: nothing is owed for it."""
        unmatched = self.of(catalog_id, key).unmatched + 1
        self._note_unmatched(catalog_id, key, unmatched)
        if unmatched == UNMATCHED:
            get_logger().warning(
                "no product of an exposure goal was a candidate: check its filter or product_ids",
                catalog_id=catalog_id,
                goal=key,
                answers=unmatched,
            )

    def _note_unmatched(self, catalog_id: str, key: str, answers: int) -> None:
        self.of(catalog_id, key).unmatched = answers
        UNMATCHED_ANSWERS.labels(f"{catalog_id} {key}").set(answers)
