"""Tables and goals of the bench `accuracy`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.harness.model import BenchTable, Goal, Interval
from embedder.domain.fitted import SpaceEvaluation, SpaceFigure
from embedder.fitting.measuring import (
    CATEGORY,
    ICONIC,
    ICONIC_HIT,
    NEAREST,
    UNSEEN,
    UNSEEN_ICONIC,
    UNSEEN_ICONIC_HIT,
)

BACKBONE = "efficientnet_lite2_features"
OFF_THE_SHELF = "efficientnet_lite0_features"
INTEGERS = "efficientnet_lite0_int8"
"""The pretrained network in 8-bit integers."""
SEED = 0
CLOTHING = "clothing"
CLOTHING_EVERY = 2
"""Every second photo: all photos would take a minute more, for an interval a third narrower."""

ONE, FOUR = "one view", "four views"
VAL_ONE = "val, one view"
VAL_FOUR = "val, four views"


@dataclass(frozen=True, slots=True)
class MissingGoal:
    """A goal on data that the folder lacks."""

    name: str
    at_least: float
    figure: str
    """Figure of cross-validation that is reported instead."""
    views: str


WANTED = (
    MissingGoal("test: 1-NN, one view", 0.83, NEAREST, ONE),
    MissingGoal("test: 1-NN, several views", 0.87, NEAREST, FOUR),
    MissingGoal("test: category", 0.93, CATEGORY, FOUR),
    MissingGoal("test: 1-NN, labels that the map has not seen", 0.80, UNSEEN, FOUR),
    MissingGoal("test: phone against one iconic photo, top-1", 0.60, ICONIC, FOUR),
    MissingGoal("test: phone against one iconic photo, top-5", 0.93, ICONIC_HIT, FOUR),
    MissingGoal("test: the same, never seen by the map, top-1", 0.58, UNSEEN_ICONIC, FOUR),
    MissingGoal("test: the same, never seen by the map, top-5", 0.93, UNSEEN_ICONIC_HIT, FOUR),
)
CAPTION = (
    "95% intervals by the bootstrap over occasions (products where the map has not seen them; "
    "photos on val); gains are paired. Pretrained: EfficientNet-Lite0's unit vectors of one view."
)


@dataclass(slots=True)
class AccuracyFigures:
    """Measured figures; absent ones were not measured."""

    crossed: dict[str, SpaceEvaluation]
    """Groceries by cross-validation, by number of views."""
    val: dict[str, tuple[SpaceFigure, ...]]
    """The val part, by number of views."""
    integers: tuple[SpaceFigure, ...] = ()
    """The val part by the pretrained network, 8-bit integers compared with float32."""
    doubts: tuple[BenchTable, ...] = ()
    """Results of the rule for category mismatches on wrong categories."""
    clothing: SpaceEvaluation | None = None
    dimension: int = 0


def goals(found: AccuracyFigures) -> tuple[Goal, ...]:
    """Return the gates on val and the goals for data that the folder lacks."""
    gates = [
        Goal(
            f"{name}: 1-NN above the pretrained space's, paired",
            at_most=None,
            at_least=0.0,
            unit="",
            measured=_gain(found.val.get(name, ())),
        )
        for name in (VAL_ONE, VAL_FOUR)
    ]
    absent = [
        Goal(f"{each.name}{_instead(found, each)}", None, "", None, each.at_least)
        for each in WANTED
    ]
    return (*gates, _integers_goal(found.integers), *absent)


def _integers_goal(figures: Sequence[SpaceFigure]) -> Goal:
    """Return the goal that integers lose less than the resolution of these photos."""
    nearest = next((each for each in figures if each.name == NEAREST), None)
    name = "val: 1-NN of int8 above float32's, paired; limit: half the interval of 1-NN itself"
    half = None if nearest is None else round((nearest.high - nearest.low) / 2, 3)
    return Goal(name, None, "", _gain(figures), None if half is None else -half)


def _gain(figures: Sequence[SpaceFigure]) -> Interval | None:
    for each in figures:
        if each.name == NEAREST and each.baseline is not None:
            assert each.gain_low is not None
            assert each.gain_high is not None
            return Interval(each.value - each.baseline, each.gain_low, each.gain_high)
    return None


def _instead(found: AccuracyFigures, wanted: MissingGoal) -> str:
    """Return the figures of cross-validation and val, which stand in for the missing test part."""
    crossed = found.crossed.get(wanted.views)
    val = found.val.get(f"val, {wanted.views}", ())
    known = {"cross-validation": crossed.figures if crossed else (), "val": val}
    given = [
        f"{where} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})"
        for where, figures in known.items()
        for each in figures
        if each.name == wanted.figure
    ]
    return f" [{', '.join(given)}]" if given else ""


def tables_of(found: AccuracyFigures) -> tuple[BenchTable, ...]:
    rows = [
        (f"groceries, cross-validation, {views}", *_cells(each))
        for views, evaluation in found.crossed.items()
        for each in evaluation.figures
    ]
    rows += [(f"groceries, {name}", *_cells(each)) for name, f in found.val.items() for each in f]
    if found.clothing is not None:
        rows += [("clothing, cross-validation", *_cells(each)) for each in found.clothing.figures]
    return (
        BenchTable(
            title="A fitted space beside the pretrained one",
            headers=("photos", "figure", "fitted", "pretrained", "gain", "queries"),
            rows=tuple(rows),
            caption=CAPTION,
        ),
        *_integers_table(found.integers),
        *found.doubts,
    )


def _integers_table(figures: Sequence[SpaceFigure]) -> tuple[BenchTable, ...]:
    if not figures:
        return ()
    return (
        BenchTable(
            title="int8 beside float32, pretrained, val",
            headers=("figure", "int8", "float32", "gain", "queries"),
            rows=tuple(_cells(each) for each in figures),
            caption="EfficientNet-Lite0, one view; 95% intervals over photos, gains are paired.",
            section=None,
        ),
    )


def _cells(figure: SpaceFigure) -> tuple[str, ...]:
    level = f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
    if figure.baseline is None or figure.gain_low is None or figure.gain_high is None:
        return figure.name, level, "", "", f"{figure.queries:,}"
    gain = figure.value - figure.baseline
    gained = f"{gain:+.3f} ({figure.gain_low:+.3f} to {figure.gain_high:+.3f})"
    return figure.name, level, f"{figure.baseline:.3f}", gained, f"{figure.queries:,}"


def plain_figures(found: AccuracyFigures) -> Mapping[str, object]:
    return {
        "accuracy": {
            "backbone": BACKBONE,
            "dimension": found.dimension,
            "cross_validation": {name: asdict(each) for name, each in found.crossed.items()},
            "val": {
                name: [asdict(each) for each in figures] for name, figures in found.val.items()
            },
            "int8": [asdict(each) for each in found.integers],
            "doubts": [asdict(table) for table in found.doubts],
            "clothing": None if found.clothing is None else asdict(found.clothing),
        }
    }
