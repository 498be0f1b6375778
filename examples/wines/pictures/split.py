"""An experiment's report day by day, by the ranker's own statistics; shoppers are simulated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from examples.wines.pictures import chart
from examples.wines.pictures.answers import template
from examples.wines.pictures.camera import Camera
from ranker.domain.experiments import ArmCounts, Effect, effect_of
from ranker.domain.online import Moments

SEED = 7
DAYS, A_DAY = 28, 50
"""Units per arm and day."""
RATES = (0.20, 0.27)
"""Fractions of units that click, of the control and of the arm."""
PLANNED = 2000
WIDTH, HEIGHT = 900, 300
METRIC = "click_rate"


@dataclass(frozen=True, slots=True)
class Reading:
    """The deciding metric after one day."""

    day: int
    effect: Effect


def readings() -> Iterator[Reading]:
    """Yield the report's effect after each day."""
    draw = random.Random(SEED)
    clicked = [0, 0]
    for day in range(1, DAYS + 1):
        for arm, rate in enumerate(RATES):
            clicked[arm] += sum(draw.random() < rate for _ in range(A_DAY))
        control, varied = (_arm(str(arm), day * A_DAY, count) for arm, count in enumerate(clicked))
        effect = effect_of(control, varied, METRIC, PLANNED)
        if effect is not None:
            yield Reading(day, effect)


def take(camera: Camera) -> None:
    """Write the picture: the difference and its interval by day."""
    found = list(readings())
    decided = next((one for one in found if one.effect.lower > 0), None)
    across = chart.Axis(1, DAYS, WIDTH, tuple(range(2, DAYS + 1, 2)))
    effects = [one.effect for one in found]
    bounds = [value for effect in effects for value in (effect.lower, effect.upper)]
    up = chart.axis(bounds, HEIGHT, low=None)
    lower = [(one.day, one.effect.lower) for one in found]
    upper = [(one.day, one.effect.upper) for one in found]
    html = template(
        "split.html.j2",
        band=chart.path([*upper, *reversed(lower)], across, up) + " Z",
        line=chart.path([(one.day, one.effect.value) for one in found], across, up),
        across=across,
        up=up,
        decided=decided,
        last=found[-1],
        a_day=A_DAY,
    )
    camera.take(html, "experiment")


def _arm(name: str, units: int, clicked: int) -> ArmCounts:
    return ArmCounts(name, units, {METRIC: Moments(units, clicked, clicked)})
