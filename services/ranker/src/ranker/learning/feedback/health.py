"""How healthy the feedback is: what other orders would have earned, and what drifted.

Present and past are whole days (UTC), so that volumes can be compared; what happened today counts
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
from ranker.domain.online import Activity, Joined, Window
from ranker.learning.feedback import drift
from ranker.learning.feedback.drift import Drift
from ranker.learning.feedback.policies import Policy

TOP = 10
"""Places whose scores are compared: those that most people see."""
FEATURES = ("category", "brand", "price_band", "look")
"""Kinds of features, as features.py and profiles.py name them, whose mix is watched."""
VOLUME_MATTERS = 0.3
"""A share of the usual volume."""
RATING_MATTERS = 0.25
"""Stars."""
SHARE_MATTERS = 0.05


@dataclass(frozen=True, slots=True)
class Windows:
    """What is compared with what."""

    present: Window
    reference: Window
    """Ends where the present begins."""

    @property
    def before(self) -> Window:
        """As long as the present, and just before it: for what grows with a window's length."""
        start, end = self.present.start_micros, self.present.end_micros
        return Window(2 * start - end, start)


@dataclass(frozen=True, slots=True)
class Health:
    """What was computed of a catalog."""

    computed_micros: int
    start_micros: int
    """Where the present begins, microseconds since 1970 (UTC)."""
    reference_micros: int
    """Where the reference begins."""
    joined: Joined
    """Of the present."""
    policies: tuple[Policy, ...]
    drift: tuple[Drift, ...]


def windows(now_micros: int, days: int, reference_days: int) -> Windows:
    """The last `days` whole days, and so many before them."""
    end = now_micros // DAY_MICROS * DAY_MICROS
    start = end - days * DAY_MICROS
    return Windows(Window(start, end), Window(start - reference_days * DAY_MICROS, start))


def drifts(
    compared: Windows,
    *,
    reference: Activity,
    before: Activity,
    present: Activity,
    model: Model | None,
    scores: tuple[Doubles, Doubles],
) -> tuple[Drift, ...]:
    """What is watched, one after another. `model` serves; `scores`: of its answers' first places,
    before and now."""
    people, days = (reference.shoppers, present.shoppers), compared.reference.days
    # The reference begins with the first day of which anything is known.
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
    """Raw scores of the first places of this version's answers."""
    if version not in feedback.versions:
        return np.zeros(0)
    served = feedback.version == feedback.versions.index(version)
    found: Doubles = feedback.raw_score[served & (feedback.rank <= TOP)]
    return found


def _of_products(
    reference: Activity, present: Activity, model: Model | None, people: tuple[int, int]
) -> tuple[Drift, ...]:
    """What the serving model does not know, and the mixes of what it does."""
    if model is None:
        words = "NOT MEASURED: no model serves"
        names = ("unknown_product_share", *FEATURES)
        return tuple(
            Drift(name, "z" if name.endswith("share") else "psi", text=words) for name in names
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


def _by_type(activity: Activity) -> Mapping[str, float]:
    counts: Counter[str] = Counter()
    for (_, kind), count in activity.types.items():
        counts[kind] += count
    return counts


def _by_day(activity: Activity, days: range) -> list[int]:
    counts: Counter[int] = Counter()
    for (day, _), count in activity.types.items():
        counts[day] += count
    return [counts[day] for day in days]


def _unknown(activity: Activity, model: Model) -> tuple[int, int]:
    total = sum(activity.products.values())
    known = sum(count for item, count in activity.products.items() if item in model.item_rows)
    return total - known, total


def _features(activity: Activity, model: Model, kind: str) -> Mapping[str, float]:
    """Interests by value of this kind of feature; of nested values, such as categories, the
    deepest counts."""
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
