"""All parts of a search by photo on one protocol, one after another: a fitted space, views, the
photo's category and its label.

The groceries' validation photos, on which no map was fitted, search among products with the photos
of the train part and one studio photo each. The weights of the category and of labels were chosen
by cross-validation.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import numpy as np
import numpy.typing as npt

from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from embedder.domain.fitted import SHOPPER, Floats, Labelled, unit
from embedder.fitting import folds
from embedder.fitting.cluster_bootstrap import intervals
from embedder.fitting.fit import FitOptions, fit
from embedder.fitting.measuring import vectors
from lab.cases import labels as label_bench
from lab.cases.accuracy import JUDGE, VIEWS, labelled_photos
from lab.cases.accuracy_report import BACKBONE, SEED
from lab.cases.no_good_match import best_of
from lab.cases.photo_search import WEIGHT as CATEGORY_WEIGHT
from lab.cases.photo_search import SearchCase
from lab.datasets import featured, grocery, labels
from lab.datasets.grocery import Grocery
from lab.peers import embedders
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc

Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

TIMED: Final = 24
"""Photos whose processor time is measured."""
BUILT_IN, FITTED = "built-in space, one view", "fitted space, one view"
TWO, FOUR = "fitted space, two views", "fitted space, four views"
ALL_ONE, ALL_TWO, ALL_FOUR = "all parts, one view", "all parts, two views", "all parts, four views"
ROWS: Final = ((1, FITTED, ALL_ONE), (2, TWO, ALL_TWO), (VIEWS, FOUR, ALL_FOUR))
GOALS: Final = ((ALL_ONE, 0.845), (ALL_FOUR, 0.875))


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Hits and costs of the queries, by row of the table."""

    hits: dict[str, Doubles]
    """[queries], 1 for a right answer and 0 for a wrong one, by row of the table."""
    cost: dict[str, float]
    """Milliseconds of processor time of a query."""
    packed: Flags
    """[queries], True where the photo shows a package."""
    clusters: npt.NDArray[np.int64]
    """[queries]: scene."""

    def gain(self, name: str, rows: Flags | None = None) -> Interval:
        """Return what a row gains over the fitted space with one view."""
        return self._mean(self.hits[name] - self.hits[FITTED], rows)

    def level(self, name: str, rows: Flags | None = None) -> Interval:
        """Return the share of right queries."""
        return self._mean(self.hits[name], rows)

    def _mean(self, values: Doubles, rows: Flags | None) -> Interval:
        chosen = np.ones(len(values), np.bool_) if rows is None else rows
        low, high = intervals(values[chosen, None], self.clusters[chosen], SEED)[:, 0]
        return Interval(float(values[chosen].mean()), float(low), float(high))


def run(say: Say) -> BenchResult:
    """Measure in three minutes, more when labels are read for the first time."""
    folder = grocery.find()
    if folder is None or not labels.there() or not featured.there(BACKBONE):
        missing = "needs $SIGHTLINE_DATA with grocery, and the built models"
        return BenchResult((), {}, goals=goals(None), warnings=(f"NOT MEASURED: {missing}",))
    data = grocery.load(folder)
    with embedders.without_cache(say) as served:
        say("labels")
        matches, packed = label_bench.grocery_labels(folder, served.port, say)
        reading = asyncio.run(_reading(served.port, served.programs, data.validation.paths))
    say("features")
    found = _searched(data, matches, reading, packed)
    return BenchResult((table(found),), _plain(found), goals=goals(found))


