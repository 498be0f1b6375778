"""Spaces for embedding photos and texts, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SpaceState(StrEnum):
    """State of a space."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    CANDIDATE = "CANDIDATE"
    """Fitted, but not promoted: it can't be used for embedding."""
    RETIRED = "RETIRED"
    """Taken out of service; it can be promoted again."""


class SpaceVerdict(StrEnum):
    """Verdict on a fitted space against the baseline space."""

    UNKNOWN = "UNKNOWN"
    BETTER = "BETTER"
    """The whole interval of the gain is above 0."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval contains 0: too few photos to decide, or no difference."""
    WORSE = "WORSE"
    """The whole interval is below 0."""


@dataclass(frozen=True, slots=True)
class SpaceFigure:
    """A quality figure with its 95% interval; the contract defines each name."""

    name: str
    """E.g. "1-NN"."""
    value: float
    """Value with the fitted space, 0 to 1; of "cosine of a good match", −1 to 1."""
    low: float
    high: float
    baseline: float | None
    """Value with the baseline space; `None` if the baseline has no such figure."""
    gain_low: float | None
    gain_high: float | None
    """Bounds of fitted minus baseline, on the same queries."""
    queries: int
    """Number of queries."""


@dataclass(frozen=True, slots=True)
class SpaceEvaluation:
    """Results of a fit, by cross-validation."""

    verdict: SpaceVerdict
    text: str
    """Reason for the verdict, in a sentence."""
    figures: tuple[SpaceFigure, ...]
    baseline_model: str
    """Model of the baseline space."""
    photos: int
    products: int
    categories: int
    seed: int


@dataclass(frozen=True, slots=True)
class Space:
    """A version of a space."""

    space: str
    """"visual", "text", …"""
    version: str
    """"" until the model has answered."""
    model: str
    """E.g. "efficientnet_lite0", or a fitted one, "visual_1f0c…"."""
    dimension: int
    """Length of its vectors."""
    state: SpaceState
    ready: bool
    """True if a test inference succeeds now."""
    default: bool
    """True if this version embeds items that do not specify one."""
    fitted: bool
    """True if it was fitted on this catalog's photos."""
    forced: bool
    """True if its promotion was forced although its evaluation did not pass."""
    takes_texts: bool
    categories: int
    """Number of categories of its classification head; 0 without one."""
    shopper_views: int
    catalogue_views: int
    """Default numbers of views of a shopper's and of a catalog photo."""
    preprocessing: str
    licence: str
    """Licence of the model's weights (SPDX)."""
    evaluation: SpaceEvaluation | None
    """`None` if it was not fitted."""
    create_time: datetime | None
    """When it was fitted; `None` if it was not fitted."""
