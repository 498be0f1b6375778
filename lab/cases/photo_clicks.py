"""What clicks on searches by photo gain, in a shop that has one studio photo of each product.

The space is fitted to the studio photos. Shoppers are made: each searches by one phone photo of the
groceries' train part, looks at place r of the answer with a chance of 1 / r, up to the last place
whose clicks are used, and clicks the product that the photo shows; one in ten clicks the first
product whatever it is. The ranker's own code learns from the clicks, and the embedder's own fits
the refined space. Queries are the validation photos, on which nothing is chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness import statistics
from bench.harness.model import BenchResult, BenchTable, Interval
from embedder.domain.fitted import CATALOGUE, SHOPPER, FittedSpace, Floats, Labelled, RefinedMap
from embedder.fitting.cluster_bootstrap import intervals
from embedder.fitting.fit import FitOptions, fit
from embedder.fitting.measuring import vectors
from lab.cases.accuracy import JUDGE, VIEWS
from lab.cases.accuracy_report import BACKBONE, SEED
from lab.datasets import featured, grocery
from lab.datasets.grocery import Grocery, GroceryPhotos
from ranker.domain.features import PhotoVectors
from ranker.domain.photo_clicks import LAST_PLACE, MOST_OF_SHOPPER, MOST_WEIGHT, PhotoClick
from ranker.domain.refinement import ClickGain, Refinement
from ranker.learning.refine_space import learn

Say: TypeAlias = Callable[[str], None]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

COUNTS: Final = (100, 400, 860)
"""Clicks that are learned from, one of each shopper."""
DRAWS: Final = 5
"""Draws of the clicks; a query's hits are the mean over them."""
CARELESS: Final = 0.1
"""Share of shoppers who click the first product whatever it is."""
AMONG, MADE_UP = 400, (10, 40)
"""Clicks of shoppers, and numbers of made-up shoppers beside them."""
TOP: Final = 5
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class ClickPhotos:
    """Photos of the shop, of the shoppers who click, and of the queries."""

    studio: Labelled
    """One photo a product."""
    shoppers: Labelled
    queries: Labelled


@dataclass(frozen=True)
class ClickShop:
    """A shop's photos and the space that its searches use."""

    photos: ClickPhotos
    space: FittedSpace

    @cached_property
    def products(self) -> PhotoVectors:
        """Vectors of the products, as the retriever returns them."""
        names = self.photos.studio.products
        order = np.argsort(names)
        found = vectors(self.space, self.photos.studio, order, VIEWS)
        return PhotoVectors(tuple(names[row] for row in order), found, "v1")

    @cached_property
    def searched(self) -> Floats:
        """Vectors of the shoppers' photos."""
        photos = self.photos.shoppers
        return vectors(self.space, photos, np.arange(len(photos.products)), 1)

    def refined(self, by: Refinement) -> "ClickShop":
        """Return the shop with the refined space."""
        space = self.space
        refined = RefinedMap(space.means, space.scales, space.projection, by.matrix)
        made = fit(self.photos.studio, replace(FitOptions(), refined=refined), SEED)
        return ClickShop(self.photos, made)

    def hits(self) -> Doubles:
        """Return whether each query's product is the first, and among the first TOP [queries, 2],
        1 or 0."""
        queries, products = self.photos.queries, self.products
        asked = vectors(self.space, queries, np.arange(len(queries.products)), 1)
        order = np.argsort(-(asked @ products.vectors.T), axis=1, kind="stable")[:, :TOP]
        right = np.array(products.product_ids)[order] == np.array(queries.products)[:, None]
        return np.stack([right[:, 0], right.any(axis=1)], axis=1).astype(float)


@dataclass(slots=True)
class ClickRow:
    """Figures of one way to click, over all draws."""

    hits: list[Doubles] = field(default_factory=list)
    """[queries, 2] of each draw."""
    right: list[float] = field(default_factory=list)
    """Share of right clicks of each draw."""
    said: list[ClickGain] = field(default_factory=list)
    """Gain that the candidate's evaluation reports, of each draw."""