def _searched(data: Grocery, matches: Floats, reading: float, packed: Flags) -> PartFigures:
    """Search with every part. `reading`: milliseconds of a photo's label."""
    model = featured.backbone(BACKBONE)
    train, iconic, asked = (
        featured.features(model, part.paths, model.recipe, VIEWS)
        for part in (data.train, data.iconic, data.validation)
    )
    judge = featured.backbone(JUDGE)
    shown = labelled_photos(data, train, iconic)
    products = np.asarray(folds.numbered(shown.products), np.int64)
    numbers = dict(zip(map(int, shown.products), products.tolist(), strict=True))
    right = np.array([numbers[product] for product in data.validation.products.tolist()])
    order = np.argsort([numbers[product] for product in range(len(numbers))])
    space = fit(shown, FitOptions(), SEED)
    case = SearchCase(shown, products, space)
    photos = vectors(space, shown, np.arange(len(products)), VIEWS)
    texts = label_bench.WEIGHT * matches[:, order]

    def nearest(queries: Floats, held: Floats) -> Floats:
        return best_of(queries @ held.T, products, len(numbers))

    def hits(worth: Floats) -> Doubles:
        return np.asarray(worth.argmax(axis=1) == right, np.float64)

    plain = [
        unit(np.square(each[:, 0, model.blocks[featured.HEAD]])) for each in (asked, train, iconic)
    ]
    found = {BUILT_IN: hits(nearest(plain[0], np.concatenate(plain[1:])))}
    views = {count: _viewing(data, count) for count, _, _ in ROWS}
    cost = {BUILT_IN: views[1]}
    queries = _queries(data, asked)
    for count, name, everything in ROWS:
        own = vectors(space, queries, np.arange(len(right)), count)
        cosines, fits = nearest(own, photos), CATEGORY_WEIGHT * case.category_fits(own)
        for row, worth, more in (
            (name, cosines, 0.0),
            (f"{name}, category", cosines + fits, 0.0),
            (f"{name}, labels", cosines + texts, reading),
            (everything, cosines + fits + texts, reading),
        ):
            found[row], cost[row] = hits(worth), views[count] + more
    clusters = grocery.scenes(featured.heads(judge, data.validation.paths), right)
    return PartFigures(found, cost, packed, clusters)


def _queries(data: Grocery, features: Floats) -> Labelled:
    count = len(features)
    return Labelled(
        features=features,
        kinds=np.full(count, SHOPPER, np.int8),
        products=[str(product) for product in data.validation.products],
        groups=[str(place) for place in range(count)],
        categories=[(data.categories[product],) for product in data.validation.products],
    )


# Costs


def _viewing(data: Grocery, views: int) -> float:
    """Return the median milliseconds of processor time from a file to the features of its views."""
    model = featured.backbone(BACKBONE)
    spent = []
    for path in _some(data.validation.paths):
        since = time.process_time()
        pixels = featured.pixels([path], model.recipe, views)[0]
        featured.opened(model.name).run([model.output], {"image": pixels})
        spent.append(1e3 * (time.process_time() - since))
    return float(np.median(spent[1:]))  # the first one loads the graph


async def _reading(port: int, programs: Sequence[int], paths: Sequence[Path]) -> float:
    """Return the mean milliseconds of processor time of ReadLabels."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        spent = []
        for path in _some(paths):
            since = processes.of_trees(programs)
            await stub.ReadLabels(pb.ReadLabelsRequest(image=path.read_bytes()), timeout=60.0)
            spent.append(1e3 * (processes.of_trees(programs) - since))
    return float(np.mean(spent[1:]))


def _some(paths: Sequence[Path]) -> list[Path]:
    """Return photos at equal distances, the first one twice."""
    some = paths[:: max(1, len(paths) // TIMED)]
    return list(islice(cycle([some[0], *some]), TIMED + 1))


# The report


def table(found: PartFigures) -> BenchTable:
    """Return the table, a row for each combination of parts."""
    return BenchTable(
        "All parts of a search by photo",
        ("parts", "1-NN", "gain over one view", "packages", "gain", "ms of processor time"),
        tuple(
            (
                name,
                _level(found.level(name)),
                _gain(found.gain(name)),
                _level(found.level(name, found.packed)),
                _gain(found.gain(name, found.packed)),
                f"{found.cost[name]:.0f}",
            )
            for name in found.hits
        ),
        f"{len(found.packed)} validation photos of groceries, {int(found.packed.sum())} of them of"
        " packages, against 81 products with the photos of the train part and a studio photo."
        " Gains over the fitted space with one view are paired; 95% intervals by the bootstrap over"
        f" scenes. Category: weight {CATEGORY_WEIGHT:g}; labels: {label_bench.WEIGHT:g},"
        " chosen by cross-validation. Time: file to features, on one thread, and the mean of"
        " reading a label of these photos.",
        section=None,
    )


def _level(one: Interval) -> str:
    return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _gain(one: Interval) -> str:
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def goals(found: PartFigures | None) -> tuple[Goal, ...]:
    return tuple(
        Goal(
            f"validation photos, 1-NN: {name}",
            None,
            "",
            None if found is None else found.level(name),
            least,
            by_figure=True,
        )
        for name, least in GOALS
    )


def _plain(found: PartFigures) -> dict[str, object]:
    return {
        name: {
            "1-NN": found.level(name).value,
            "gain": found.gain(name).value,
            "packages": found.level(name, found.packed).value,
            "cpu_ms": found.cost[name],
        }
        for name in found.hits
    }
