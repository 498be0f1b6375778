"""What each step of preprocessing and each descriptor is worth, alone, and what it costs.

Phone photos of groceries look for their product among the other phone photos, those of their own
scene left out, and among one iconic photo of each product. Once by a backbone's own features, once
after shrinkage LDA that was fitted on photos of other scenes, since what a fitted space makes up
for is not worth its cost. Every difference is paired, query by query, with an interval by the
bootstrap over scenes. Nothing is chosen here but what is on by default: the recipe's numbers are
those of the papers or of the libraries.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench import featured, grocery
from bench.featured import Backbone, Floats
from bench.grocery import Grocery, Labels, Photos
from bench.machine import ROOT
from bench.model import Interval, Result, Table
from embedder.domain.recipes import Recipe, Step

Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]

BACKBONES = {"Lite0": "efficientnet_lite0_features", "Lite2": "efficientnet_lite2_features"}
JUDGE = "efficientnet_lite1_features"
"""Says which photos are of one scene; it is not measured itself."""
HISTOGRAM = "hsv_histogram"
FOLDS = 5
SHRINKAGE = 0.1
DIMENSION = 80
RESAMPLES = 4_000
SAMPLE = 400
"""Photos of a quick look."""
TIMED = 48
"""Photos that the cost is measured on."""
NEAREST, PRECISION, ICONIC = "1-NN", "mAP", "iconic"
FITTED, FITTED_ICONIC = "fitted: 1-NN", "fitted: iconic"
MEASURES = (NEAREST, PRECISION, ICONIC, FITTED, FITTED_ICONIC)
ENGINE = ROOT / "deploy" / "triton"


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing done otherwise than by default."""

    name: str
    steps: tuple[Step, ...] = ()
    crop: float | None = None
    """Share of the shorter side; None = the model's own."""
    views: int = 1


DEFAULT = Variant("default: centre .875")
VARIANTS = (
    DEFAULT,
    Variant("crop: full side", crop=1.0),
    Variant("crop: padded", (Step.CROP_PAD,), crop=1.0),
    Variant("crop: subject", (Step.CROP_SUBJECT,)),
    Variant("crops: 4 views", views=4),
    Variant("white balance: grey world", (Step.WHITE_BALANCE_GREY_WORLD,)),
    Variant("white balance: white patch", (Step.WHITE_BALANCE_WHITE_PATCH,)),
    Variant("denoise: median", (Step.DENOISE_MEDIAN,)),
    Variant("denoise: bilateral", (Step.DENOISE_BILATERAL,)),
    Variant("denoise: non-local means", (Step.DENOISE_NL_MEANS,)),
    Variant("contrast: CLAHE", (Step.CONTRAST_CLAHE,)),
)
DESCRIPTORS = ("lbp", "gabor", "shape")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a variant makes of the photos."""

    train: Floats
    """[n, f]: the mean over views."""
    iconic: Floats
    """[81, f]."""

    def only(self, blocks: Sequence[slice]) -> "Seen":
        """These parts of the features."""
        train, iconic = (
            np.concatenate([each[:, block] for block in blocks], axis=1)
            for each in (self.train, self.iconic)
        )
        return Seen(train, iconic)

    def squared(self) -> "Seen":
        """Of the head's roots, its averages: what a backbone gives off the shelf."""
        return Seen(self.train**2, self.iconic**2)

    def beside(self, other: "Seen") -> "Seen":
        """With other features after these."""
        train = np.concatenate((self.train, other.train), axis=1)
        return Seen(train, np.concatenate((self.iconic, other.iconic), axis=1))

    def standard(self) -> "Seen":
        """Each number by the mean and deviation of the phone photos, so that blocks can be put
        together."""
        return Seen(_standard(self.train, self.train), _standard(self.iconic, self.train))


@dataclass(frozen=True, slots=True)
class Row:
    """What a variant is worth and costs."""

    backbone: str
    name: str
    levels: Mapping[str, float]
    """By measure."""
    gains: Mapping[str, Interval]
    """Above the default, by measure."""
    milliseconds: float
    """Processor time of a photo above the default's."""

    @property
    def pays(self) -> bool:
        """Whether it is surely better after fitting, and not surely worse in anything."""
        return self.gains[FITTED].low > 0 and all(gain.high >= 0 for gain in self.gains.values())


