"""Match quality of the signals: thresholds, rule and result. Pure.

Each signal branch has its own threshold, because cosines of different spaces or versions are not
comparable. An answer has a good match if one branch has. It has none only if every branch was
searched and compared with a threshold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import IntEnum
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from sightline_core.answer import AnswerOrder
from sightline_core.branch import JUDGED, SPACES, Branch
from sightline_core.candidates import CandidateList
from sightline_core.versions import SpaceVersion
from sightline_rules.fast_dataclass import fast_dataclass

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Quantiles of Verification.nearest_cosines and EmbedResult.match_cosines, as defined by the
contracts of retriever and embedder."""
LEAST_REFUSED, MOST_REFUSED = 0.01, 0.5
"""Smallest and largest quantile that a verification measures."""

Cosine = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _by_version(cosines: Mapping[str, float]) -> Mapping[str, float]:
    """Return the cosines; raise ValueError unless each is of one version of a space."""
    for name in cosines:
        branch, _, version = name.partition("@")
        if branch not in SPACES or not version:
            known = ", ".join(map(str, SPACES))
            raise ValueError(f"{name!r} is not BRANCH@VERSION of a space; branches are {known}")
    return cosines


def _measured(share: float) -> float:
    if share and not LEAST_REFUSED <= share <= MOST_REFUSED:
        raise ValueError(f"must be {LEAST_REFUSED:g} to {MOST_REFUSED:g}, or 0")
    return share


@checked.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Thresholds:
    """Thresholds for good matches, from a scene's file; see scenes/default.toml."""

    refuse: Annotated[float, AfterValidator(_measured)] = 0.0
    """Share of good matches, or of the catalog's own photos, that the threshold rejects; 0: no such
    threshold."""
    cosines: Annotated[Mapping[str, Cosine], AfterValidator(_by_version)] = field(
        default_factory=dict
    )
    """Cosines by branch and space version."""
    min_words: Share = 0.0
    """Share of a text's words from which a product counts as a good match, regardless of its
    cosine; 0: words are not used."""
    min_chance: Share = 0.0
    """Minimum of the best calibrated score; 0: scores are not used."""


class MatchOutcome(IntEnum):
    """Quality of the best match, by the numbers of Match.Outcome."""

    GOOD = 1
    POOR = 2
    NOTHING_FOUND = 3
    NO_THRESHOLD = 4
    INCOMPLETE = 5


class MatchBasis(IntEnum):
    """Source of a threshold, by the numbers of Match.Basis."""

    UNSPECIFIED = 0
    REQUEST = 1
    SCENE = 2
    CATALOG = 3
    CHANCE = 4
    WORDS = 5


@fast_dataclass(frozen=True, slots=True)
class Match:
    """The best match of a request's signals, with its threshold."""

    outcome: MatchOutcome
    basis: MatchBasis = MatchBasis.UNSPECIFIED
    product_id: str = ""
    value: float | None = None
    threshold: float | None = None
    branch: str = ""
    space: SpaceVersion | None = None
    event: int = 0
    """Event whose probability `value` is, by its number in the contract; 0 if `value` is a cosine.
    """

    @property
    def is_poor(self) -> bool:
        """True if the catalog has no good match."""
        return self.outcome in (MatchOutcome.POOR, MatchOutcome.NOTHING_FOUND)


@fast_dataclass(frozen=True, slots=True)
class SearchedSpace:
    """A version of a space that was searched."""

    version: SpaceVersion
    nearest_cosines: Sequence[float] = ()
    """Cosines of the catalog's own photos to their nearest other product, at SHARES."""


