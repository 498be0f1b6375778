"""A model, as it is served and as the record knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Floats, Ints, Neighbours
from ranker.domain.events import EventType

TRAIN, EVALUATE = "train", "evaluate"
"""Kinds of jobs that make a model and measure one."""


class ModelVerdict(StrEnum):
    """What the evidence says of serving a model. The names are stored."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class ProductFeatures:
    """What each product is, to show people: the rows of a sparse matrix of ones (CSR),
    read-only.

    The features of product i are ``names[features[starts[i]:starts[i + 1]]]``.
    """

    names: tuple[str, ...]
    """Sorted; ``kind=value`` as features.py names them, without ids and axes of the style, and
    ``look=<product id>``: the most typical product of a group that looks alike."""
    starts: Ints
    """(products + 1,)"""
    features: npt.NDArray[np.int32]
    """(features of all,) places in `names`, rising within a product"""
    shares: Floats
    """(names,) share of all shoppers' interest that went to products with the feature, 0 to 1"""


@dataclass(frozen=True, slots=True)
class ShopperSegments:
    """Groups of shoppers with like interests, the largest first. Arrays are read-only.

    A shopper's interests are the mean of the vectors of the products they like, weighed by how
    much; they are of the group whose centroid has the largest inner product with that less `mean`.
    """

    mean: Floats
    """(dimension,) of the interests of all shoppers"""
    centroids: Floats
    """(segments, dimension) unit vectors"""
    shares: Floats
    """(segments,) of the shoppers in training, adding up to 1"""
    strengths: Floats
    """(segments, names of `ProductFeatures`) how much more each group likes a feature than all do,
    0 to 1; see serving/profiles/affinities.py"""
    silhouette: float
    """How clearly the groups stand apart, −1 to 1 (Rousseeuw 1987)"""


