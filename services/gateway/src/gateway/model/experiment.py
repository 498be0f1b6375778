"""Experiments: file format and assignment of units to arms. Pure.

Layers follow Tang et al. 2010, "Overlapping experiment infrastructure": a unit has one position in
a layer, and each experiment of the layer owns a range of positions.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints
from pydantic import dataclasses as checked

from sightline_core.shoppers import Shopper

_FILES = ConfigDict(extra="forbid")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
ArmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,19}$")]
SceneName = Annotated[str, StringConstraints(max_length=64)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Place = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Metric = Literal[
    "click_rate",
    "clicks",
    "conversion_rate",
    "revenue",
    "hide_rate",
    "revenue_per_impression",
    "margin",
    "margin_per_impression",
]
_MONEY = ("revenue", "margin")

_ROUNDING = 1e-9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class ArmFile:
    """One arm of an experiment."""

    name: ArmName
    share: Share
    scene: SceneName = ""
    """Empty: the requested scene."""


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class ExperimentFile:
    """An experiment file; docs/merchandise/experiments.md documents each entry."""

    name: Name
    scenes: Annotated[tuple[SceneName, ...], Field(min_length=1, max_length=16)]
    arms: Annotated[tuple[ArmFile, ...], Field(min_length=2, max_length=8)]
    start: AwareDatetime
    metric: Metric
    catalog: str = "default"
    description: Annotated[str, Field(max_length=1000)] = ""
    layer: Name = "default"
    layer_part: tuple[Place, Place] = (0.0, 1.0)
    seed: Annotated[str, Field(max_length=64)] = ""
    end: AwareDatetime | None = None
    currency: Annotated[str, StringConstraints(pattern="^([A-Z]{3})?$")] = ""
    outcome_hours: Annotated[int, Field(ge=1, le=90 * 24)] = 24
    planned_units: Annotated[int, Field(ge=100, le=10**9)] = 10_000
    guardrails: Mapping[Metric, Margin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        twice = [
            name for name, count in Counter(arm.name for arm in self.arms).items() if count > 1
        ]
        if twice:
            raise ValueError(f"arms: {twice} are not unique")
        if sum(arm.share for arm in self.arms) > 1 + _ROUNDING:
            raise ValueError("arms: their shares add up to more than 1")
        if not self.layer_part[0] < self.layer_part[1]:
            raise ValueError("layer_part: must ascend")
        if self.end is not None and self.end <= self.start:
            raise ValueError("end: must be after start")
        money = [each for each in (self.metric, *self.guardrails) if each.startswith(_MONEY)]
        if money and not self.currency:
            raise ValueError(f"currency: is required for {money[0]}, e.g. EUR")


def conflict(one: ExperimentFile, other: ExperimentFile) -> str:
    """Return the field and the problem of two conflicting experiments; empty if they do not
    conflict."""
    ended = (one.end and one.end <= other.start) or (other.end and other.end <= one.start)
    if one.catalog != other.catalog or ended:
        return ""
    if one.layer != other.layer:
        shared = sorted({*one.scenes} & {*other.scenes})
        return (
            f"scenes: {shared} are also used by {other.name!r} in another layer" if shared else ""
        )
    (start, end), (other_start, other_end) = one.layer_part, other.layer_part
    if start < other_end and other_start < end:
        return f"layer_part: overlaps that of {other.name!r} in layer {one.layer!r}"
    return ""


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """An experiment in the form used by requests."""

    name: str
    scenes: frozenset[str]
    start_micros: float
    end_micros: float
    """Microseconds since 1970 (UTC); may be infinite."""
    layer: str
    part: tuple[float, float]
    """Range of the layer, 0 to 1."""
    draw: str
    """Seed of the assignment to arms."""
    arms: tuple[tuple[float, str, tuple[str, ...]], ...]
    """For each arm: upper end of its range, 0 to 1; its scene (empty: the requested one); its name.
    """

    def arm_of(self, unit: Shopper) -> tuple[str, tuple[str, ...]] | None:
        """Return the scene and name of the unit's arm, always the same; None if the unit is not in
        the experiment."""
        start, end = self.part
        if end - start < 1 and not start <= place(self.layer, unit) < end:
            return None
        drawn = place(self.draw, unit)
        return next(((scene, name) for until, scene, name in self.arms if drawn < until), None)


def running(one: ExperimentFile) -> RunningExperiment:
    """Return an experiment's file in the form used by requests."""
    ends = accumulate(arm.share for arm in one.arms)
    return RunningExperiment(
        name=one.name,
        scenes=frozenset(one.scenes),
        start_micros=_micros(one.start),
        end_micros=math.inf if one.end is None else _micros(one.end),
        layer=layer_of(one.layer),
        part=one.layer_part,
        draw=drawn_by(one.name, one.seed),
        arms=tuple(
            (end, arm.scene, (f"{one.name}/{arm.name}",))
            for end, arm in zip(ends, one.arms, strict=True)
        ),
    )


def layer_of(name: str) -> str:
    """Return the seed that determines a unit's position in a layer."""
    return f"layer\n{name}"


def drawn_by(name: str, seed: str) -> str:
    """Return the seed that determines a unit's arm in an experiment."""
    return f"arm\n{name}\n{seed}"


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def place(seed: str, unit: Shopper) -> float:
    """Return the unit's position, 0 ≤ position < 1: uniform, and independent for different
    seeds."""
    key = f"{seed}\n{unit.kind}\n{unit.id}".encode("utf-8", "surrogatepass")
    return (int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) >> 11) / 2**53