def run(say: Say) -> Result:
    """All of it, in about a quarter of an hour; what was made before is kept in .cache."""
    return _measured(say, None)


def sample(say: Say) -> Result:
    """A quick look at a part of the photos, whose intervals say little."""
    return _measured(say, SAMPLE)


def _measured(say: Say, count: int | None) -> Result:
    folder = grocery.find()
    if folder is None:
        missing = f"NOT MEASURED: $SIGHTLINE_DATA/{grocery.FOLDER} is not there"
        return Result((), {"ablation": None}, warnings=(missing,))
    data = grocery.load(folder)
    train = data.train if count is None else _thinned(data.train, count)
    data = replace(data, train=train)
    say("which photos are of one scene")
    seen = featured.heads(featured.backbone(JUDGE), train.paths)
    task = Task(data, grocery.scenes(seen, train.products))
    preprocessing: list[Row] = []
    descriptors: list[Row] = []
    for title, name in BACKBONES.items():
        model = featured.backbone(name)
        preprocessing += _preprocessing(title, model, task, say)
        descriptors += _descriptors(title, model, task, say)
    tables = (
        _table("Preprocessing", preprocessing, task),
        _table("Descriptors, standardised beside the backbone's", descriptors, task),
    )
    figures = {
        "queries": len(train.paths),
        "scenes": len(set(task.scenes.tolist())),
        "preprocessing": [_plain(row) for row in preprocessing],
        "descriptors": [_plain(row) for row in descriptors],
    }
    warnings = () if count is None else (f"a look at {len(train.paths)} photos only",)
    return Result(tables, figures, warnings=warnings)


@dataclass(frozen=True, slots=True)
class Task:
    """Photos that look for their product."""

    data: Grocery
    scenes: Labels
    """Of each train photo."""

    @property
    def products(self) -> Labels:
        """Of each train photo."""
        return self.data.train.products

    def folds(self) -> Labels:
        """Which fold each train photo is tested in: a scene's photos all in one."""
        names, place = np.unique(self.scenes, return_inverse=True)
        drawn = np.random.default_rng(0).permutation(len(names))
        return np.asarray(drawn[place] % FOLDS, np.int64)


