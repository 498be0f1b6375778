"""Health of the feedback: off-policy estimates of other orders, and drift.

Present and reference are whole days (UTC), so that volumes are comparable; today's events count
tomorrow. Windows are whole weeks by default, because weekdays differ.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import TypeAdapter

from ranker.domain.arrays import Doubles
from ranker.domain.events import DAY_MICROS
from ranker.domain.feedback import Feedback
from ranker.domain.model import Model
from ranker.domain.online import CatalogActivity, DayWindow, JoinCounts
from ranker.learning.feedback import drift
from ranker.learning.feedback.drift import DriftFinding
from ranker.learning.feedback.policies import OrderPolicy

TOP = 10
"""Number of first places whose scores are compared."""
FEATURES = ("category", "brand", "price_band", "look")
"""Kinds of features (see features.py, profiles.py) whose distribution is monitored."""
VOLUME_MATTERS = 0.3
"""Relevant change of volume, as a share of the reference."""
RATING_MATTERS = 0.25
"""Relevant change of the mean rating, in stars."""
SHARE_MATTERS = 0.05


@dataclass(frozen=True, slots=True)
class ComparedWindows:
    """Periods to compare."""

    present: DayWindow
    reference: DayWindow
    """Period before the present; ends where the present begins."""

    @property
    def before(self) -> DayWindow:
        """The period of equal length before the present, for values that grow with a period's
        length."""
        start, end = self.present.start_micros, self.present.end_micros
        return DayWindow(2 * start - end, start)


@dataclass(frozen=True, slots=True)
class Health:
    """Computed health of a catalog's feedback."""

    computed_micros: int
    start_micros: int
    """Start of the present, microseconds since 1970 (UTC)."""
    reference_micros: int
    """Start of the reference."""
    joined: JoinCounts
    """Figures of the present."""
    policies: tuple[OrderPolicy, ...]
    drift: tuple[DriftFinding, ...]


def windows(now_micros: int, days: int, reference_days: int) -> ComparedWindows:
    """Return the last `days` whole days, and `reference_days` before them."""
    end = now_micros // DAY_MICROS * DAY_MICROS
    start = end - days * DAY_MICROS
    return ComparedWindows(
        DayWindow(start, end), DayWindow(start - reference_days * DAY_MICROS, start)
    )


def drifts(
    compared: ComparedWindows,
    *,
    reference: CatalogActivity,
    before: CatalogActivity,
    present: CatalogActivity,
    model: Model | None,
    scores: tuple[Doubles, Doubles],
) -> tuple[DriftFinding, ...]:
    """Return the drift of all monitored items. `model`: the serving model; `scores`: raw scores of
    its answers' first places, in the reference and the present."""
    people, days = (reference.shoppers, present.shoppers), compared.reference.days
    # The reference begins with the first day that has data.
    known = range(min((day for day, _ in reference.types), default=days.stop), days.stop)
    return (
        drift.mix("event_types", _by_type(reference), _by_type(present), sizes=people),
        drift.volume(
            "events_per_day",
            _by_day(reference, known),
            _by_day(present, compared.present.days),
            least=VOLUME_MATTERS,
        ),
        drift.mean("rating_mean", reference.ratings, present.ratings, least=RATING_MATTERS),
        drift.share(
            "new_shopper_share",
            (before.new_shoppers, before.shoppers),
            (present.new_shoppers, present.shoppers),
            least=SHARE_MATTERS,
        ),
        *_of_products(reference, present, model, people),
        drift.scores("raw_score", *scores),
    )


def top_scores(feedback: Feedback, version: str) -> Doubles:
    """Return raw scores of the first places of this version's answers."""
    if version not in feedback.versions:
        return np.zeros(0)
    served = feedback.version == feedback.versions.index(version)
    found: Doubles = feedback.raw_score[served & (feedback.rank <= TOP)]
    return found


def _of_products(
    reference: CatalogActivity,
    present: CatalogActivity,
    model: Model | None,
    people: tuple[int, int],
) -> tuple[DriftFinding, ...]:
    """Return the drift of products: the share unknown to the serving model, and distributions of
    the known ones."""
    if model is None:
        words = "NOT MEASURED: no model serves"
        names = ("unknown_product_share", *FEATURES)
        return tuple(
            DriftFinding(name, "z" if name.endswith("share") else "psi", text=words)
            for name in names
        )
    unknown = drift.share(
        "unknown_product_share",
        _unknown(reference, model),
        _unknown(present, model),
        least=SHARE_MATTERS,
    )
    mixes = (
        drift.mix(
            kind,
            _features(reference, model, kind),
            _features(present, model, kind),
            sizes=people,
        )
        for kind in FEATURES
    )
    return (unknown, *mixes)


def _by_type(activity: CatalogActivity) -> Mapping[str, float]:
    counts: Counter[str] = Counter()
    for (_, kind), count in activity.types.items():
        counts[kind] += count
    return counts


def _by_day(activity: CatalogActivity, days: range) -> list[int]:
    counts: Counter[int] = Counter()
    for (day, _), count in activity.types.items():
        counts[day] += count
    return [counts[day] for day in days]


def _unknown(activity: CatalogActivity, model: Model) -> tuple[int, int]:
    total = sum(activity.products.values())
    known = sum(count for item, count in activity.products.items() if item in model.item_rows)
    return total - known, total


def _features(activity: CatalogActivity, model: Model, kind: str) -> Mapping[str, float]:
    """Return interests by value of this kind of feature; of nested values, such as categories,
    the deepest counts."""
    counts: Counter[str] = Counter()
    described = model.product_features
    if described is None:
        return counts
    for item, count in activity.products.items():
        row = model.item_rows.get(item)
        if row is not None:
            of = described.features[described.starts[row] : described.starts[row + 1]].tolist()
            values = [
                described.names[one] for one in of if described.names[one].startswith(f"{kind}=")
            ]
            if values:
                counts[max(values, key=len).removeprefix(f"{kind}=")] += count
    return counts


_HEALTH = TypeAdapter(Health)


def to_json(health: Health) -> str:
    return json.dumps(asdict(health), separators=(",", ":"))


def from_json(text: str) -> Health:
    return _HEALTH.validate_python(json.loads(text))
