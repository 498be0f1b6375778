"""Responses of shoppers to answers, as plain values (docs/operate/online.md explains figures).

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sightline_client.values.answers import Cause


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of impressions. If impressions are sampled (RANKER_IMPRESSION_SHARE), each is
    weighted with 1 / share, so that the rate estimates that of all impressions."""

    count: int
    """Number of sampled impressions with the event."""
    value: float
    """The share, 0 to 1. 0 without impressions."""
    lower: float
    """Lower bound of the 95% interval (Wilson 1927), 0 to 1. It uses the effective number of
    independent impressions, because those of one shopper depend on each other."""
    upper: float
    """Upper bound of the 95% interval, 0 to 1."""


@dataclass(frozen=True, slots=True)
class AttributionCounts:
    """Number of events that were attributed to answers."""

    token_count: int
    """Number of events in the report's period with an attribution token."""
    named_count: int
    """Number of these whose token is valid, of this catalog and had not expired."""
    joined_count: int
    """Number of these whose answer is still recorded."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its 95% interval, in reward for each product shown."""

    value: float
    """The estimate."""
    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


@dataclass(frozen=True, slots=True)
class DriftItem:
    """A quantity that is checked for drift."""

    item: str
    """Name: "event_types", "events_per_day", "rating_mean", "unknown_product_share",
    "new_shopper_share", "category", "brand", "price_band" or "raw_score"."""
    measure: str
    """Unit of the difference: "psi" (population stability index; 0 is no difference, no upper
    bound) or "z" (standard errors, either sign)."""
    value: float
    """The difference."""
    threshold: float
    """Threshold for ``flagged``, in the same unit. Differences due to chance alone are smaller."""
    flagged: bool
    """True if |value| is at or above the threshold."""
    text: str
    """Reference and current value, in words. "NOT MEASURED: …" if there is too little data."""
    reference_count: int
    """Number of events, products of answers, or days in the reference period."""
    count: int
    """Number of events, products of answers, or days in the current period."""


@dataclass(frozen=True, slots=True)
class DegradedAnswers:
    """Degraded answers of one cause."""

    cause: Cause
    answer_count: int
    """Number of answers."""


@dataclass(frozen=True, slots=True)
class OnlineRevenue:
    """Revenue in one currency."""

    currency_code: str
    """ISO 4217 code."""
    amount: float
    """Sum of price × pieces, in units of the currency, estimated for all products shown if
    impressions are sampled."""


@dataclass(frozen=True, slots=True)
class OnlineGroup:
    """Answers of one model version, scene and arm. Each product of an answer counts once, even if
    several impressions, clicks, purchases or hides were reported. An answer with several arms
    counts in each."""

    model_version: str
    """Ranking model. Empty if none served."""
    scene: str
    """Name of the scene."""
    arm: str
    """Arm of an experiment. Empty if no experiment ran."""
    answer_count: int
    """Number of answers served."""
    shown_answer_count: int
    """Number of answers with at least one reported impression."""
    impression_count: int
    """Number of products of answers with a reported impression."""
    click_through: Rate
    """Share of impressions that were clicked."""
    conversion: Rate
    """Share of impressions that were bought within the window."""
    hide: Rate
    """Share of impressions that were hidden."""
    clicks_without_impression: int
    """Number of products clicked without a reported impression. They are not included in the
    rates."""
    conversions_without_impression: int
    """Number of products bought within the window after a click, without a reported impression.
    They are not included in the rates."""


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """Off-policy estimate of a ranking policy: expected clicks for each product shown, estimated
    from impressions of the served policy."""

    policy: str
    """"served" (what was shown; measured, not estimated), "raw_score" (the recorded candidates by
    raw score alone, without diversity and exploration), or "blend of …" (by the weights of another
    model's parts)."""
    impression_count: int
    """Number of products of answers with a reported impression."""
    effective_sample_size: float
    """Effective sample size, (Σw)² / Σw²: number of impressions of the policy itself that would
    give the same precision."""
    support: float
    """Mean weight. About 1 if all products that the policy would show had a chance of being shown;
    lower if some had none."""
    clip: float
    """Maximum weight. Greater weights were clipped to it."""
    clipped_share: float
    """Share of the impressions whose weight was clipped, 0 to 1."""
    ips: Estimate | None
    """Inverse propensity scoring."""
    snips: Estimate | None
    """Self-normalised inverse propensity scoring (Swaminathan, Joachims 2015)."""
    doubly_robust: Estimate | None
    """Doubly robust estimate (Dudík, Langford, Li 2011)."""
    refusal: str
    """Why there is no estimate: "NOT MEASURED: …". Empty if there is one."""


@dataclass(frozen=True, slots=True)
class OnlineDay:
    """Answers of one scene that were served on one day of the report. Each product of an answer
    counts once, even if several impressions, clicks or purchases were reported; an answer with
    several arms counts once."""

    start_time: datetime
    """Start of the day, inclusive (UTC). A day is 24 hours; the first one begins with the
    report."""
    scene: str
    """Name of the scene."""
    answer_count: int
    """Number of answers served."""
    empty_answer_count: int
    """Number of answers without products. Records of earlier releases, which do not tell it, are
    not counted."""
    degraded_answer_count: int
    """Number of answers with a degradation that was known when their order was recorded. Records of
    earlier releases, which do not tell it, are not counted."""
    degradations: tuple[DegradedAnswers, ...]
    """Number of these by cause, sorted by cause. An answer with several causes counts in each."""
    impression_count: int
    """Number of products of answers with a reported impression."""
    impression_estimate: float
    """Number of products shown, estimated from the sampled impressions (RANKER_IMPRESSION_SHARE):
    ``impression_count``, if all are stored."""
    click_count: int
    """Number of products with an impression that were clicked."""
    purchase_count: int
    """Number of products with an impression that were bought within the window."""
    revenues: tuple[OnlineRevenue, ...]
    """Revenue of purchases of these products within the window, by currency, sorted by code.
    Divided by ``impression_estimate``, it is the revenue of a product shown. Empty if no purchase
    has a price."""
    unpriced_count: int
    """Number of pieces bought without a price in their events: they count 0 in ``revenues``."""


@dataclass(frozen=True, slots=True)
class FeedbackHealth:
    """Off-policy estimates and drift, computed periodically by the worker."""

    compute_time: datetime
    """When they were computed (UTC)."""
    start_time: datetime
    """Start of the current period (UTC). The reference period ends here."""
    reference_time: datetime
    """Start of the reference period (UTC)."""
    policies: tuple[PolicyEstimate, ...]
    """Estimated rewards of ranking policies."""
    drift: tuple[DriftItem, ...]
    """Items checked for drift, with and without a change."""


@dataclass(frozen=True, slots=True)
class OnlineReport:
    """Responses of shoppers to answers."""

    start_time: datetime
    """Start of the period in which the answers were served, inclusive (UTC)."""
    end_time: datetime
    """End of the period, exclusive (UTC)."""
    conversion_window: timedelta
    """Time in which a purchase counts, after a click or, without a click, after an impression."""
    groups: tuple[OnlineGroup, ...]
    """Results for each model version, scene and arm, sorted by these names."""
    attribution: AttributionCounts
    """Number of events attributed to answers."""
    health: FeedbackHealth | None
    """Newest off-policy estimates and drift. None until a worker has computed them, which it does
    every RANKER_HEALTH_SECONDS."""
    days: tuple[OnlineDay, ...]
    """Results for each day and scene that has answers, sorted by start and name. Empty without
    ``by_day``."""