def _preprocessing(title: str, model: Backbone, task: Task, say: Say) -> list[Row]:
    rows: list[Row] = []
    first: Measured | None = None
    timed = task.data.train.paths[:: max(1, len(task.products) // TIMED)]
    inference = _inference(model)
    for variant in VARIANTS:
        say(f"{title}, {variant.name}")
        recipe = replace(model.recipe, steps=variant.steps, crop=variant.crop or model.recipe.crop)
        seen = _seen(model, recipe, variant.views, task)
        found = measured(seen.only([model.blocks[featured.HEAD]]).squared(), seen, task)
        spent = featured.milliseconds(timed, recipe, variant.views) + variant.views * inference
        first = first or Measured(found, spent)
        rows.append(_row(title, variant.name, found, first.hits, spent - first.milliseconds, task))
    return rows


def _descriptors(title: str, model: Backbone, task: Task, say: Say) -> list[Row]:
    """Each beside the head alone, where the histogram is one of them, and beside all features."""
    plain, added = _seen(model, model.recipe, 1, task), {}
    for name in DESCRIPTORS:
        say(f"{title}, {name}")
        added[name] = _described(name, model, task)
    head, colours = model.blocks[featured.HEAD], model.blocks[HISTOGRAM]
    colourless = [slice(0, colours.start)]
    averages = plain.only([head]).squared()
    default = measured(averages.standard(), plain.only(colourless), task)
    rows = [_row(title, "the backbone alone", default, default, 0.0, task)]
    with_colours = measured(averages.beside(plain.only([colours])).standard(), plain, task)
    rows.append(_row(title, "+ HSV histogram", with_colours, default, 0.0, task))
    for name, (seen, cost) in added.items():
        several = averages.beside(plain.only([colours])).beside(seen)
        found = measured(several.standard(), plain.beside(seen), task)
        rows.append(_row(title, f"+ HSV histogram + {name}", found, with_colours, cost, task))
    return rows


@dataclass(frozen=True, slots=True)
class Measured:
    """The default's."""

    hits: Mapping[str, Doubles]
    milliseconds: float


def measured(off_the_shelf: Seen, fitted: Seen, task: Task) -> dict[str, Doubles]:
    """By measure: how well each phone photo found its product, 0 to 1 [n].

    `off_the_shelf` is compared as it is, of `fitted` a space is made.
    """
    train, iconic = unit(off_the_shelf.train), unit(off_the_shelf.iconic)
    similar = train @ train.T
    similar[task.scenes[:, None] == task.scenes] = -np.inf
    places = np.arange(len(task.products))
    found = {
        NEAREST: _right(task.products[similar.argmax(axis=1)], task),
        PRECISION: precisions(similar, task.products[:, None] == task.products),
        ICONIC: _right(task.data.iconic.products[(train @ iconic.T).argmax(axis=1)], task),
        FITTED: np.zeros(len(places)),
        FITTED_ICONIC: np.zeros(len(places)),
    }
    folds = task.folds()
    for fold in range(FOLDS):
        inside, asked = places[folds != fold], places[folds == fold]
        train, iconic = discriminated(fitted, inside, task)
        nearest = inside[(train[asked] @ train[inside].T).argmax(axis=1)]
        found[FITTED][asked] = task.products[nearest] == task.products[asked]
        shown = task.data.iconic.products[(train[asked] @ iconic.T).argmax(axis=1)]
        found[FITTED_ICONIC][asked] = shown == task.products[asked]
    return found


def _right(products: Labels, task: Task) -> Doubles:
    return np.asarray(products == task.products, np.float64)


def precisions(similar: Floats, wanted: npt.NDArray[np.bool_]) -> Doubles:
    """The average precision of each row's ranking; pairs at -inf are left out, and a row without
    anything wanted has 0."""
    order = np.argsort(-similar, axis=1, kind="stable")
    hits = np.take_along_axis(wanted & np.isfinite(similar), order, axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    summed = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1)
    return np.asarray(summed / np.maximum(hits.sum(axis=1), 1))


def discriminated(seen: Seen, inside: Labels, task: Task) -> tuple[Floats, Floats]:
    """All train and iconic photos after linear discriminant analysis with a shrunk within-class
    scatter (J. Friedman, Regularized Discriminant Analysis, JASA 84, 1989), of unit length.

    Fitted on the `inside` train photos and the iconic ones, both standardised by their own mean and
    deviation.
    """
    train = _standard(seen.train, seen.train[inside])
    iconic = _standard(seen.iconic, seen.iconic)
    rows = np.concatenate((train[inside], iconic))
    names, place = np.unique(
        np.concatenate((task.products[inside], task.data.iconic.products)), return_inverse=True
    )
    sums = np.zeros((len(names), rows.shape[1]), np.float32)
    np.add.at(sums, place, rows)
    means = sums / np.bincount(place)[:, None]
    apart = rows - means[place]
    within = apart.T @ apart / np.float32(len(rows))
    middle = np.trace(within) / len(within)
    within = (1 - SHRINKAGE) * within + np.diag(np.full(len(within), SHRINKAGE * middle))
    # Directions w of S w = λ W w for S of rank products - 1: w = W⁻¹ mᵀ u / √λ, by means m.
    means -= means.mean(axis=0)
    towards = np.linalg.solve(within, means.T)
    strengths, turns = np.linalg.eigh(means @ towards)
    strengths, turns = strengths[::-1][:DIMENSION], turns[:, ::-1][:, :DIMENSION]
    projection = towards @ turns / np.sqrt(np.maximum(strengths, 1e-6))
    return unit(train @ projection), unit(iconic @ projection)


def gain(better: Doubles, worse: Doubles, scenes: Labels) -> Interval:
    """The mean paired difference with its 95% interval by the percentile bootstrap over scenes:
    photos of one scene are no independent evidence."""
    names, place = np.unique(scenes, return_inverse=True)
    sums = np.bincount(place, better - worse)
    counts = np.bincount(place)
    drawn = np.random.default_rng(0).multinomial(
        len(names), np.full(len(names), 1 / len(names)), RESAMPLES
    )
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), (0.025, 0.975))
    return Interval(float((better - worse).mean()), float(low), float(high))