@dataclass(frozen=True, slots=True)
class Looks:
    """What a photo adds to the vector of a product that nobody liked in training: by how near it is
    to photos of products that were liked (learning/training/looks.py)."""

    photos: Floats
    """(landmarks, vector dimension)"""
    effects: Floats
    """(landmarks, dimension)"""
    offset: Floats
    """(dimension,)"""
    width: float
    """Squared distance at which nearness falls to 1/e."""

    def near(self, vectors: Floats) -> Floats:
        """Return nearness to the landmarks, (n, landmarks), 0 to 1, of (n, vector dimension)."""
        squares = (vectors**2).sum(axis=1)[:, None] + (self.photos**2).sum(axis=1)
        distances = np.maximum(squares - 2 * (vectors @ self.photos.T), 0)
        found: Floats = np.exp(distances / -np.float32(self.width))
        return found

    def of(self, vectors: Floats) -> Floats:
        """Return the effects of these vectors' looks, (n, dimension)."""
        found: Floats = self.near(vectors) @ self.effects - self.offset
        return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """The chance of an event as a rising, piecewise linear function of the raw score."""

    event: EventType
    """Of which event the chance is."""
    raw_scores: Doubles
    """(knots,) rising"""
    chances: Doubles
    """(knots,) 0 to 1, not falling; the first and last also hold beyond their scores"""
    sample_count: int
    """Impressions it rests on."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model as it is served. Arrays are read-only and C-contiguous.

    The score of product i for a shopper q is ``item_vectors[i] @ q + item_biases[i]``; a product's
    vector is the sum of its features' vectors, its bias the sum of their biases (Kula 2015,
    arXiv 1507.08439). The shopper's own bias is left out: it moves no order and costs precision.
    """

    version: str
    item_ids: tuple[str, ...]
    """Sorted."""
    item_rows: Mapping[str, int]
    """Row of each product in `item_vectors`."""
    item_vectors: Floats
    """(items, dimension)"""
    item_biases: Floats
    """(items,)"""
    actor_rows: Mapping[str, int]
    """Row of each trained shopper's pseudonym in `actor_vectors`."""
    actor_vectors: Floats
    """(actors, dimension)"""
    feature_rows: Mapping[str, int]
    """Row of each trained feature in `feature_vectors`."""
    feature_names: tuple[str, ...]
    feature_vectors: Floats
    """(features, dimension)"""
    feature_biases: Floats
    """(features,)"""
    score_scale: float
    """99th percentile of the size of behavioural scores in training; divides them."""
    attribute_keys: tuple[str, ...]
    """Attributes that were made features."""
    item_item: Neighbours | None = None
    """Products that people like who like this one; row j holds what an affinity of j says."""
    bought_together: Neighbours | None = None
    """Products that are bought with this one."""
    popularity: Floats | None = None
    """(items,) share of the most popular one's decayed count at the end of training, 0 to 1."""
    trend: Floats | None = None
    """(items,) base-2 logarithm of the last weeks' popularity over the time before; 0 = steady."""
    styles: Floats | None = None
    """(items, style dimension) the visual style, scaled as in training; NaN row = no photo."""
    style_mean: Floats | None = None
    """(vector dimension,) of the products' photo vectors"""
    style_axes: Floats | None = None
    """(style dimension, vector dimension) ``style = style_axes @ (vector - style_mean)``"""
    style_space: str = ""
    """Version of the visual space that style and looks were learned in; empty = neither."""
    looks: Looks | None = None
    """None = photos say nothing of taste, or it was trained before 0.14."""
    part_scales: Mapping[str, float] = field(default_factory=dict)
    """By part what its scores are divided by, so that parts are of one size; absent = score_scale
    for taste and session, 1 for others."""
    blend: Mapping[str, float] = field(default_factory=dict)
    """By part how much it counts after that; empty = Blend's default."""
    calibration: Calibration | None = None
    """None = too few impressions yet: answers have no calibrated score."""
    product_features: ProductFeatures | None = None
    """What each product is; None = trained before profiles were known."""
    segments: ShopperSegments | None = None
    """Groups of shoppers; None = too few for groups."""
    shopper_feature_names: tuple[str, ...] = ()
    """Features that shoppers share, such as ``age_band=25-34``; their ids are not among them."""
    shopper_feature_rows: Mapping[str, int] = field(default_factory=dict)
    """Row of each in `shopper_feature_vectors`."""
    shopper_feature_vectors: Floats | None = None
    """(shopper features, dimension): the sum of a newcomer's is their vector, as in training."""
    item_features: Neighbours | None = None
    """What each product's vector is the sum of: for row i, rows of `feature_vectors` and how much
    of each. Features that training did not learn are left out."""
    item_columns: Floats | None = None
    """(dimension + 1, items) `item_vectors` the other way round, then `item_biases`; in no file:
    see parts.by_columns"""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as the record knows it."""

    catalog_id: str
    version: str
    manifest_sha256: str
    trained_micros: int
    event_count: int
    shopper_count: int
    product_count: int
    first_event_micros: int
    last_event_micros: int
    metrics: tuple["ModelMetric", ...]
    promoted_micros: int | None = None
    """When it was last promoted; None = never."""
    serving: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says of its training: "recipe" (recipe.py), "ablation" (a list of
    additions, learning/training/ablation.py), "base" (the version it went on from; empty = none)
    and "trials" (how many recipes were tried). Empty = trained by an older release."""
    verdict: ModelVerdict | None = None
    """Of its newest evaluation; None = not evaluated."""
    verdict_summary: str = ""
    """Why."""
    compared_with: str = ""
    """The version that served when it was evaluated; empty = none, or not evaluated."""
    forced: bool = False
    """Whether its last promotion was forced."""
    pruned_micros: int | None = None
    """When its files were deleted; None = they are there."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What its files are read by."""
        return self.catalog_id, self.version, self.manifest_sha256


ROBOTS_METRIC = "robots"
"""Of a model: how many of its shoppers were taken for robots; left out if there are none."""


@dataclass(frozen=True, slots=True)
class ModelMetric:
    """A figure of a model's quality."""

    name: str
    value: float
    sample_count: int
    """People it rests on."""
