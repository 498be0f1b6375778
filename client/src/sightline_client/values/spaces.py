"""Spaces that photos and texts are embedded into, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SpaceState(StrEnum):
    """State of a space."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    CANDIDATE = "CANDIDATE"
    """Fitted, not promoted: nothing can be embedded into it."""
    RETIRED = "RETIRED"
    """Taken out of service; it can be promoted again."""


class SpaceVerdict(StrEnum):
    """Verdict on a fitted space against the one it is compared with."""

    UNKNOWN = "UNKNOWN"
    BETTER = "BETTER"
    """The whole interval of the gain is above 0."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval holds 0: too few photos to tell, or no difference."""
    WORSE = "WORSE"
    """The whole interval is below 0."""


@dataclass(frozen=True, slots=True)
class SpaceFigure:
    """A figure of quality with its 95% interval; the contract says what each name means."""

    name: str
    """E.g. "1-NN"."""
    value: float
    """With the fitted space, 0 to 1."""
    low: float
    high: float
    baseline: float | None
    """With the space it is compared with; None = that has no such figure."""
    gain_low: float | None
    gain_high: float | None
    """Fitted less baseline, of the same queries."""
    queries: int
    """Queries that it rests on."""


@dataclass(frozen=True, slots=True)
class SpaceEvaluation:
    """Results of a fit, by cross-validation."""

    verdict: SpaceVerdict
    text: str
    """Why, in a sentence."""
    figures: tuple[SpaceFigure, ...]
    baseline_model: str
    """The model of the space that it is compared with."""
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
    """"" = the model has not answered yet."""
    model: str
    """E.g. "efficientnet_lite0", or a fitted one, "visual_1f0c…"."""
    dimension: int
    """Components of its vectors."""
    state: SpaceState
    ready: bool
    """An item would be embedded now."""
    default: bool
    """Items that name no version are embedded with it."""
    fitted: bool
    """It was fitted on this catalog's photos."""
    forced: bool
    """Its promotion was forced past its evaluation."""
    takes_texts: bool
    categories: int
    """Categories that it knows; 0 = none."""
    shopper_views: int
    catalogue_views: int
    """Views of a photo of either camera that are averaged."""
    preprocessing: str
    licence: str
    """Of the model's weights (SPDX)."""
    evaluation: SpaceEvaluation | None
    """None = it was not fitted."""
    create_time: datetime | None
    """When it was fitted."""
