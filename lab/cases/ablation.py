"""Gain and cost of each preprocessing step and of the color histogram.

Phone photos of groceries search for their product among the other phone photos, without those of
their own scene, and among one iconic photo of each product. Measured are a backbone's own features,
and features after shrinkage LDA that was fitted on photos of other scenes, because a step that a
fitted space replaces is not worth its cost. Differences are paired by query, with intervals by the
bootstrap over scenes. The bench only decides which steps are on by default: the recipe's parameters
are those of the papers or of the libraries.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Interval
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from lab.cases.photo_measures import (
    FITTED,
    MEASURES,
    DefaultFigures,
    Doubles,
    PhotoFeatures,
    PhotoTask,
    gain,
    measured,
)
from lab.datasets import featured, grocery
from lab.datasets.featured import Backbone
from lab.datasets.grocery import GroceryPhotos

Say: TypeAlias = Callable[[str], None]
BACKBONES = {"Lite0": "efficientnet_lite0_features", "Lite2": "efficientnet_lite2_features"}
JUDGE = "efficientnet_lite1_features"
"""Model that groups photos by scene; it is not measured itself."""
HISTOGRAM = "hsv_histogram"
SAMPLE = 400
"""Number of photos of a quick run."""
TIMED = 48
"""Number of photos on which the cost is measured."""


@dataclass(frozen=True, slots=True)
class AblationVariant:
    """One deviation from the default preprocessing."""

    name: str
    steps: tuple[PreprocessStep, ...] = ()
    crop: float | None = None
    """Fraction of the shorter side. None: the model's own."""
    views: int = 1


DEFAULT = AblationVariant("default: centre .875")
VARIANTS = (
    DEFAULT,
    AblationVariant("crop: full side", crop=1.0),
    AblationVariant("crop: padded", (PreprocessStep.CROP_PAD,), crop=1.0),
    AblationVariant("crops: 4 views", views=4),
    AblationVariant("white balance: grey world", (PreprocessStep.WHITE_BALANCE_GREY_WORLD,)),
    AblationVariant("white balance: white patch", (PreprocessStep.WHITE_BALANCE_WHITE_PATCH,)),
    AblationVariant("denoise: median", (PreprocessStep.DENOISE_MEDIAN,)),
    AblationVariant("denoise: bilateral", (PreprocessStep.DENOISE_BILATERAL,)),
    AblationVariant("denoise: non-local means", (PreprocessStep.DENOISE_NL_MEANS,)),
    AblationVariant("contrast: CLAHE", (PreprocessStep.CONTRAST_CLAHE,)),
)


@dataclass(frozen=True, slots=True)
class AblationRow:
    """Gain and cost of a variant."""

    backbone: str
    name: str
    levels: Mapping[str, float]
    """Levels by measure."""
    gains: Mapping[str, Interval]
    """Differences from the default, by measure."""
    milliseconds: float
    """Milliseconds of processor time per photo beyond the default's."""

    @property
    def pays(self) -> bool:
        """Return whether it is significantly better after fitting, and not significantly worse in
        any measure."""
        return self.gains[FITTED].low > 0 and all(gain.high >= 0 for gain in self.gains.values())


def run(say: Say) -> BenchResult:
    """Measure everything, in about a quarter of an hour. Features are cached in .cache."""
    return _measured(say, None)


def sample(say: Say) -> BenchResult:
    """Measure a part of the photos, quickly. The intervals are wide."""
    return _measured(say, SAMPLE)


def _measured(say: Say, count: int | None) -> BenchResult:
    folder = grocery.find()
    if folder is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return BenchResult((), {"ablation": None}, warnings=(missing,))
    data = grocery.load(folder)
    train = data.train if count is None else _thinned(data.train, count)
    data = replace(data, train=train)
    say("which photos are of one scene")
    seen = featured.heads(featured.backbone(JUDGE), train.paths)
    task = PhotoTask(data, grocery.scenes(seen, train.products))
    preprocessing: list[AblationRow] = []
    colours: list[AblationRow] = []
    for title, name in BACKBONES.items():
        model = featured.backbone(name)
        preprocessing += _preprocessing(title, model, task, say)
        colours += _colours(title, model, task, say)
    tables = (
        _table("Preprocessing", preprocessing, task),
        _table("The histogram, standardised beside the backbone's", colours, task),
    )
    figures = {
        "queries": len(train.paths),
        "scenes": len(set(task.scenes.tolist())),
        "preprocessing": [_plain(row) for row in preprocessing],
        "histogram": [_plain(row) for row in colours],
    }
    warnings = () if count is None else (f"{len(train.paths)} photos only",)
    return BenchResult(tables, figures, warnings=warnings)