@dataclass(frozen=True, slots=True)
class ClickFigures:
    """All figures."""

    before: Doubles
    """[queries, 2]: hits in the space in use."""
    rows: dict[str, ClickRow]
    clusters: Integers
    """[queries]: scene."""

    def level(self, name: str, column: int) -> Interval:
        """Return the share of queries that find their product. Column 0: first, 1: among TOP."""
        return self._mean((self._after(name) if name != NONE else self.before)[:, column])

    def gain(self, name: str, column: int) -> Interval:
        """Return the paired gain over the space in use."""
        return self._mean((self._after(name) - self.before)[:, column])

    def _after(self, name: str) -> Doubles:
        return np.asarray(np.mean(self.rows[name].hits, axis=0), np.float64)

    def _mean(self, values: Doubles) -> Interval:
        low, high = intervals(values[:, None], self.clusters, SEED)[:, 0]
        return Interval(float(values.mean()), float(low), float(high))


def run(say: Say) -> BenchResult:
    """Measure in two minutes, more when photos are embedded for the first time."""
    folder = grocery.find()
    if folder is None or not featured.there(BACKBONE):
        missing = f"needs $SIGHTLINE_DATA/{grocery.FOLDER}, and the built models"
        return BenchResult((), {}, warnings=(f"NOT MEASURED: {missing}",))
    data = grocery.load(folder)
    say("features")
    judged = featured.heads(featured.backbone(JUDGE), data.validation.paths)
    scenes = grocery.scenes(judged, data.validation.products)
    found = measured(_photos(data), scenes, say)
    return BenchResult((table(found),), {"photo_clicks": plain(found)})


def _photos(data: Grocery) -> ClickPhotos:
    return ClickPhotos(
        _labelled(data, data.iconic, CATALOGUE, VIEWS),
        _labelled(data, data.train, SHOPPER, 1),
        _labelled(data, data.validation, SHOPPER, 1),
    )


def _labelled(data: Grocery, part: GroceryPhotos, kind: int, views: int) -> Labelled:
    model = featured.backbone(BACKBONE)
    return Labelled(
        features=featured.features(model, part.paths, model.recipe, views),
        kinds=np.full(len(part.paths), kind, np.int8),
        products=[f"{product:02d}" for product in part.products],
        groups=[str(place) for place in range(len(part.paths))],
        categories=[(data.categories[product],) for product in part.products],
    )


def measured(photos: ClickPhotos, clusters: Integers, say: Say) -> ClickFigures:
    """Refine the space by every way to click, and search with the queries."""
    shop = ClickShop(photos, fit(photos.studio, FitOptions(), SEED))
    found = ClickFigures(shop.hits(), {}, clusters)
    for draw in range(DRAWS):
        say(f"clicks: draw {draw + 1} of {DRAWS}")
        every = clicks(shop, max(COUNTS), draw)
        for name, made in _ways(shop, every, draw).items():
            learned = learn(made, shop.products)
            row = found.rows.setdefault(name, ClickRow())
            row.hits.append(shop.refined(learned).hits())
            row.right.append(right_share(shop, made))
            row.said.append(learned.gain)
    return found


def _ways(shop: ClickShop, every: Sequence[PhotoClick], draw: int) -> dict[str, list[PhotoClick]]:
    """Return the clicks of each row of the table."""
    return {f"{count} clicks": [*every[:count]] for count in COUNTS} | {
        f"{AMONG} clicks, and {count * MOST_OF_SHOPPER} of {count} made-up shoppers": [
            *every[:AMONG],
            *made_up(shop, count, draw),
        ]
        for count in MADE_UP
    }


def clicks(shop: ClickShop, count: int, seed: int) -> list[PhotoClick]:
    """Return the first clicks of shoppers in a random order, one of each who clicks. Raises
    ValueError if there are fewer than `count`."""
    draw = np.random.default_rng(seed)
    found = list[PhotoClick]()
    for row in draw.permutation(len(shop.searched)).tolist():
        listed = _listed(shop, row)
        if place := _place(listed, shop.photos.shoppers.products[row], draw):
            found.append(_click(shop, f"shopper {row}", row, place, len(found)))
        if len(found) == count:
            return found
    raise ValueError(f"{len(found)} shoppers click; {count} are needed")


