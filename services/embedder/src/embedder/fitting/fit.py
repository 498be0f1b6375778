"""Fitting of a space to a catalog's labelled photos. Everything that depends on the photos (number
of dimensions, calibration of the head, penalty of the text map) is chosen in inner folds, on photos
outside the training of the map in question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    KINDS,
    SHOPPER,
    CategoryHead,
    FittedSpace,
    Floats,
    Labelled,
)
from embedder.fitting import folds
from embedder.fitting.calibration import calibrated
from embedder.fitting.components import Doubles, Rows, components
from embedder.fitting.discriminant import Shrinkage, directions
from embedder.fitting.folds import Integers
from embedder.fitting.head import Classes, Linear, classes_of, regression
from embedder.fitting.match_cosines import HeldPhotos, match_cosines
from embedder.fitting.nearest_photos import Booleans, averaged, cosines, hits
from embedder.fitting.text_map import fit_text_map

MAX_DIMENSION: Final = 256
INNER_FOLDS: Final = 3
SIZES: Final = (16, 32, 48, 64, 80, 96, 128, 192, MAX_DIMENSION)
"""Numbers of dimensions to try: the first ones of the same directions."""
_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Options of a fit."""

    max_dimension: int = MAX_DIMENSION
    """Maximum number of components of a vector, 1 to 256."""
    components: int = 768
    """Maximum number of principal components behind the directions."""
    shrinkage: Shrinkage = field(default_factory=Shrinkage)


def fit(data: Labelled, options: FitOptions, seed: int) -> FittedSpace:
    """Fit map, head and text map on all photos; equal seeds give equal spaces. Raises FitInvalid if
    the photos do not suffice.
    """
    check(data)
    return fit_rows(data, np.arange(len(data.products)), options, seed)


def check(data: Labelled) -> None:
    """Raise FitInvalid unless these are labelled photos of at least two products."""
    photos, views, width = data.features.shape
    labels = (data.kinds, data.products, data.groups, data.categories)
    if any(len(each) != photos for each in labels) or not views or not width:
        raise FitInvalid(f"each of the {photos} photos with features needs every kind of label")
    if (count := len(set(data.products))) < 2:
        raise FitInvalid(f"a space needs photos of at least two products; these show {count}")
    if not np.isin(data.kinds, range(KINDS)).all():
        raise FitInvalid("the kind of a photo must be 0 (a shopper's) or 1 (the catalog's)")
    for start in range(0, photos, _BLOCK):
        sound = np.isfinite(data.features[start : start + _BLOCK]).all(axis=(1, 2))
        if not sound.all():
            product = data.products[start + int(np.flatnonzero(~sound)[0])]
            raise FitInvalid(
                f"the backbone returns non-finite numbers for a photo of {product!r}: omit it"
            )
    if data.sentences is not None and not np.isfinite(data.sentences).all():
        raise FitInvalid("the text model returns non-finite numbers for a title")


def fit_rows(
    data: Labelled, rows: Rows, options: FitOptions, seed: int, *, texts: bool = True
) -> FittedSpace:
    """Fit on these photos only; `texts`: with a text map. Raises FitInvalid."""
    parts = components(data, rows, options.components)
    groups = folds.numbered([data.groups[row] for row in rows])
    photos = FitPhotos(
        points=parts.of(data, rows),
        kinds=data.kinds[rows],
        products=folds.numbered([data.products[row] for row in rows]),
        groups=groups,
        classes=classes_of([data.categories[row] for row in rows], groups),
    )
    if not parts.axes.shape[1] or photos.products.max() < 1:
        raise FitInvalid("a space needs at least two products whose photos differ")
    inner = Inner(photos, options, seed)
    turned = photos.directions(np.arange(len(rows)), options)[:, : inner.dimension()]
    text_map = None
    if texts and data.sentences is not None:
        looks = averaged(photos.points, turned)
        text_map = fit_text_map(data.sentences[rows], looks, photos.products, seed)
    return FittedSpace(
        means=parts.means,
        scales=parts.scales,
        projection=parts.axes @ turned,
        head=inner.head(turned),
        text_map=text_map,
    )


@dataclass(frozen=True, slots=True)
class FitPhotos:
    """The m training photos."""

    points: Floats
    """[m, views, p]."""
    kinds: npt.NDArray[np.int8]
    """[m]."""
    products: Integers
    """[m], from 0 without gaps; so are groups."""
    groups: Integers
    classes: Classes

    def directions(self, rows: Rows, options: FitOptions) -> Floats:
        """Fit the directions on some of the photos."""
        products = folds.numbered(self.products[rows].tolist())
        # A group of a picture under several products is an occasion of each.
        groups = self.groups[rows].tolist()
        occasions = folds.numbered([*zip(products.tolist(), groups, strict=True)])
        most = min(options.max_dimension, MAX_DIMENSION)
        return directions(self.points[rows], products, occasions, most, options.shrinkage)


@dataclass(frozen=True, slots=True)
class InnerHead:
    """Map and head of the photos outside an inner fold."""

    held: Booleans
    """[m]: the photos of the fold."""
    turned: Floats
    """[p, d]."""
    linear: Linear


