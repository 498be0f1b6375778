"""The assignment of units to arms."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.model.experiment import ExperimentFile, RunningExperiment, conflict, place, running
from sightline_core.shoppers import Identity, Shopper

START = datetime(2026, 11, 1, tzinfo=UTC)
UNITS = [Shopper(Identity.USER, f"user {n}") for n in range(20_000)]
CHI_SQUARE_99 = 134.6
"""Upper 1% of a chi-square of 99 degrees of freedom."""


def made(name: str = "order", **changes: Any) -> ExperimentFile:
    fields = {
        "scenes": ("home",),
        "arms": ({"name": "control", "share": 0.5}, {"name": "b", "share": 0.5, "scene": "new"}),
        "start": START,
        "metric": "click_rate",
        **changes,
    }
    return ExperimentFile(name, **fields)


def runs(name: str = "order", **changes: Any) -> RunningExperiment:
    return running(made(name, **changes))


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def test_places_are_uniform_and_those_of_two_layers_independent():
    one, other = ([place(f"layer\n{name}", unit) for unit in UNITS] for name in ("a", "b"))

    pairs, *_ = np.histogram2d(one, other, bins=10, range=[[0, 1], [0, 1]])
    assert chi_square(np.histogram(one, 100, (0, 1))[0]) < CHI_SQUARE_99
    assert chi_square(pairs) < CHI_SQUARE_99


def test_a_units_place_is_the_same_on_every_machine():
    assert place("layer\ndefault", Shopper(Identity.USER, "ann")) == 0.5235531787858343
    assert place("layer\ndefault", Shopper(Identity.VISITOR, "ann")) != 0.5235531787858343


def test_arms_get_their_shares_of_the_part_of_the_layer_and_the_rest_gets_none():
    third = ({"name": "control", "share": 0.5}, {"name": "b", "share": 0.25})
    one = runs(layer_part=(0.0, 0.5), arms=third)

    found = [one.arm_of(unit) for unit in UNITS]

    shares = [
        sum(1 for arm in found if arm and arm[1] == (f"order/{name}",)) for name in ("control", "b")
    ]
    assert shares == [pytest.approx(5_000, abs=200), pytest.approx(2_500, abs=200)]


def test_experiments_of_a_layer_share_no_unit_and_a_new_seed_draws_anew():
    first, second = (runs(name, layer_part=part) for name, part in PARTS.items())
    seeded = runs("first", layer_part=PARTS["first"], seed="2")

    assert not any(first.arm_of(unit) and second.arm_of(unit) for unit in UNITS)
    same = [first.arm_of(unit) == seeded.arm_of(unit) for unit in UNITS if first.arm_of(unit)]
    assert sum(same) / len(same) == pytest.approx(0.5, abs=0.02)


def test_who_is_in_an_experiment_of_one_layer_is_in_one_of_another_by_chance():
    one, other = (runs(layer=layer, layer_part=(0.0, 0.5)) for layer in ("a", "b"))

    both = sum(1 for unit in UNITS if one.arm_of(unit) and other.arm_of(unit))

    assert both / len(UNITS) == pytest.approx(0.25, abs=0.01)


PARTS = {"first": (0.0, 0.4), "second": (0.4, 1.0)}


def test_an_end_may_be_open():
    one, other = runs(end=START + timedelta(days=7)), runs()

    assert one.end_micros - one.start_micros == 7 * 86_400 * 1_000_000
    assert other.end_micros == math.inf


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"layer_part": (0.5, 1.0)}, ""),
        ({"layer_part": (0.4, 1.0)}, "layer_part: overlaps that of 'order' in layer 'default'"),
        ({"layer": "other"}, "scenes: ['home'] are also used by 'order' in another layer"),
        ({"layer": "other", "scenes": ("cart",)}, ""),
        ({"start": START + timedelta(days=7)}, ""),
        ({"catalog": "other"}, ""),
    ],
)
def test_two_experiments_that_can_not_both_be_are_found(changes, problem):
    one = made(layer_part=(0.0, 0.5), end=START + timedelta(days=7))

    assert conflict(made("another", **changes), one) == problem
    assert bool(conflict(one, made("another", **changes))) == bool(problem)


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ({"name": "a", "share": 1.0},)},
        {"arms": ({"name": "a", "share": 0.6}, {"name": "b", "share": 0.5})},
        {"arms": ({"name": "a", "share": 0.5}, {"name": "a", "share": 0.5})},
        {"arms": ({"name": "a", "share": float("nan")}, {"name": "b", "share": 0.5})},
        {"layer_part": (0.5, 0.5)},
        {"layer_part": (0.0, 1.5)},
        {"start": datetime(2026, 11, 1)},  # noqa: DTZ001
        {"end": START},
        {"metric": "joy"},
        {"metric": "revenue"},
        {"guardrails": {"hide_rate": -0.1}},
        {"scenes": ()},
    ],
)
def test_what_makes_no_sense_is_refused(changes):
    with pytest.raises(ValidationError):
        made(**changes)
    replace(made())  # as it is, it does