def made_up(shop: ClickShop, count: int, seed: int) -> list[PhotoClick]:
    """Return the clicks of made-up shoppers, on products at places that weigh most, whatever a
    photo shows."""
    draw = np.random.default_rng((seed, count))
    found = list[PhotoClick]()
    for number in range(count):
        rows = draw.permutation(len(shop.searched))[:MOST_OF_SHOPPER].tolist()
        for row in rows:
            place = int(draw.integers(MOST_WEIGHT, min(LAST_PLACE, len(_listed(shop, row))) + 1))
            found.append(_click(shop, f"made up {number}", row, place, len(found)))
    return found


def _listed(shop: ClickShop, row: int) -> list[str]:
    """Return the answer to a shopper's search, without the places whose clicks are not used."""
    products = shop.products
    order = np.argsort(-(products.vectors @ shop.searched[row]), kind="stable")[:LAST_PLACE]
    return [products.product_ids[place] for place in order]


def _place(listed: Sequence[str], shown: str, draw: np.random.Generator) -> int:
    """Return the place that a shopper clicks, from 1; 0: none."""
    if draw.random() < CARELESS:
        return 1
    if shown not in listed:
        return 0
    place = listed.index(shown) + 1
    return place if draw.random() < 1 / place else 0


def _click(shop: ClickShop, actor: str, row: int, place: int, time: int) -> PhotoClick:
    vector = shop.searched[row].astype("<f4").tobytes()
    return PhotoClick(actor, _listed(shop, row)[place - 1], place, time, vector)


def right_share(shop: ClickShop, made: Sequence[PhotoClick]) -> float:
    """Return the share of clicks on the product that the photo shows."""
    shown = {
        row.astype("<f4").tobytes(): product
        for row, product in zip(shop.searched, shop.photos.shoppers.products, strict=True)
    }
    return float(np.mean([shown[one.vector] == one.product_id for one in made]))


# The report


def table(found: ClickFigures) -> BenchTable:
    """Return the table, a row for each way to click."""
    hit, top = (found.level(NONE, column).shown() for column in (0, 1))
    return BenchTable(
        "Clicks on searches by photo",
        ("clicks", "right", "hit@1", "gain", f"hit@{TOP}", "gain", "the evaluation says"),
        (
            (NONE, "", hit, "", top, "", ""),
            *((name, *_cells(found, name)) for name in found.rows),
        ),
        f"{len(found.before)} validation photos of groceries among products with one studio photo"
        f" each. Means of {DRAWS} draws of the clicks; gains are paired by query, with 95%"
        " intervals by the bootstrap over scenes. Right: share of clicks on the product that the"
        " photo shows. The evaluation: mean gain in hit@1 of clicks, and how many of the draws it"
        " calls better."
        f" Made-up shoppers each click {MOST_OF_SHOPPER} products at places {MOST_WEIGHT} to"
        f" {LAST_PLACE}.",
        section=None,
    )


def _cells(found: ClickFigures, name: str) -> tuple[str, ...]:
    row = found.rows[name]
    shown = (
        each
        for column in (0, 1)
        for each in (
            f"{found.level(name, column).value:.3f}",
            found.gain(name, column).shown(sign=True),
        )
    )
    said = statistics.mean([one.hit - one.baseline for one in row.said]).value
    better = sum(one.gain_low > 0 for one in row.said)
    return f"{np.mean(row.right):.0%}", *shown, f"{said:+.2f}; {better} of {len(row.said)}"


def plain(found: ClickFigures) -> dict[str, object]:
    """Return all figures, for programs."""
    names = ("hit@1", f"hit@{TOP}")
    levels = {
        name: {each: asdict(found.level(name, column)) for column, each in enumerate(names)}
        for name in (NONE, *found.rows)
    }
    more = {
        name: {
            **{
                f"{each}, gain": asdict(found.gain(name, column))
                for column, each in enumerate(names)
            },
            "right": row.right,
            "evaluation": [asdict(one) for one in row.said],
        }
        for name, row in found.rows.items()
    }
    return {name: levels[name] | more.get(name, {}) for name in levels}