class Inner:
    """Inner folds of the training photos: photos are measured with maps that were not fitted on
    them."""

    def __init__(self, photos: FitPhotos, options: FitOptions, seed: int) -> None:
        self._photos, self._options, self._seed = photos, options, seed
        self._folds = folds.dealt(photos.groups, photos.products, INNER_FOLDS, seed)
        self._maps = [self._without(self._folds == fold) for fold in range(INNER_FOLDS)]

    def dimension(self) -> int:
        """Return the largest number of dimensions whose 1-NN is within one standard error of the
        best (Breiman et al. 1984, 3.4.3). Photos of known products hardly tell the numbers apart;
        products that are newer than the fit need many (lab/research/photos.md).
        """
        widest = max((each.shape[1] for each in self._maps if each is not None), default=0)
        sizes = sorted({*(size for size in SIZES if size < widest), widest})
        found = {size: self._alike(size) for size in sizes if widest}
        if not widest or not len(found[widest]):
            return min(self._options.max_dimension, MAX_DIMENSION)
        best = max(found.values(), key=lambda each: float(each.mean()))
        least = best.mean() - best.std() / np.sqrt(len(best))
        return max(size for size, each in found.items() if each.mean() >= least)

    def head(self, turned: Floats) -> CategoryHead | None:
        """Return a head for the map [p, d] of all photos; None if there are too few categories."""
        photos, classes = self._photos, self._photos.classes
        if not classes.paths:
            return None
        vectors = averaged(photos.points, turned)
        made = _regression(vectors, classes, np.ones(len(vectors), bool))
        inner = self._heads(turned.shape[1])
        sure = calibrated(*self._known(inner), self._unseen(turned.shape[1]))
        return CategoryHead(
            categories=classes.paths,
            weights=np.asarray(made.weights / sure.temperature, np.float32),
            biases=np.asarray(made.biases / sure.temperature, np.float32),
            unknown=sure.unknown,
            match_cosines=self._match_cosines(inner),
        )

    def _without(self, held: Booleans) -> Floats | None:
        """Fit the directions on the photos that are not held out; None if they show a single
        product."""
        rest = np.flatnonzero(~held)
        if len(np.unique(self._photos.products[rest])) < 2:
            return None
        return self._photos.directions(rest, self._options)

    def _alike(self, size: int) -> npt.NDArray[np.float64]:
        """Return, for each photo whose product has another photo, whether its nearest photo is of
        the product (1 or 0)."""
        photos, found = self._photos, []
        for fold, turned in enumerate(self._maps):
            if turned is None:
                continue
            vectors, held = averaged(photos.points, turned[:, :size]), self._folds == fold
            asks = held & np.isin(photos.products, photos.products[~held])
            wanted, shown = photos.products[asks], photos.products[~held]
            found.append(hits(vectors[asks], wanted, vectors[~held], shown, 1).astype(float))
        return np.concatenate(found)

    def _heads(self, size: int) -> list[InnerHead]:
        """Return the map and the head of each fold whose other photos show two products."""
        photos, found = self._photos, []
        for fold, every in enumerate(self._maps):
            if every is not None:
                held, turned = self._folds == fold, every[:, :size]
                made = _regression(averaged(photos.points, turned), photos.classes, ~held)
                found.append(InnerHead(held, turned, made))
        return found

    def _known(self, heads: Sequence[InnerHead]) -> tuple[Doubles, Integers]:
        """Return the logits of the photos of each fold, by a head fitted on the other folds, and
        their classes."""
        points, numbers, found = self._photos.points, self._photos.classes.numbers, []
        for each in heads:
            asks = each.held & (numbers >= 0)
            if asks.any():
                vectors = averaged(points[asks], each.turned)
                found.append((each.linear.logits(vectors), numbers[asks]))
        logits, classes = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(classes)

    def _match_cosines(self, heads: Sequence[InnerHead]) -> Floats | None:
        """Return the cosines of good matches; None without a fold to measure them in."""
        if not heads:
            return None
        photos, counts = self._photos, range(1, self._photos.points.shape[1] + 1)
        near, seen, asked = [], [], []
        for each in heads:
            sold = ~each.held | (photos.kinds != SHOPPER)
            asks = ~sold & np.isin(photos.products, photos.products[sold])
            shown = averaged(photos.points[sold], each.turned)
            looks = [averaged(photos.points[asks, :count], each.turned) for count in counts]
            near.append(np.stack([_nearest(look, shown) for look in looks], axis=1))
            best = [each.linear.logits(look).argmax(axis=1) for look in looks]
            seen.append(np.stack(best, axis=1))
            asked.append(np.flatnonzero(asks))
        rows = np.concatenate(asked)
        held = HeldPhotos(
            np.concatenate(near),
            np.concatenate(seen),
            photos.classes.numbers[rows],
            self._folds[rows],
        )
        return match_cosines(held, len(photos.classes.paths))

    def _unseen(self, size: int) -> list[Doubles]:
        """Return logits of photos of categories that map and head were not trained on."""
        photos, classes, found = self._photos, self._photos.classes, []
        parts = np.random.default_rng(self._seed).permutation(len(classes.paths)) % INNER_FOLDS
        for part in range(INNER_FOLDS):
            hidden = np.flatnonzero(parts == part)
            held = np.isin(classes.numbers, hidden)
            turned = self._without(held)
            rest = classes.without(hidden)
            if turned is not None and len(rest.paths) > 1 and held.any():
                vectors = averaged(photos.points, turned[:, :size])
                found.append(_regression(vectors, rest, ~held).logits(vectors[held]))
        return found


def _regression(vectors: Floats, classes: Classes, rows: Booleans) -> Linear:
    used = rows & (classes.numbers >= 0)
    return regression(vectors[used], classes.numbers[used], len(classes.paths))


def _nearest(queries: Floats, photos: Floats) -> Doubles:
    """Return the cosine of each query to its nearest photo."""
    found = np.empty(len(queries))
    for block, near in cosines(queries, photos):
        found[block] = near.max(axis=1)
    return found
