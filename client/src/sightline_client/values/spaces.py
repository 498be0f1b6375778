"""Spaces for embedding photos and texts, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SpaceState(StrEnum):
    """State of a space."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    SERVING = "SERVING"
    """Served as soon as its model answers."""
    CANDIDATE = "CANDIDATE"
    """Fitted, but not promoted. It can't be used for embedding."""
    RETIRED = "RETIRED"
    """Taken out of service."""


class SpaceVerdict(StrEnum):
    """Whether the fitted space is better than the baseline."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    BETTER = "BETTER"
    """The whole interval of the gain in 1-NN is above 0. It may be promoted."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval contains 0: too few photos to decide, or no difference. It is promoted only with
    ``force``."""
    WORSE = "WORSE"
    """The whole interval is below 0. It is promoted only with ``force``."""


@dataclass(frozen=True, slots=True)
class SpaceFigure:
    """A quality figure with its 95% interval by resampling of queries."""

    name: str
    """Name: "1-NN", "hit@5", "mAP", "category", "1-NN one catalog photo", "1-NN unseen products",
    "text hit@10", "cosine of a good match": cosine of the nearest photo that 5% of the queries stay
    below, a threshold for good matches. "hit@1 of clicks", of a space that a release before 0.40
    refined: share of clicks whose product is the nearest, by their weights."""
    value: float
    """Value with the fitted space, 0 to 1; of "cosine of a good match", −1 to 1."""
    low: float
    """Lower bound of its interval."""
    high: float
    """Upper bound of its interval."""
    baseline: float | None
    """Value with the baseline space, on the same queries. None if the baseline has no such
    figure."""
    gain_low: float | None
    """Lower bound of the interval of fitted minus baseline, on the same resampled queries."""
    gain_high: float | None
    """Upper bound of the same interval."""
    queries: int
    """Number of queries."""


@dataclass(frozen=True, slots=True)
class SpaceEvaluation:
    """Evaluation of a fitted space by cross-validation on the catalog's photos. Folds keep
    near-duplicates together, so the map never sees the photos on which it is measured."""

    verdict: SpaceVerdict
    """Whether the fitted space is better than the baseline."""
    text: str
    """Reason for the verdict, in a sentence."""
    figures: tuple[SpaceFigure, ...]
    """Quality figures."""
    baseline_model: str
    """Model of the baseline space."""
    photos: int
    """Number of photos in the fit."""
    products: int
    """Number of products that these photos show."""
    categories: int
    """Number of categories with enough photos for the classification head."""
    seed: int
    """Seed of folds, augmentation and resampling."""


@dataclass(frozen=True, slots=True)
class Space:
    """A version of a space."""

    space: str
    """Name of the space, e.g. "visual"."""
    version: str
    """Version. Empty until the model has answered."""
    model: str
    """Model of the space, e.g. "efficientnet_lite0"."""
    dimension: int
    """Length of its vectors. 0 until the model has answered."""
    state: SpaceState
    """State. Only serving spaces can be used for embedding."""
    ready: bool
    """True if a test inference of a blank image succeeds now."""
    default: bool
    """True if items without a version are embedded with this one."""
    fitted: bool
    """True if it was fitted on the photos of a catalog."""
    forced: bool
    """True if its promotion was forced although its evaluation did not pass."""
    takes_texts: bool
    """True if texts can be embedded into it too: a fitted visual space accepts texts only if it was
    fitted with titles."""
    categories: int
    """Number of categories of its classification head. 0 without one."""
    shopper_views: int
    """Default number of views of a shopper's photo."""
    catalogue_views: int
    """Default number of views of a catalog photo."""
    preprocessing: str
    """Preprocessing of photos, in words."""
    licence: str
    """Licence of the model's weights (SPDX), e.g. "Apache-2.0"."""
    evaluation: SpaceEvaluation | None
    """Evaluation from its fit. None if it was not fitted."""
    create_time: datetime | None
    """When it was fitted (UTC). None if it was not fitted."""
