"""Fitting of a space to a catalog's labelled photos. Everything that depends on the photos (number
of dimensions, calibration of the head, penalty of the text map) is chosen in inner folds, on photos
outside the training of the map in question.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from embedder.domain.errors import FitInvalid
from embedder.domain.fitted import (
    KINDS,
    CategoryHead,
    FittedSpace,
    Floats,
    Labelled,
    RefinedMap,
)
from embedder.fitting import folds
from embedder.fitting.calibration import calibrated
from embedder.fitting.components import Components, Doubles, Rows, components
from embedder.fitting.discriminant import Shrinkage, directions
from embedder.fitting.folds import Integers
from embedder.fitting.head import Classes, Linear, classes_of, regression
from embedder.fitting.nearest_photos import Booleans, averaged, hits
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
    refined: RefinedMap | None = None
    """A map that is used in place of a learned one; `None`: it is learned."""


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
    parts = _components(data, rows, options)
    groups = folds.numbered([data.groups[row] for row in rows])
    photos = FitPhotos(
        points=parts.of(data, rows),
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


def _components(data: Labelled, rows: Rows, options: FitOptions) -> Components:
    if (given := options.refined) is not None:
        return Components(given.means, given.scales, given.projection)
    return components(data, rows, options.components)


@dataclass(frozen=True, slots=True)
class FitPhotos:
    """The m training photos."""

    points: Floats
    """[m, views, p]."""
    products: Integers
    """[m], from 0 without gaps; so are groups."""
    groups: Integers
    classes: Classes

    def directions(self, rows: Rows, options: FitOptions) -> Floats:
        """Fit the directions on some of the photos; those of a refined map are given."""
        if options.refined is not None:
            return options.refined.matrix
        products = folds.numbered(self.products[rows].tolist())
        # A group of a picture under several products is an occasion of each.
        groups = self.groups[rows].tolist()
        occasions = folds.numbered([*zip(products.tolist(), groups, strict=True)])
        most = min(options.max_dimension, MAX_DIMENSION)
        return directions(self.points[rows], products, occasions, most, options.shrinkage)


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
        sure = calibrated(*self._known(turned.shape[1]), self._unseen(turned.shape[1]))
        return CategoryHead(
            categories=classes.paths,
            weights=np.asarray(made.weights / sure.temperature, np.float32),
            biases=np.asarray(made.biases / sure.temperature, np.float32),
            unknown=sure.unknown,
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

    def _recognised(
        self, classes: Classes, held: Booleans, turned: Floats, asks: Booleans
    ) -> tuple[Doubles, Integers]:
        """Return the logits of the query photos, by a head fitted on the photos not held out, and
        their classes."""
        vectors = averaged(self._photos.points, turned)
        made = _regression(vectors, classes, ~held)
        return made.logits(vectors[asks]), classes.numbers[asks]

    def _known(self, size: int) -> tuple[Doubles, Integers]:
        """Return the logits of the photos of each fold, by a head fitted on the other folds, and
        their classes."""
        classes, found = self._photos.classes, []
        for fold, turned in enumerate(self._maps):
            held = self._folds == fold
            asks = held & (classes.numbers >= 0)
            if turned is not None and asks.any():
                found.append(self._recognised(classes, held, turned[:, :size], asks))
        logits, numbers = zip(*found, strict=True)
        return np.concatenate(logits), np.concatenate(numbers)

    def _unseen(self, size: int) -> list[Doubles]:
        """Return logits of photos of categories that map and head were not trained on."""
        classes, found = self._photos.classes, []
        parts = np.random.default_rng(self._seed).permutation(len(classes.paths)) % INNER_FOLDS
        for part in range(INNER_FOLDS):
            hidden = np.flatnonzero(parts == part)
            held = np.isin(classes.numbers, hidden)
            turned = self._without(held)
            rest = classes.without(hidden)
            if turned is not None and len(rest.paths) > 1 and held.any():
                found.append(self._recognised(rest, held, turned[:, :size], held)[0])
        return found


def _regression(vectors: Floats, classes: Classes, rows: Booleans) -> Linear:
    used = rows & (classes.numbers >= 0)
    return regression(vectors[used], classes.numbers[used], len(classes.paths))
