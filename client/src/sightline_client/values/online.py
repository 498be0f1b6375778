"""Responses of shoppers to answers, as plain values (docs/operate/online.md explains figures)."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of impressions."""

    count: int
    """Number of impressions with the event."""
    value: float
    """0 to 1; 0 without impressions."""
    lower: float
    upper: float
    """Bounds of the 95% interval."""


@dataclass(frozen=True, slots=True)
class OnlineGroup:
    """Answers of one model version, scene and arm. Each product of an answer counts once."""

    model_version: str
    """"" if no model served."""
    scene: str
    arm: str
    """"" if no experiment ran."""
    answer_count: int
    shown_answer_count: int
    """Number of answers with a reported impression."""
    impression_count: int
    click_through: Rate
    conversion: Rate
    """Share bought within the window after a click, or without one after an impression."""
    hide: Rate
    clicks_without_impression: int
    """Number of products clicked without a reported impression; they are in no rate."""
    conversions_without_impression: int


@dataclass(frozen=True, slots=True)
class AttributionCounts:
    """Number of events attributed to answers."""

    token_count: int
    """Number of events with an attribution token."""
    named_count: int
    """Number of these whose token names an answer of this catalog."""
    joined_count: int
    """Number of these whose answer is still recorded."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate in clicks for each product shown."""

    value: float
    lower: float
    upper: float
    """Bounds of the 95% interval."""


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """Estimate of what an order of products earns, or would have earned."""

    policy: str
    """"served", "raw_score" or "blend of …"."""
    impression_count: int
    effective_sample_size: float
    support: float
    """Mean weight: about 1 if everything that the policy shows had a chance to be shown."""
    clip: float
    """Maximum weight; greater weights were clipped to it."""
    clipped_share: float
    """Share of the impressions whose weight was clipped, 0 to 1."""
    ips: Estimate | None
    snips: Estimate | None
    doubly_robust: Estimate | None
    """`None` if there is no estimate: see ``refusal``."""
    refusal: str
    """"NOT MEASURED: …"; "" if there are estimates."""


@dataclass(frozen=True, slots=True)
class DriftItem:
    """A quantity that is checked for drift."""

    item: str
    """"event_types", "events_per_day", "category", …"""
    measure: str
    """"psi" or "z"."""
    value: float
    threshold: float
    flagged: bool
    text: str
    """Reference and current value, in words."""
    reference_count: int
    count: int


@dataclass(frozen=True, slots=True)
class FeedbackHealth:
    """Newest off-policy estimates and drift of the worker."""

    compute_time: datetime
    start_time: datetime
    """Start of the current period."""
    reference_time: datetime
    """Start of the reference period."""
    policies: tuple[PolicyEstimate, ...]
    drift: tuple[DriftItem, ...]


@dataclass(frozen=True, slots=True)
class OnlineReport:
    """Responses of shoppers to answers."""

    start_time: datetime
    end_time: datetime
    """Period in which the answers were served."""
    conversion_window: timedelta
    groups: tuple[OnlineGroup, ...]
    attribution: AttributionCounts
    health: FeedbackHealth | None
    """`None` until a worker has computed it."""
