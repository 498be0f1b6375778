import dataclasses

import numpy as np

from ranker.domain.events import DAY_MICROS
from ranker.domain.model import Model, ProductFeatures
from ranker.domain.online import CatalogActivity, DayWindow, JoinCounts, Moments
from ranker.learning.feedback.estimators import Estimates, RewardEstimate
from ranker.learning.feedback.health import FEATURES, Health, drifts, from_json, to_json, windows
from ranker.learning.feedback.policies import OrderPolicy
from tests.fakes.ranker import NOW, model

COMPARED = windows(NOW, 7, 28)
NONE = np.zeros(0)


def activity(window: DayWindow, a_day: int = 100, **fields: object) -> CatalogActivity:
    """Return activity that is equal on every day."""
    values = {
        "types": {
            (day, kind): count
            for day in window.days
            for kind, count in (("VIEW", a_day * 3), ("CLICK", a_day))
        },
        "shoppers": a_day * len(window.days),
        "new_shoppers": a_day * len(window.days) // 5,
        "ratings": Moments(400, 1600.0, 6500.0),
        "products": {"p0": 500, "p1": 500},
        **fields,
    }
    return CatalogActivity(**values)  # type: ignore[arg-type]


def known(**changes: object) -> Model:
    names = ("category=Wine", "category=Wine > Red", "brand=A", "price_band=EUR:6")
    features = ProductFeatures(
        names,
        np.array([0, 3, 5]),
        np.array([0, 1, 2, 0, 3], np.int32),
        np.full(len(names), 0.5, np.float32),
    )
    made = model({"p0": [1.0], "p1": [0.5]})
    return dataclasses.replace(made, product_features=features, **changes)


def found(present: CatalogActivity, serving: Model | None = None, scores=(NONE, NONE)):
    reference = activity(COMPARED.reference)
    items = drifts(
        COMPARED,
        reference=reference,
        before=activity(COMPARED.before),
        present=present,
        model=serving,
        scores=scores,
    )
    return {one.item: one for one in items}


def test_windows_are_whole_days_and_meet() -> None:
    assert COMPARED.present.end_micros % DAY_MICROS == 0
    assert NOW - DAY_MICROS < COMPARED.present.end_micros <= NOW
    assert [len(one.days) for one in (COMPARED.present, COMPARED.reference)] == [7, 28]
    assert COMPARED.before.days == range(
        COMPARED.present.days.start - 7, COMPARED.present.days.start
    )
    assert COMPARED.reference.days.stop == COMPARED.present.days.start


def test_a_week_like_the_ones_before_has_no_flag() -> None:
    items = found(activity(COMPARED.present), known())
    assert not [one for one in items.values() if one.flagged]
    assert set(items) == {
        *("event_types", "events_per_day", "rating_mean", "new_shopper_share"),
        *("unknown_product_share", *FEATURES, "raw_score"),
    }
    assert items["look"].text.startswith("NOT MEASURED"), "the model knows no looks"


def test_each_thing_that_changes_is_flagged_alone() -> None:
    now = COMPARED.present
    clicks = {(day, "CLICK"): 400 for day in now.days}
    changed = {
        "event_types": activity(now, types=clicks),
        "events_per_day": activity(now, 30, shoppers=700, new_shoppers=140),
        "rating_mean": activity(now, ratings=Moments(400, 1200.0, 4000.0)),
        "new_shopper_share": activity(now, new_shoppers=400),
        "unknown_product_share": activity(now, products={"p0": 400, "p1": 400, "new": 200}),
        "category": activity(now, products={"p0": 950, "p1": 50}),
    }
    for item, present in changed.items():
        flagged = {one.item for one in found(present, known()).values() if one.flagged}
        assert flagged == {item}


def test_scores_of_the_serving_model_are_watched() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.normal(0, 1, 500), rng.normal(2, 1, 500)
    assert found(activity(COMPARED.present), scores=(old, new))["raw_score"].flagged
    assert not found(activity(COMPARED.present), scores=(old, old))["raw_score"].flagged


def test_the_deepest_category_counts() -> None:
    item = found(activity(COMPARED.present, products={"p0": 900, "p1": 100}), known())["category"]
    assert item.text == "Wine > Red 90%, was 50%; Wine 10%, was 50%"


def test_without_a_model_what_needs_one_is_not_measured() -> None:
    items = found(activity(COMPARED.present))
    for name in ("unknown_product_share", *FEATURES):
        assert items[name].text == "NOT MEASURED: no model serves"


def test_a_shop_that_opened_lately_has_no_days_before() -> None:
    young = activity(
        DayWindow(COMPARED.present.start_micros - 3 * DAY_MICROS, COMPARED.present.start_micros)
    )
    items = drifts(
        COMPARED,
        reference=young,
        before=young,
        present=activity(COMPARED.present),
        model=None,
        scores=(NONE, NONE),
    )
    assert {one.item: one.text for one in items}["events_per_day"].startswith("NOT MEASURED: 7 now")


def test_a_day_without_events_is_a_day() -> None:
    start = COMPARED.present.start_micros
    stopped = activity(DayWindow(start, start + 2 * DAY_MICROS), shoppers=700, new_shoppers=140)
    item = found(stopped)["events_per_day"]
    assert item.flagged
    assert item.text == "114 a day, was 400"


def test_what_is_kept_comes_back() -> None:
    estimates = Estimates(9, 8.5, 1.0, 0.0, ips=RewardEstimate(0.1, 0.0, 0.2))
    refused = Estimates(0, 0.0, 0.0, 0.0, refusal="NOT MEASURED: …")
    health = Health(
        computed_micros=3,
        start_micros=2,
        reference_micros=1,
        joined=JoinCounts(5, 4, 3),
        policies=(OrderPolicy("served", estimates), OrderPolicy("raw_score", refused)),
        drift=tuple(found(activity(COMPARED.present)).values()),
    )
    assert from_json(to_json(health)) == health
