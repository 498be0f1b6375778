"""Whether anything in the catalog is a good match for what is wanted. Pure.

Each branch that follows signals is held against a threshold of its own: cosines of different spaces
or versions have nothing in common. The answer has a good match when one branch has. That it has
none is said only when every branch was searched and held against something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.model.answer import Order
from gateway.model.branch import SIMILARITY_BRANCHES, SPACES, Branch
from gateway.model.candidates import Listing
from gateway.model.messages import Match, SpaceVersion
from gateway.model.scene import Scene
from gateway.ranking.wording import matched

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of Verification.nearest_cosines, as the retriever's contract has them."""


@dataclass(frozen=True, slots=True)
class Space:
    """A space that was searched."""

    version: SpaceVersion
    nearest_cosines: Sequence[float] = ()
    """What the catalog's own photos have in it to their nearest other product, at SHARES."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What the matches of one request are held against."""

    scene: Scene
    asked: float
    """The request's own cosine; 0 = the scene's."""
    language_code: str

    def judge(
        self,
        listings: Iterable[Listing],
        spaces: Iterable[Space],
        order: Order | None = None,
        *,
        incomplete: bool,
    ) -> Match | None:
        """How good the best match is; None = no signal was searched for.

        `order`: what the ranker made of the candidates. `incomplete`: a branch is missing that
        might have had a match.
        """
        by_space = {space.version.space: space for space in spaces}
        near = [
            self._near(listing, by_space.get(SPACES.get(listing.branch, "")))
            for listing in listings
            if listing.branch in SIMILARITY_BRANCHES and not listing.negative
        ]
        if not near and not incomplete:
            return None
        found = self._likely(order) or _best(near)
        if incomplete and found.outcome != Match.OUTCOME_GOOD:
            found.outcome = Match.OUTCOME_INCOMPLETE
        found.text = matched(found, self.language_code)
        return found

    def _likely(self, order: Order | None) -> Match | None:
        """By the calibrated score; None = there is none, or the scene asks for none."""
        least = self.scene.match.min_chance
        if not least or order is None or not order.chances:
            return None
        place = max(range(len(order.chances)), key=order.chances.__getitem__)
        return Match(
            outcome=_outcome(order.chances[place], least),
            basis=Match.BASIS_CHANCE,
            product_id=order.product_ids[place],
            value=order.chances[place],
            threshold=least,
            event=order.event,  # type: ignore[arg-type]  # by its number
        )

    def _near(self, listing: Listing, space: Space | None) -> Match:
        """Of one list, against what its branch has as a threshold."""
        found = Match(branch=listing.branch, space=space.version if space else None)
        if not listing.similarities:
            found.outcome = Match.OUTCOME_NOTHING_FOUND
            return found
        row = max(range(len(listing.ids)), key=listing.similarities.__getitem__)
        found.product_id, found.value = listing.ids[row], listing.similarities[row]
        threshold, found.basis = self._threshold(listing.branch, space)
        if threshold is None:
            found.outcome = Match.OUTCOME_NO_THRESHOLD
        else:
            found.threshold = threshold
            found.outcome = _outcome(listing.similarities[row], threshold)
        return found

    def _threshold(
        self, branch: Branch, space: Space | None
    ) -> tuple[float | None, Match.Basis.ValueType]:
        """What a branch is held against, the nearest to the caller first; None = nothing."""
        thresholds = self.scene.match
        if branch is Branch.KEYWORDS:
            given, basis = thresholds.min_words, Match.BASIS_WORDS
        elif self.asked:
            given, basis = self.asked, Match.BASIS_REQUEST
        else:
            version = space.version.version if space else ""
            basis = Match.BASIS_SCENE
            given = thresholds.cosines.get(f"{branch}@{version}", self.scene.min_quality)
        if given:
            return given, basis
        if thresholds.refuse and branch is Branch.VISUAL and space and space.nearest_cosines:
            return learned(space.nearest_cosines, thresholds.refuse), Match.BASIS_CATALOG
        return None, Match.BASIS_UNSPECIFIED


def learned(nearest_cosines: Sequence[float], refuse: float) -> float:
    """The cosine that this share of the catalog's own photos stays below."""
    return float(np.interp(refuse, SHARES[: len(nearest_cosines)], nearest_cosines))


def is_poor(match: Match | None) -> bool:
    """Whether nothing in the catalog is a good match."""
    return match is not None and match.outcome in (Match.OUTCOME_POOR, Match.OUTCOME_NOTHING_FOUND)


def _outcome(value: float, threshold: float) -> Match.Outcome.ValueType:
    return Match.OUTCOME_GOOD if value >= threshold else Match.OUTCOME_POOR


_RANKS = (
    Match.OUTCOME_GOOD,
    Match.OUTCOME_NO_THRESHOLD,
    Match.OUTCOME_POOR,
    Match.OUTCOME_NOTHING_FOUND,
)
"""Which of several branches' outcomes is the answer's: what was not held against anything may be a
match."""


def _best(near: Sequence[Match]) -> Match:
    """The first by _RANKS, of equal ones that which has most above its threshold.

    Words that are no good match say nothing against what a space found.
    """
    by_space = [each for each in near if each.branch != Branch.KEYWORDS]
    good = [each for each in near if each.outcome == Match.OUTCOME_GOOD]
    return min(
        good or by_space or near or [Match(outcome=Match.OUTCOME_NOTHING_FOUND)],
        key=lambda each: (_RANKS.index(each.outcome), each.threshold - each.value),
    )