@fast_dataclass(frozen=True, slots=True)
class MatchRule:
    """Thresholds of one request."""

    thresholds: Thresholds
    """Thresholds of the scene."""
    scene_cosine: float
    """The scene's threshold for all spaces; 0 if none."""
    asked: float
    """The request's own threshold; 0: use the scene's."""
    photos: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Cosines of good matches of the request's photos at SHARES, by index of the signal."""

    def judge(
        self,
        listings: Iterable[CandidateList],
        spaces: Iterable[SearchedSpace],
        order: AnswerOrder | None = None,
        *,
        incomplete: bool,
    ) -> Match | None:
        """Return the best match and its quality; None if no signal was searched.

        `order`: the ranker's order of the candidates. `incomplete`: a failed branch might have had
        a match.
        """
        by_space = {space.version.space: space for space in spaces}
        near = [
            self._near(listing, by_space.get(SPACES.get(listing.branch, "")))
            for listing in listings
            if listing.branch in JUDGED and not listing.negative
        ]
        if not near and not incomplete:
            return None
        found = self._likely(order) or _best(near)
        if incomplete and found.outcome is not MatchOutcome.GOOD:
            return replace(found, outcome=MatchOutcome.INCOMPLETE)
        return found

    def _likely(self, order: AnswerOrder | None) -> Match | None:
        """Judge by the calibrated score; None without one, or if the scene sets no `min_chance`."""
        least = self.thresholds.min_chance
        if not least or order is None or not order.chances:
            return None
        place = max(range(len(order.chances)), key=order.chances.__getitem__)
        return Match(
            outcome=_outcome(order.chances[place], least),
            basis=MatchBasis.CHANCE,
            product_id=order.product_ids[place],
            value=order.chances[place],
            threshold=least,
            event=order.event,
        )

    def _near(self, listing: CandidateList, space: SearchedSpace | None) -> Match:
        """Judge one list by its branch's threshold."""
        version = space.version if space else None
        if not listing.similarities:
            return Match(MatchOutcome.NOTHING_FOUND, branch=listing.branch, space=version)
        row = max(range(len(listing.ids)), key=listing.similarities.__getitem__)
        value = listing.similarities[row]
        threshold, basis = self._threshold(listing, space)
        return Match(
            MatchOutcome.NO_THRESHOLD if threshold is None else _outcome(value, threshold),
            basis,
            listing.ids[row],
            value,
            threshold,
            listing.branch,
            version,
        )

    def _threshold(
        self, listing: CandidateList, space: SearchedSpace | None
    ) -> tuple[float | None, MatchBasis]:
        """Return a list's threshold, the request's before the scene's; None without one."""
        branch = listing.branch
        if branch is Branch.KEYWORDS:
            given, basis = self.thresholds.min_words, MatchBasis.WORDS
        elif self.asked:
            given, basis = self.asked, MatchBasis.REQUEST
        else:
            version = space.version.version if space else ""
            basis = MatchBasis.SCENE
            given = self.thresholds.cosines.get(f"{branch}@{version}", self.scene_cosine)
        if given:
            return given, basis
        refuse = self.thresholds.refuse
        if refuse and branch is Branch.VISUAL and space:
            of_photo = None if listing.signal is None else self.photos.get(listing.signal)
            if cosines := of_photo or space.nearest_cosines:
                return learned(cosines, refuse), MatchBasis.CATALOG
        return None, MatchBasis.UNSPECIFIED


def learned(cosines: Sequence[float], refuse: float) -> float:
    """Return this quantile of cosines at SHARES, interpolated."""
    return float(np.interp(refuse, SHARES[: len(cosines)], cosines))


def _outcome(value: float, threshold: float) -> MatchOutcome:
    return MatchOutcome.GOOD if value >= threshold else MatchOutcome.POOR


_RANKS = (
    MatchOutcome.GOOD,
    MatchOutcome.NO_THRESHOLD,
    MatchOutcome.POOR,
    MatchOutcome.NOTHING_FOUND,
)
"""Precedence of the branches' outcomes: a branch without a threshold may have a match."""


def _best(near: Sequence[Match]) -> Match:
    """Return the first by _RANKS; of ties, the one furthest above its threshold.

    A poor match of words does not outweigh products that a space found.
    """
    if len(near) == 1:
        return near[0]
    by_space = [each for each in near if each.branch != Branch.KEYWORDS]
    good = [each for each in near if each.outcome is MatchOutcome.GOOD]
    return min(
        good or by_space or near or [Match(MatchOutcome.NOTHING_FOUND)],
        key=lambda each: (
            _RANKS.index(each.outcome),
            (each.threshold or 0.0) - (each.value or 0.0),
        ),
    )
