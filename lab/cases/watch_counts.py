"""Counts of objects that stand anywhere, by watches on made streams: lasting changes, false alerts,
and processor time.

A stream shows two boards with ten bottles of two products, with changing light, noise of the
sensor, vibration, and hands that pass. One rule counts all objects, the other those that look like
a photo of the first product. Known changes follow one another; one of them changes no count. Frames
go through the product's own code, without its services.
"""

import io
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import get_context
from typing import Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import mean, percentile
from embedder.preprocessing import preprocess
from lab.cases.watch import HANDS, HEIGHT, LATE, START, WIDTH, WINES, light_at, photographed
from lab.datasets import featured
from lab.objects import finding, fit
from lab.objects.composites import Cutout, cutout
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits
from vision.adapters import frame_facts, photo_work
from vision.domain.objects import SeenObject
from vision.domain.watch_json import dumped_state, loaded_state
from vision.domain.watch_state import WatchState
from vision.domain.watches import (
    DEFAULT_HOLD,
    OBJECT_SIMILARITY,
    SECOND,
    Alert,
    AlertKind,
    DetectedCondition,
    Watch,
    WatchRule,
    WatchTarget,
)
from vision.watching.checking import MeasuredFrame, References, check_frame

Say: TypeAlias = Callable[[str], None]

STREAMS: Final = 4
FIRST, EVERY, LASTS = 60, 70, 30
"""Frame of the first change, frames from one change to the next, and frames that each lasts."""
OURS, ALL = 6, 10
"""Bottles of the first product, and of both."""
SLOTS: Final = 5
"""Places on each of the two boards."""
BOTTLE_HEIGHT: Final = 170
BOARDS: Final = (220, 450)
"""Lower edges of the bottles."""
MOST_FALSE, LEAST_RATE, LEAST_RIGHT = 1.0, 2.0, 0.95
COUNTING, RECOGNISING = "all", "ours"
"""Rules: of all objects, and of those that look like a photo."""
LIMITS = PhotoLimits()


class CountChange(StrEnum):
    """A change of the scene."""

    TAKEN = "a bottle of the counted product is taken"
    OTHER_TAKEN = "a bottle of the other product is taken"
    SWAPPED = "a bottle is swapped for a further product"
    MOVED = "all bottles change their places"


RULES: Final[Mapping[CountChange, tuple[str, ...]]] = {
    CountChange.TAKEN: (COUNTING, RECOGNISING),
    CountChange.OTHER_TAKEN: (COUNTING,),
    CountChange.SWAPPED: (RECOGNISING,),
    CountChange.MOVED: (),
}
"""Rules whose alerts have to start and end with a change."""
FRAMES: Final = FIRST + EVERY * len(RULES)


@dataclass(slots=True)
class CountOutcome:
    """Alerts of a stream, compared with its changes, and counts compared with the truth."""

    late: dict[CountChange, list[int]] = field(default_factory=dict)
    """Frames from the debounce to the start or end of each expected alert."""
    missed: int = 0
    false: int = 0
    right: dict[str, list[float]] = field(default_factory=dict)
    """By rule, 1 for each frame without a hand whose count is right."""
    processor: dict[str, list[float]] = field(default_factory=dict)
    """Processor milliseconds of frames, by the rule that needs them."""


def run(say: Say) -> BenchResult:
    """Measure on the example wines, with the built models, one stream a core."""
    if not all(map(featured.there, (finding.EMBEDDER, fit.MODEL))):
        return _absent()
    say(f"{STREAMS} streams of {FRAMES} frames")
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        return _result(list(pool.map(_outcome, range(STREAMS))))


def _outcome(seed: int) -> CountOutcome:
    shelf = CountedShelf(seed)
    watch, references = _watch(shelf)
    state, outcome, alerts = WatchState(), CountOutcome(), list[Alert]()
    for number, (data, hidden) in enumerate(shelf.frames()):
        frame = _measured(data, number, outcome)
        checked = check_frame(watch, loaded_state(dumped_state(state)), frame, references)
        state = checked.state
        alerts += checked.alerts
        if not hidden:
            _compare_counts(frame, references, shelf.counts(number), outcome)
    _compare_alerts(shelf, alerts, outcome)
    return outcome


def _compare_counts(
    frame: MeasuredFrame, references: References, true: Mapping[str, int], outcome: CountOutcome
) -> None:
    ((target, known),) = references.items()
    objects = frame.objects or ()
    alike = sum(float(np.dot(each.vector, known[0])) >= target.min_similarity for each in objects)
    for rule, count in ((COUNTING, len(objects)), (RECOGNISING, alike)):
        outcome.right.setdefault(rule, []).append(float(count == true[rule]))


