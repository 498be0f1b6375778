"""Watches on made streams of frames: lasting changes, false alerts, and processor time.

A stream shows three bottles on a shelf, with changing light, noise of the sensor, vibration, and
hands that pass. Known changes follow one another. Frames go through the product's own code, without
its services: decoding and cutting, the model, the rules, and the state as the record has it.
"""

import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from math import sin
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bench.harness.machine import ROOT
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import mean, percentile
from embedder.domain.fitted import unit
from embedder.domain.photos import PhotoView
from embedder.preprocessing import preprocess
from lab.datasets import featured, groceries
from lab.datasets.featured import HEAD, Floats
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits
from vision.adapters import frame_facts, photo_work
from vision.domain.watch_json import dumped_state, loaded_state
from vision.domain.watch_state import FrameFacts, WatchState
from vision.domain.watches import (
    DEFAULT_HOLD,
    PHOTO_SIMILARITY,
    SECOND,
    Alert,
    AlertKind,
    CountCondition,
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    UnusualCondition,
    Watch,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from vision.watching.checking import MeasuredFrame, References, check_frame
from vision.watching.frames import FRAME_BOX

Say: TypeAlias = Callable[[str], None]

STREAMS, FRAMES = 4, 2_500
"""Streams, and frames of each: one a second."""
FIRST, EVERY, LASTS = 330, 310, 60
"""Frame of the first change, frames from one change to the next, and frames that each lasts."""
WIDTH, HEIGHT = 640, 480
LATE = 2
"""Frames after the debounce in which an alert has to come."""
MOST_FALSE, LEAST_RATE = 1.0, 5.0
HANDS = 0.01
"""Share of frames with which a hand begins to pass, for one to three frames."""
TIMED = 300
"""Frames of the first stream whose processor time is measured."""
START = 1_800_000_000 * SECOND
LIMITS = PhotoLimits()
WINES = ROOT / "examples" / "wines" / "images"


class Change(StrEnum):
    """A change of the scene."""

    TAKEN = "a bottle is taken"
    SWAPPED = "a bottle is swapped for another"
    FEWER = "one of two bottles is taken"
    BLACK = "the picture is black"
    FROZEN = "the picture is frozen"
    BLURRED = "the picture is blurred"
    BOARD = "a board covers a part"


RULES: dict[Change, tuple[str, ...]] = {
    Change.TAKEN: ("gone",),
    Change.SWAPPED: ("gone", "other"),
    Change.FEWER: ("few",),
    Change.BLACK: ("black",),
    Change.FROZEN: ("frozen",),
    Change.BLURRED: ("blurred",),
    Change.BOARD: ("odd",),
}
"""Rules whose alerts have to start and end with a change."""
PLACES = {"a": (40, 60), "b": (220, 60), "c": (400, 60)}
"""Left and top of each bottle."""
BOTTLE = (140, 300)


@dataclass(frozen=True, slots=True)
class Period:
    """A change, from its first frame until before `end`."""

    change: Change
    start: int
    end: int


@dataclass(slots=True)
class StreamOutcome:
    """Alerts of a stream, compared with its changes."""

    late: dict[Change, list[int]] = field(default_factory=dict)
    """Frames from the debounce to the start or end of each expected alert."""
    missed: int = 0
    false: int = 0
    alerts: int = 0
    processor: list[float] = field(default_factory=list)
    """Processor milliseconds of frames."""


def run(say: Say) -> BenchResult:
    """Measure on the example wines, with the built model."""
    if not featured.there(groceries.BACKBONE):
        return _absent()
    outcomes = []
    for seed in range(STREAMS):
        say(f"stream {seed + 1} of {STREAMS}, {FRAMES:,} frames")
        outcomes.append(_outcome(seed))
    return _result(outcomes)


def _outcome(seed: int) -> StreamOutcome:
    scene = Scene(seed)
    watch, references = _watch(scene)
    state, outcome, alerts = WatchState(), StreamOutcome(), list[Alert]()
    for number, data in enumerate(scene.frames()):
        since = time.process_time()
        frame = _measured(watch, data, number)
        checked = check_frame(watch, loaded_state(dumped_state(state)), frame, references)
        state = checked.state
        if seed == 0 and number < TIMED:
            outcome.processor.append(1e3 * (time.process_time() - since))
        alerts += checked.alerts
    _compare(scene.periods, alerts, outcome)
    return outcome


def _compare(periods: Sequence[Period], alerts: Sequence[Alert], outcome: StreamOutcome) -> None:
    """Match alerts with changes."""
    hold, left = DEFAULT_HOLD // SECOND, list(alerts)
    for period in periods:
        for rule in RULES[period.change]:
            for kind, frame in ((AlertKind.STARTED, period.start), (AlertKind.ENDED, period.end)):
                found = [
                    each
                    for each in left
                    if (each.rule_id, each.kind) == (rule, kind)
                    and frame <= _number(each) <= frame + hold + LASTS // 2
                ]
                if not found:
                    outcome.missed += 1
                    continue
                left.remove(found[0])
                late = _number(found[0]) - frame - hold
                outcome.late.setdefault(period.change, []).append(late)
    # A change of the shelf may also be unusual.
    outcome.false = sum(
        each.kind is AlertKind.STARTED
        and not (each.rule_id == "odd" and any(p.start <= _number(each) < p.end for p in periods))
        for each in left
    )
    outcome.alerts = len(alerts)


def _number(alert: Alert) -> int:
    return (alert.frame_micros - START) // SECOND


class Scene:
    """A shelf before a camera, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        names = self._draw.sample(sorted(WINES.glob("*.jpg")), 3)
        self._one, self._two, self.other = [
            Image.open(name).convert("RGB").resize(BOTTLE, Image.Resampling.LANCZOS)
            for name in names
        ]
        texture = self._noise.integers(90, 170, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        self._wall = Image.fromarray(texture).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        changes = list(Change)
        self._draw.shuffle(changes)
        starts = range(FIRST, FRAMES - LASTS - 30, EVERY)
        self.periods = [
            Period(change, start, start + LASTS)
            for change, start in zip(changes, starts, strict=False)
        ]

    def frames(self) -> Iterator[bytes]:
        """Yield the frames of the stream."""
        hand, before = 0, b""
        for number in range(FRAMES):
            change = next((p.change for p in self.periods if p.start <= number < p.end), None)
            if change is Change.FROZEN:
                yield before
                continue
            hand = hand - 1 if hand else self._draw.randint(1, 3) * (self._draw.random() < HANDS)
            before = self.frame(number, change, hand=hand > 0)
            yield before

    def frame(self, number: int, change: Change | None = None, *, hand: bool = False) -> bytes:
        """Return a frame as a JPEG."""
        image = self._wall.copy()
        bottles = {"a": self._one, "b": self._two, "c": self._two}
        if change is Change.TAKEN:
            del bottles["a"]
        if change is Change.FEWER:
            del bottles["c"]
        if change is Change.SWAPPED:
            bottles["a"] = self.other
        for name, bottle in bottles.items():
            image.paste(bottle, PLACES[name])
        paint = ImageDraw.Draw(image)
        if change is Change.BOARD:
            paint.rectangle((20, 370, 620, 478), fill=(20, 60, 200))
        if hand:
            x = self._draw.randrange(WIDTH)
            paint.ellipse((x - 90, 40, x + 90, 420), fill=(150, 110, 90))
        shift = (self._draw.randint(-1, 1), self._draw.randint(-1, 1))
        image = image.transform(
            image.size, Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1])
        )
        if change is Change.BLURRED:
            image = image.filter(ImageFilter.GaussianBlur(5))
        light = 0.0 if change is Change.BLACK else light_at(number)
        return photographed(image, light, self._noise)


def light_at(number: int) -> float:
    """Return the light of a frame, 0.65 to 1.05."""
    return 0.85 + 0.2 * sin(number / 400)


def photographed(image: Image.Image, light: float, noise: np.random.Generator) -> bytes:
    """Return a picture as a camera's JPEG, with the noise of its sensor."""
    pixels = np.asarray(image, np.float32) * light
    pixels += noise.normal(0, 2.5, pixels.shape[:2])[..., None]
    made = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    made.save(file := io.BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def _watch(scene: Scene) -> tuple[Watch, References]:
    """Return a watch with the defaults of every rule, and the vectors of what it looks for: parts
    of a frame."""
    regions = tuple(
        WatchRegion(
            name,
            PhotoArea(
                left / WIDTH, top / HEIGHT, (left + BOTTLE[0]) / WIDTH, (top + BOTTLE[1]) / HEIGHT
            ),
        )
        for name, (left, top) in PLACES.items()
    )
    one, two, other = [
        WatchTarget(image_id=name, min_similarity=PHOTO_SIMILARITY)
        for name in ("one", "two", "other")
    ]
    gone, appears = Direction.GONE, Direction.APPEARS
    watch = Watch(
        "shelf",
        regions=regions,
        rules=(
            WatchRule("gone", PresenceCondition(one, gone, ("a",))),
            WatchRule("other", PresenceCondition(other, appears, ("a",))),
            WatchRule("few", CountCondition(two, ("b", "c"), below=2)),
            WatchRule("odd", UnusualCondition()),
            *(WatchRule(fault.value, FaultCondition(fault)) for fault in Fault),
        ),
    )
    before = _measured(watch, scene.frame(0), 0).vectors
    swapped = _measured(watch, scene.frame(0, Change.SWAPPED), 0).vectors
    return watch, {one: [before["a"]], two: [before["b"]], other: [swapped["a"]]}


def _measured(watch: Watch, data: bytes, number: int) -> MeasuredFrame:
    facts, vectors = _of_frame(watch, data)
    return MeasuredFrame(START + number * SECOND, facts, vectors, "v1")


def _of_frame(watch: Watch, data: bytes) -> tuple[FrameFacts, dict[str, Floats]]:
    parts = watch.boxes()
    boxes = [FRAME_BOX if box is None else box for box in parts.values()]
    made = frame_facts.measured(data, LIMITS, boxes)
    values = frame_facts.wanted(len(boxes), LIMITS).facts.unpack(made.facts)
    assert made.pixels is not None
    facts, cut = photo_work.frame_of(values, bytes(made.pixels.cast("B")), LIMITS)
    return facts, dict(zip(parts, _vectors(cut), strict=True))


def _vectors(photos: Sequence[bytes]) -> Floats:
    """Return the unit vectors of the default backbone."""
    model, side = _model(), _model().recipe.side
    look = PhotoView(views=1)
    given = b"".join(preprocess.pixels(each, LIMITS, model.recipe, look)[0] for each in photos)
    image = np.frombuffer(given, np.uint8).reshape(len(photos), side, side, 3)
    found = featured.opened(model.name).run([model.output], {"image": image})[0]
    return np.asarray(unit(np.square(found[:, model.blocks[HEAD]])), np.float32)


@cache
def _model() -> featured.Backbone:
    return featured.backbone(groceries.BACKBONE)


def _result(outcomes: Sequence[StreamOutcome]) -> BenchResult:
    late = {
        change: [each for found in outcomes for each in found.late.get(change, ())]
        for change in Change
    }
    every = [each for found in late.values() for each in found]
    missed = sum(each.missed for each in outcomes)
    false = sum(each.false for each in outcomes)
    frames = STREAMS * FRAMES
    in_time = [float(each <= LATE) for each in every] + [0.0] * missed
    spent = percentile([each for found in outcomes for each in found.processor], 0.5)
    rate = Interval(1e3 / spent.value, 1e3 / spent.high, 1e3 / spent.low)
    share = mean(in_time)
    return BenchResult(
        tables=(_changes(late, outcomes),),
        figures={
            "late": {change.value: found for change, found in late.items()},
            "missed": missed,
            "false": false,
            "frames": frames,
            "processor_ms": spent.value,
        },
        goals=(
            Goal(
                f"starts and ends of lasting changes within {LATE} frames of the debounce",
                None,
                "",
                share,
                at_least=1.0,
                by_figure=True,
            ),
            Goal(
                f"false alerts in {frames:,} frames",
                MOST_FALSE,
                "",
                Interval(false, false, false),
                by_figure=True,
            ),
            Goal("frames a second of one core", None, "", rate, at_least=LEAST_RATE),
        ),
    )


def _changes(late: dict[Change, list[int]], outcomes: Sequence[StreamOutcome]) -> BenchTable:
    rows = [
        (
            change.value,
            str(2 * len(RULES[change]) * sum(change in _kinds(seed) for seed in range(STREAMS))),
            str(len(found)),
            f"{min(found)} to {max(found)}" if found else "–",
        )
        for change, found in late.items()
    ]
    alerts = sum(each.alerts for each in outcomes)
    false = sum(each.false for each in outcomes)
    return BenchTable(
        "Alerts of known changes",
        ("change", "starts and ends expected", "found", "frames after the debounce"),
        tuple(rows),
        f"{STREAMS} streams of {FRAMES:,} frames of {WIDTH} × {HEIGHT} pixels, one a second. Each"
        f" change lasts {LASTS} seconds. Rules have their default times (debounce 10 s). Light"
        " changes by half, the sensor has noise, the camera shakes by a pixel, and hands pass in 2%"
        " of the frames."
        f" {alerts} alerts in all, {false} of them false.",
        section=None,
    )


def _kinds(seed: int) -> set[Change]:
    return {period.change for period in Scene(seed).periods}


def _absent() -> BenchResult:
    missing = "needs the built models: run make setup"
    names = ("lasting changes", "false alerts", "frames a second of one core")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
