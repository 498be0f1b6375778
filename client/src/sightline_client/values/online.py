"""How answers fared with shoppers, as plain values; docs/operate/online.md explains each figure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of the impressions."""

    count: int
    """Impressions that it happened to."""
    value: float
    """0 to 1; 0 without impressions."""
    lower: float
    upper: float
    """Ends of the 95% interval."""


@dataclass(frozen=True, slots=True)
class OnlineGroup:
    """The answers of one model version, scene and arm. A product of an answer counts once."""

    model_version: str
    """"" = no model served."""
    scene: str
    arm: str
    """"" = no experiment ran."""
    answer_count: int
    shown_answer_count: int
    """Answers of which something was reported as shown."""
    impression_count: int
    click_through: Rate
    conversion: Rate
    """Bought within the window after a click, else an impression."""
    hide: Rate
    clicks_without_impression: int
    """Clicked, but never reported as shown: in no rate."""
    conversions_without_impression: int


@dataclass(frozen=True, slots=True)
class AttributionCounts:
    """Counts of events by whether they matched the answers that led to them."""

    token_count: int
    """Events that carried an attribution token."""
    named_count: int
    """Of which it named an answer of this catalog."""
    joined_count: int
    """Of which the answer's record is kept."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate in clicks for each product shown."""

    value: float
    lower: float
    upper: float
    """Ends of the 95% interval."""


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """Estimate of what an order of products earns, or would have earned."""

    policy: str
    """"served", "raw_score" or "blend of …"."""
    impression_count: int
    effective_sample_size: float
    support: float
    """Mean weight: about 1 where all that the policy shows was shown with some chance."""
    clip: float
    """Largest weight that was allowed."""
    clipped_share: float
    """Share of the impressions whose weight was cut down, 0 to 1."""
    ips: Estimate | None
    snips: Estimate | None
    doubly_robust: Estimate | None
    """None = no estimate: ``refusal`` says why."""
    refusal: str
    """"NOT MEASURED: …"; "" = there are estimates."""


@dataclass(frozen=True, slots=True)
class DriftItem:
    """Something that is watched for drift."""

    item: str
    """"event_types", "events_per_day", "category", …"""
    measure: str
    """"psi" or "z"."""
    value: float
    threshold: float
    flagged: bool
    text: str
    """What it was and what it is, in words."""
    reference_count: int
    count: int


@dataclass(frozen=True, slots=True)
class FeedbackHealth:
    """Latest results of the worker."""

    compute_time: datetime
    start_time: datetime
    """From when on events count as present."""
    reference_time: datetime
    """From when on events count as reference."""
    policies: tuple[PolicyEstimate, ...]
    drift: tuple[DriftItem, ...]


@dataclass(frozen=True, slots=True)
class OnlineReport:
    """Results of answers with shoppers."""

    start_time: datetime
    end_time: datetime
    """The answers counted were served between these."""
    conversion_window: timedelta
    groups: tuple[OnlineGroup, ...]
    attribution: AttributionCounts
    health: FeedbackHealth | None
    """None = no worker has computed it yet."""