def _compare_alerts(shelf: "CountedShelf", alerts: Sequence[Alert], outcome: CountOutcome) -> None:
    hold, left = DEFAULT_HOLD // SECOND, list(alerts)
    for change, start in shelf.starts.items():
        for rule in RULES[change]:
            for kind, at in ((AlertKind.STARTED, start), (AlertKind.ENDED, start + LASTS)):
                found = [
                    each
                    for each in left
                    if (each.rule_id, each.kind) == (rule, kind)
                    and at <= _number(each) <= at + hold + LASTS // 2
                ]
                if not found:
                    outcome.missed += 1
                    continue
                left.remove(found[0])
                late = _number(found[0]) - at - hold
                outcome.late.setdefault(change, []).append(late)
    outcome.false = sum(each.kind is AlertKind.STARTED for each in left)


def _number(alert: Alert) -> int:
    return (alert.frame_micros - START) // SECOND


class CountedShelf:
    """Two boards with bottles before a camera, and what happens to them."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        names = self._draw.sample(sorted(WINES.glob("*.jpg")), 3)
        self.one, self._two, self._other = [cutout(name, name.stem) for name in names]
        texture = self._noise.integers(90, 170, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        self._wall = Image.fromarray(texture).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        changes = list(CountChange)
        self._draw.shuffle(changes)
        self.starts = {change: FIRST + EVERY * place for place, change in enumerate(changes)}
        self._usual = self._placed()
        self._moved = self._placed()

    @property
    def first_place(self) -> int:
        """The place of a bottle of the first product."""
        return self._usual.index(self.one)

    def _placed(self) -> list[Cutout]:
        bottles = [self.one] * OURS + [self._two] * (ALL - OURS)
        return self._draw.sample(bottles, ALL)

    def change(self, number: int) -> CountChange | None:
        """Return what is changed in a frame."""
        return next((c for c, at in self.starts.items() if at <= number < at + LASTS), None)

    def counts(self, number: int) -> Mapping[str, int]:
        """Return the true count of each rule in a frame."""
        lost = RULES.get(self.change(number) or CountChange.MOVED, ())
        return {COUNTING: ALL - (COUNTING in lost), RECOGNISING: OURS - (RECOGNISING in lost)}

    def frames(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the frames of the stream, and whether a hand passes."""
        hand = 0
        for number in range(FRAMES):
            hand = hand - 1 if hand else self._draw.randint(1, 3) * (self._draw.random() < HANDS)
            yield self.frame(number, hand=hand > 0), hand > 0

    def frame(self, number: int, *, hand: bool = False) -> bytes:
        """Return a frame as a JPEG."""
        image = self._wall.copy()
        paint = ImageDraw.Draw(image)
        for bottom in BOARDS:
            paint.rectangle((0, bottom, WIDTH, bottom + 14), fill=(120, 90, 60))
        for place, bottle in enumerate(self._shown(self.change(number))):
            if bottle is not None:
                self._paste(image, bottle, place)
        if hand:
            x = self._draw.randrange(WIDTH)
            paint.ellipse((x - 90, 40, x + 90, 420), fill=(150, 110, 90))
        shift = (self._draw.randint(-1, 1), self._draw.randint(-1, 1))
        moved = image.transform(
            image.size, Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1])
        )
        return photographed(moved, light_at(number), self._noise)

    def _shown(self, change: CountChange | None) -> Sequence[Cutout | None]:
        """Return the bottle at each place."""
        usual: list[Cutout | None] = list(self._usual)
        ours, theirs = self.first_place, self._usual.index(self._two)
        match change:
            case CountChange.MOVED:
                return self._moved
            case CountChange.TAKEN:
                usual[ours] = None
            case CountChange.OTHER_TAKEN:
                usual[theirs] = None
            case CountChange.SWAPPED:
                usual[ours] = self._other
        return usual

    @staticmethod
    def _paste(image: Image.Image, bottle: Cutout, place: int) -> None:
        row, column = divmod(place, SLOTS)
        high, wide = bottle.mask.shape
        size = (round(wide * BOTTLE_HEIGHT / high), BOTTLE_HEIGHT)
        middle = round((column + 0.5) * WIDTH / SLOTS)
        shown = Image.fromarray(bottle.pixels).resize(size, Image.Resampling.LANCZOS)
        mask = Image.fromarray(bottle.mask).resize(size, Image.Resampling.LANCZOS)
        image.paste(shown, (middle - size[0] // 2, BOARDS[row] - BOTTLE_HEIGHT), mask)


def _watch(shelf: CountedShelf) -> tuple[Watch, References]:
    """Return a watch with the defaults of a rule, and the vector of what it looks for: a part of a
    frame that shows a bottle."""
    target = WatchTarget(image_id="one", min_similarity=OBJECT_SIMILARITY)
    watch = Watch(
        "shelf",
        rules=(
            WatchRule(COUNTING, DetectedCondition(None, "", ALL)),
            WatchRule(RECOGNISING, DetectedCondition(target, "", OURS)),
        ),
    )
    image = Image.open(io.BytesIO(shelf.frame(0))).convert("RGB")
    row, column = divmod(shelf.first_place, SLOTS)
    middle, half = (column + 0.5) * WIDTH / SLOTS, WIDTH / SLOTS / 2
    cut = (middle - half, BOARDS[row] - BOTTLE_HEIGHT, middle + half, BOARDS[row])
    recipe = featured.backbone(finding.EMBEDDER).recipe
    seen = preprocess.crop(image.crop(tuple(map(round, cut))), recipe)  # type: ignore[arg-type]
    (vector,) = finding.embedded(seen[None])
    return watch, {target: [vector]}


def _measured(data: bytes, number: int, outcome: CountOutcome) -> MeasuredFrame:
    """Return what the rules compare of a frame."""
    since = time.process_time()
    made = frame_facts.measured(data, LIMITS, [])
    values = frame_facts.wanted(0, LIMITS).facts.unpack(made.facts)
    facts, _ = photo_work.frame_of(values, b"", LIMITS)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    objects = finding.found(image)
    counted = time.process_time()
    boxes = finding.in_pixels(image, [each.box for each in objects])
    vectors = finding.vectors_of(image, boxes, merge=True) if objects else ()
    ended = time.process_time()
    outcome.processor.setdefault(COUNTING, []).append(1e3 * (counted - since))
    outcome.processor.setdefault(RECOGNISING, []).append(1e3 * (ended - since))
    seen = [
        SeenObject(PhotoArea(each.box.left, each.box.top, each.box.right, each.box.bottom), vector)
        for each, vector in zip(objects, vectors, strict=True)
    ]
    return MeasuredFrame(START + number * SECOND, facts, version="v1", objects=seen)


def _result(outcomes: Sequence[CountOutcome]) -> BenchResult:
    late = {
        change: [each for found in outcomes for each in found.late.get(change, ())]
        for change in CountChange
    }
    missed = sum(each.missed for each in outcomes)
    false = sum(each.false for each in outcomes)
    in_time = [float(each <= LATE) for found in late.values() for each in found] + [0.0] * missed
    spent = {
        rule: percentile([each for found in outcomes for each in found.processor[rule]], 0.5)
        for rule in (COUNTING, RECOGNISING)
    }
    rates = {
        rule: Interval(1e3 / each.value, 1e3 / each.high, 1e3 / each.low)
        for rule, each in spent.items()
    }
    right = {
        rule: mean([each for found in outcomes for each in found.right[rule]]) for rule in spent
    }
    return BenchResult(
        tables=(_changes(late), _counts(right, spent)),
        figures={
            "late": {change.value: found for change, found in late.items()},
            "missed": missed,
            "false": false,
            "frames": STREAMS * FRAMES,
            "processor_ms": {rule: each.value for rule, each in spent.items()},
        },
        goals=(
            Goal(
                f"starts and ends of lasting changes of a count within {LATE} frames of the"
                " debounce",
                None,
                "",
                mean(in_time),
                at_least=1.0,
                by_figure=True,
            ),
            Goal(
                f"false alerts of counts in {STREAMS * FRAMES:,} frames",
                MOST_FALSE,
                "",
                Interval(false, false, false),
                by_figure=True,
            ),
            *(
                Goal(f"right counts, {WHAT[rule]}", None, "", each, at_least=LEAST_RIGHT)
                for rule, each in right.items()
            ),
            *(
                Goal(
                    f"frames a second of one core, {WHAT[rule]}",
                    None,
                    "",
                    each,
                    at_least=LEAST_RATE,
                )
                for rule, each in rates.items()
            ),
        ),
    )


WHAT: Final = {COUNTING: "all objects", RECOGNISING: "those like a photo"}
"""Objects that each rule counts."""


def _changes(late: Mapping[CountChange, Sequence[int]]) -> BenchTable:
    return BenchTable(
        "Alerts of changes of a count",
        ("change", "starts and ends expected", "found", "frames after the debounce"),
        tuple(
            (
                change.value,
                str(2 * len(RULES[change]) * STREAMS),
                str(len(found)),
                f"{min(found)} to {max(found)}" if found else "–",
            )
            for change, found in late.items()
        ),
        f"{STREAMS} streams of {FRAMES} frames of {WIDTH} × {HEIGHT} pixels, one a second, with"
        f" {ALL} bottles, {OURS} of them of one product. Each change lasts {LASTS} seconds. One"
        " rule counts all objects, the other those that look like a photo of that product; both"
        " have the default times. Light, noise, vibration and hands as above.",
        section=None,
    )


def _counts(right: Mapping[str, Interval], spent: Mapping[str, Interval]) -> BenchTable:
    return BenchTable(
        "Counts and processor time of a frame",
        ("counted", "right counts", "ms of processor time"),
        tuple(
            (WHAT[rule], right[rule].shown(), spent[rule].shown(0))
            for rule in (COUNTING, RECOGNISING)
        ),
        "Of frames without a hand. A rule of all objects needs no vectors.",
        section=None,
    )


def _absent() -> BenchResult:
    missing = "needs the built models: run make setup"
    names = ("lasting changes of a count", "false alerts of counts", "right counts")
    return BenchResult(
        tables=(),
        figures={},
        goals=tuple(Goal(name, None, "", None, missing=missing) for name in names),
    )
