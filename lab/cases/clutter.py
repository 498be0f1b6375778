"""Cluttered photos in a shop without a fitted space: the whole photo, its middle, and
several of these views, with what each costs.

The groceries' validation photos (fruit in crates, packages between others) search among one studio
photo of each of 81 products, by the built-in space, as in the first hour of a shop.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from bench.harness.model import BenchResult, BenchTable, Interval
from embedder.domain.fitted import unit
from embedder.domain.recipes import PhotoRecipe, PreprocessStep
from embedder.fitting.cluster_bootstrap import intervals
from lab.cases.accuracy import JUDGE
from lab.cases.accuracy_report import SEED
from lab.cases.photo_measures import Doubles
from lab.datasets import featured, grocery
from lab.datasets.featured import Backbone, Floats
from lab.datasets.grocery import Grocery

Say: TypeAlias = Callable[[str], None]

BUILT_IN: Final = "efficientnet_lite0"
MIDDLE, NARROW, MIRRORED, WHOLE = "middle", "narrow", "mirrored", "whole"
VIEWS: Final[Mapping[str, Sequence[str]]] = {
    "middle (the default)": (MIDDLE,),
    "whole, padded": (WHOLE,),
    "middle, narrow (`views = 2`)": (MIDDLE, NARROW),
    "both and mirrored (`views = 4`)": (MIDDLE, NARROW, MIRRORED),
    "whole, middle, narrow": (WHOLE, MIDDLE, NARROW),
    "best of middle and narrow": (MIDDLE, NARROW),
}
"""Rows of the table: views whose vectors are averaged, or of which the nearest one counts."""
BEST: Final = "best of"
PLAIN: Final = next(iter(VIEWS))
EXAMPLE: Final = "Granny-Smith"
TOP: Final = 5
TIMED: Final = 24


@dataclass(frozen=True, slots=True)
class ClutterFigures:
    """Hits of the queries by row, and what a query costs."""

    first: Mapping[str, Doubles]
    """[queries], 1 where the product is first."""
    among: Mapping[str, Doubles]
    """[queries], 1 where it is among the first TOP."""
    cost: Mapping[str, float]
    """Milliseconds of processor time of a query."""
    clusters: grocery.Labels
    """[queries]: scene."""
    example: np.ndarray
    """[queries], True for photos of EXAMPLE."""


def run(say: Say) -> BenchResult:
    """Measure in a minute, if the data is present."""
    folder = grocery.find()
    if folder is None or not featured.there(BUILT_IN):
        missing = "needs $SIGHTLINE_DATA with grocery, and the built models"
        return BenchResult((), {"clutter": None}, warnings=(f"NOT MEASURED: {missing}",))
    names = [row["Class Name (str)"] for row in grocery.classes(folder)]
    found = _measured(grocery.load(folder), names.index(EXAMPLE), say)
    return BenchResult((table(found),), {"clutter": _plain(found)})


def _measured(data: Grocery, example: int, say: Say) -> ClutterFigures:
    model, wanted = featured.backbone(BUILT_IN), data.validation.products
    say("groceries: views of the validation photos")
    shown = unit(featured.features(model, data.iconic.paths, model.recipe, 1)[:, 0])
    asked = _views(model, data)
    first, among = dict[str, Doubles](), dict[str, Doubles]()
    for name, views in VIEWS.items():
        seen = np.stack([asked[view] for view in views])
        queries = seen if name.startswith(BEST) else unit(seen.mean(axis=0))[None]
        order = np.argsort(-(queries @ shown.T).max(axis=0), axis=1, kind="stable")
        right = data.iconic.products[order[:, :TOP]] == wanted[:, None]
        first[name] = right[:, 0].astype(np.float64)
        among[name] = right.any(axis=1).astype(np.float64)
    say("costs")
    cost = {name: _cost(model, data, views) for name, views in VIEWS.items()}
    judge = featured.heads(featured.backbone(JUDGE), data.validation.paths)
    return ClutterFigures(first, among, cost, grocery.scenes(judge, wanted), wanted == example)


def _views(model: Backbone, data: Grocery) -> Mapping[str, Floats]:
    """Return unit vectors [queries, d] of each view."""
    paths = data.validation.paths
    four = featured.features(model, paths, model.recipe, 4)
    found = {MIDDLE: four[:, 0], NARROW: four[:, 1], MIRRORED: four[:, 2:].mean(axis=1)}
    found[WHOLE] = featured.features(model, paths, _recipe(model, WHOLE), 1)[:, 0]
    return {view: unit(one) for view, one in found.items()}


def _recipe(model: Backbone, view: str) -> PhotoRecipe:
    if view == WHOLE:
        return replace(model.recipe, crop=1.0, steps=(PreprocessStep.CROP_PAD,))
    return replace(model.recipe, steps=())


def _cost(model: Backbone, data: Grocery, views: Sequence[str]) -> float:
    """Return the median milliseconds of processor time from a file to these views' vectors."""
    straight = {"": sum({MIDDLE: 1, NARROW: 1, MIRRORED: 2}.get(view, 0) for view in views)}
    asked = straight | {view: 1 for view in views if view == WHOLE}
    spent = []
    for path in data.validation.paths[:: max(1, len(data.validation.paths) // TIMED)]:
        since = time.process_time()
        for view, count in asked.items():
            if count:
                seen = featured.pixels([path], _recipe(model, view), count)[0]
                featured.opened(model.name).run([model.output], {"image": seen})
        spent.append(1e3 * (time.process_time() - since))
    return float(np.median(spent[1:]))  # the first one loads the graph


# The report


def table(found: ClutterFigures) -> BenchTable:
    """Return the table, a row for each choice of views."""
    return BenchTable(
        "Views of a cluttered photo",
        ("views", "hit@1", "gain", f"hit@{TOP}", "gain", f"hit@1, {EXAMPLE}", "ms"),
        tuple(
            (
                name,
                f"{found.first[name].mean():.3f}",
                _gain(found, found.first, name),
                f"{found.among[name].mean():.3f}",
                _gain(found, found.among, name),
                f"{found.first[name][found.example].mean():.2f}",
                f"{found.cost[name]:.0f}",
            )
            for name in VIEWS
        ),
        f"{len(found.clusters)} validation photos of groceries ({int(found.example.sum())} of"
        f" {EXAMPLE}) among one studio photo of each of 81 products, in the built-in space. Gains"
        " over the default are paired; 95% intervals by the bootstrap over scenes. Processor time"
        " from a file to vectors, on one thread.",
        section=None,
    )


def _gain(found: ClutterFigures, hits: Mapping[str, Doubles], name: str) -> str:
    if name == PLAIN:
        return "–"
    gain = _interval(found, hits[name] - hits[PLAIN])
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def _interval(found: ClutterFigures, values: Doubles) -> Interval:
    low, high = intervals(values[:, None], found.clusters, SEED)[:, 0]
    return Interval(float(values.mean()), float(low), float(high))


def _plain(found: ClutterFigures) -> Mapping[str, object]:
    return {
        name: {
            "hit@1": float(found.first[name].mean()),
            f"hit@{TOP}": float(found.among[name].mean()),
            "cpu_ms": found.cost[name],
        }
        for name in VIEWS
    }