def _preprocessing(title: str, model: Backbone, task: PhotoTask, say: Say) -> list[AblationRow]:
    rows: list[AblationRow] = []
    first: DefaultFigures | None = None
    timed = task.data.train.paths[:: max(1, len(task.products) // TIMED)]
    inference = _inference(model)
    for variant in VARIANTS:
        say(f"{title}, {variant.name}")
        recipe = replace(model.recipe, steps=variant.steps, crop=variant.crop or model.recipe.crop)
        seen = _seen(model, recipe, variant.views, task)
        found = measured(seen.only([model.blocks[featured.HEAD]]).squared(), seen, task)
        spent = featured.milliseconds(timed, recipe, variant.views) + variant.views * inference
        first = first or DefaultFigures(found, spent)
        rows.append(
            _row(
                title,
                variant.name,
                found,
                first.hits,
                milliseconds=spent - first.milliseconds,
                task=task,
            )
        )
    return rows


def _colours(title: str, model: Backbone, task: PhotoTask, say: Say) -> list[AblationRow]:
    """Return the gain of the histogram in a classifier head without a fit."""
    say(f"{title}, histogram")
    plain = _seen(model, model.recipe, 1, task)
    head, colours = model.blocks[featured.HEAD], model.blocks[HISTOGRAM]
    averages = plain.only([head]).squared()
    default = measured(averages.standard(), plain.only([slice(0, colours.start)]), task)
    rows = [_row(title, "the backbone alone", default, default, milliseconds=0.0, task=task)]
    with_colours = measured(averages.beside(plain.only([colours])).standard(), plain, task)
    rows.append(_row(title, "+ HSV histogram", with_colours, default, milliseconds=0.0, task=task))
    return rows


def _seen(model: Backbone, recipe: PhotoRecipe, views: int, task: PhotoTask) -> PhotoFeatures:
    train, iconic = (
        featured.features(model, photos.paths, recipe, views).mean(axis=1)
        for photos in (task.data.train, task.data.iconic)
    )
    return PhotoFeatures(train, iconic)


def _inference(model: Backbone) -> float:
    """Return the processor milliseconds of inference on one view."""
    session, side = featured.session(model.graph), model.recipe.side
    blank = np.zeros((featured.BATCH, side, side, 3), np.uint8)
    spent = []
    for _ in range(6):
        since = time.process_time()
        session.run(None, {"image": blank})
        spent.append(time.process_time() - since)
    return 1000 * min(spent[1:]) / featured.BATCH


def _thinned(photos: GroceryPhotos, count: int) -> GroceryPhotos:
    places = np.linspace(0, len(photos.paths) - 1, min(count, len(photos.paths))).astype(int)
    return GroceryPhotos([photos.paths[place] for place in places], photos.products[places])


def _row(
    backbone: str,
    name: str,
    found: Mapping[str, Doubles],
    default: Mapping[str, Doubles],
    *,
    milliseconds: float,
    task: PhotoTask,
) -> AblationRow:
    return AblationRow(
        backbone,
        name,
        {measure: float(hits.mean()) for measure, hits in found.items()},
        {measure: gain(hits, default[measure], task.scenes) for measure, hits in found.items()},
        milliseconds,
    )


def _table(title: str, rows: Sequence[AblationRow], task: PhotoTask) -> BenchTable:
    return BenchTable(
        title=title,
        headers=("backbone", "what", *MEASURES, "ms of CPU", "pays"),
        rows=tuple(_cells(row) for row in rows),
        caption=(
            f"{len(task.products)} phone photos of {len(set(task.scenes.tolist()))} scenes; % of "
            "them, and paired differences with their 95% intervals over scenes. "
            "ms: above the default's."
        ),
    )


def _cells(row: AblationRow) -> tuple[str, ...]:
    cells = []
    for measure in MEASURES:
        level, above = row.levels[measure], row.gains[measure]
        same = above == Interval(0.0, 0.0, 0.0)
        cells.append(f"{100 * level:.1f}" + ("" if same else f" {_points(above)}"))
    pays = "yes" if row.pays else "no"
    default = all(above.low == above.high == 0 for above in row.gains.values())
    return row.backbone, row.name, *cells, f"{row.milliseconds:+.1f}", "" if default else pays


def _points(above: Interval) -> str:
    return f"{100 * above.value:+.1f} ({100 * above.low:+.1f} to {100 * above.high:+.1f})"


def _plain(row: AblationRow) -> dict[str, object]:
    return {**asdict(row), "pays": row.pays}