def unit(vectors: Floats) -> Floats:
    """The rows at unit length; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def _standard(vectors: Floats, by: Floats) -> Floats:
    deviation = by.std(axis=0)
    floor = np.maximum(deviation, 1e-2 * np.median(deviation) + 1e-12)
    return np.asarray((vectors - by.mean(axis=0)) / floor, np.float32)


def _seen(model: Backbone, recipe: Recipe, views: int, task: Task) -> Seen:
    train, iconic = (
        featured.features(model, photos.paths, recipe, views).mean(axis=1)
        for photos in (task.data.train, task.data.iconic)
    )
    return Seen(train, iconic)


def _described(name: str, model: Backbone, task: Task) -> tuple[Seen, float]:
    """A descriptor of all photos, and its processor milliseconds of a photo."""
    python = str(ENGINE / ".venv" / "bin" / "python")
    command = [python, "-m", "triton_engine.descriptors", name, str(model.recipe.side)]
    graph = subprocess.run(command, cwd=ENGINE, check=True, capture_output=True).stdout
    session = featured.session(graph)
    made, spent = [], 0.0
    for photos in (task.data.train, task.data.iconic):
        parts = []
        for start in range(0, len(photos.paths), featured.CHUNK):
            paths = photos.paths[start : start + featured.CHUNK]
            given = featured.pixels(paths, model.recipe, 1)[:, 0]
            since = time.process_time()
            parts.append(session.run(None, {"image": given})[0])
            spent += time.process_time() - since
        made.append(np.concatenate(parts))
    count = len(task.data.train.paths) + len(task.data.iconic.paths)
    return Seen(*made), 1000 * spent / count


def _inference(model: Backbone) -> float:
    """Processor milliseconds of a view."""
    session, side = featured.session(model.graph), model.recipe.side
    blank = np.zeros((featured.BATCH, side, side, 3), np.uint8)
    spent = []
    for _ in range(6):
        since = time.process_time()
        session.run(None, {"image": blank})
        spent.append(time.process_time() - since)
    return 1000 * min(spent[1:]) / featured.BATCH


def _thinned(photos: Photos, count: int) -> Photos:
    places = np.linspace(0, len(photos.paths) - 1, min(count, len(photos.paths))).astype(int)
    return Photos([photos.paths[place] for place in places], photos.products[places])


def _row(
    backbone: str,
    name: str,
    found: Mapping[str, Doubles],
    default: Mapping[str, Doubles],
    milliseconds: float,
    task: Task,
) -> Row:
    return Row(
        backbone,
        name,
        {measure: float(hits.mean()) for measure, hits in found.items()},
        {measure: gain(hits, default[measure], task.scenes) for measure, hits in found.items()},
        milliseconds,
    )


def _table(title: str, rows: Sequence[Row], task: Task) -> Table:
    return Table(
        title=title,
        headers=("backbone", "what", *MEASURES, "ms of CPU", "pays"),
        rows=tuple(_cells(row) for row in rows),
        caption=(
            f"{len(task.products)} phone photos of {len(set(task.scenes.tolist()))} scenes; % of "
            "them, and paired differences with their 95% intervals over scenes. "
            "ms: above the default's."
        ),
    )


def _cells(row: Row) -> tuple[str, ...]:
    told = []
    for measure in MEASURES:
        level, above = row.levels[measure], row.gains[measure]
        same = above == Interval(0.0, 0.0, 0.0)
        told.append(f"{100 * level:.1f}" + ("" if same else f" {_points(above)}"))
    pays = "yes" if row.pays else "no"
    default = all(above.low == above.high == 0 for above in row.gains.values())
    return row.backbone, row.name, *told, f"{row.milliseconds:+.1f}", "" if default else pays


def _points(above: Interval) -> str:
    return f"{100 * above.value:+.1f} ({100 * above.low:+.1f} to {100 * above.high:+.1f})"


def _plain(row: Row) -> dict[str, object]:
    return {**asdict(row), "pays": row.pays}
