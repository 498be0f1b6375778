"""A model, as served and as recorded."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ranker.domain.arrays import Doubles, Floats, Ints, Neighbours
from ranker.domain.content import Content
from ranker.domain.events import EventType
from ranker.domain.features import vocabulary_in

T = TypeVar("T")

MOST_KEPT = 64
"""Values that are kept of a model for requests, such as those of each scene's weights."""

TRAIN, EVALUATE, UNLEARN = "train", "evaluate", "unlearn"
"""Kinds of jobs that train and evaluate a model, and that subtract erased shoppers from models."""


@dataclass(frozen=True, slots=True)
class EvaluatePlan:
    """Parameters of an evaluation."""

    model_version: str


class ModelVerdict(StrEnum):
    """Verdict of an evaluation. The names are stored."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class ProductFeatures:
    """Features of each product, for display: the rows of a sparse matrix of ones (CSR), read-only.

    The features of product i are ``names[features[starts[i]:starts[i + 1]]]``.
    """

    names: tuple[str, ...]
    """Sorted; ``kind=value`` as named by features.py, without ids and axes of the style, and
    ``look=<product id>``: the most typical product of a group that looks similar."""
    starts: Ints
    """(products + 1,)"""
    features: npt.NDArray[np.int32]
    """(features of all,) indexes into `names`, ascending within a product"""
    shares: Floats
    """(names,) share of all shoppers' interest in products with the feature, 0 to 1"""


@dataclass(frozen=True, slots=True)
class ShopperSegments:
    """Groups of shoppers with similar interests, largest first. Arrays are read-only.

    A shopper's interests are the weighted mean of the vectors of liked products. The shopper
    belongs to the group whose centroid has the largest inner product with that mean minus `mean`.
    """

    mean: Floats
    """(dimension,) mean interests of all shoppers"""
    centroids: Floats
    """(segments, dimension) unit vectors"""
    shares: Floats
    """(segments,) share of the shoppers in training; they add up to 1"""
    strengths: Floats
    """(segments, names of `ProductFeatures`) strength of each group's affinity for a feature, 0 to
    1; see serving/profiles/affinities.py"""
    silhouette: float
    """Mean silhouette: separation of the groups, −1 to 1 (Rousseeuw 1987)"""


@dataclass(frozen=True, slots=True)
class Looks:
    """Contribution of photos to the vector of a product without interests in training, by their
    distance to photos of liked products (learning/training/photo_vectors.py)."""

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
    """Probability of an event as an increasing, piecewise linear function of the raw score."""

    event: EventType
    """Event whose probability is predicted."""
    raw_scores: Doubles
    """(knots,) ascending"""
    chances: Doubles
    """(knots,) 0 to 1, non-decreasing; the first and last also apply beyond their scores"""
    sample_count: int
    """Number of impressions behind it."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Model:
    """A trained model in serving form. Arrays are read-only and C-contiguous.

    The score of product i for a shopper q is ``item_vectors[i] @ q + item_biases[i]``. A product's
    vector is the sum of its features' vectors, and its bias the sum of their biases (Kula 2015,
    arXiv 1507.08439). The shopper's own bias is omitted: it does not affect the order and costs
    precision.
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
    """99th percentile of the absolute behavioural scores in training, by which scores are divided.
    """
    attribute_keys: tuple[str, ...]
    """Attributes used as features."""
    neighbours: Mapping[str, Neighbours] = field(default_factory=dict)
    """By part of BY_NEIGHBOURS that was learned: weights of pairs; row j holds those of other
    products given product j."""
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    """By part of BY_NUMBER that was learned: (items,)."""
    popularity: Floats | None = None
    """(items,) decayed count as a share of the most popular product's at the end of training, 0 to
    1."""
    styles: Floats | None = None
    """(items, style dimension) visual style, scaled as in training; a NaN row has no photo."""
    style_mean: Floats | None = None
    """(vector dimension,) mean of the products' photo vectors"""
    style_axes: Floats | None = None
    """(style dimension, vector dimension) ``style = style_axes @ (vector - style_mean)``"""
    style_space: str = ""
    """Version of the visual space of style and looks; empty if there is neither."""
    looks: Looks | None = None
    """`None` if photos do not predict taste, or the model was trained before 0.14."""
    content: Content | None = None
    """Prediction from the features of products without likes; `None` if features predict nothing,
    or the model was trained before 0.22."""
    actor_contents: Floats | None = None
    """(actors, width of `content`): vectors of the trained shoppers by all that they like"""
    part_scales: Mapping[str, float] = field(default_factory=dict)
    """Divisor of each part's scores, which brings parts to one size. Missing: score_scale for taste
    and session, 1 for others."""
    blend: Mapping[str, float] = field(default_factory=dict)
    """Weight of each part after that; empty: Blend's default."""
    newcomers: Mapping[str, float] = field(default_factory=dict)
    """Weights by part instead of those of the blend, for shoppers with few or no events who were
    not in training; empty: trained before 0.40."""
    returning: Mapping[str, float] = field(default_factory=dict)
    """Weights by part for trained shoppers whose last products have faded; empty: trained before
    0.40."""
    calibration: Calibration | None = None
    """`None` if there were too few impressions; answers then have no calibrated score."""
    purchases: Calibration | None = None
    """Probability of a purchase, as `calibration`; `None` if there were too few purchases."""
    purchases_per_click: float = 0.0
    """Purchases for each click of shown products; 0 if there were too few."""
    examination: tuple[float, ...] = ()
    """Probability that a place is examined, relative to the first, for each place from 1; the last
    one also applies beyond. Empty if it was not learned."""
    product_features: ProductFeatures | None = None
    """Features of each product; `None` if trained before profiles existed."""
    segments: ShopperSegments | None = None
    """Groups of shoppers; `None` if there were too few shoppers."""
    shopper_feature_names: tuple[str, ...] = ()
    """Features shared by shoppers, such as ``age_band=25-34``, without their ids."""
    shopper_feature_rows: Mapping[str, int] = field(default_factory=dict)
    """Row of each feature in `shopper_feature_vectors`."""
    shopper_feature_vectors: Floats | None = None
    """(shopper features, dimension): a new shopper's vector is the sum of theirs, as in training.
    """
    item_features: Neighbours | None = None
    """Composition of each product's vector: for row i, rows of `feature_vectors` with their
    weights. Features without a learned vector are omitted."""
    manifest_sha256: str = ""
    """Hash of the files that it was read from; empty if it was not. It changes when a shopper is
    erased."""
    item_columns: Floats | None = None
    """(dimension + 1, items) transposed `item_vectors`, then `item_biases`; not stored: see
    parts.by_columns"""
    vocabulary: frozenset[str] = field(init=False, repr=False, compare=False)
    """Words of titles among `feature_names`; empty if trained without them, or before 0.30."""
    kept: dict[Hashable, Any] = field(init=False, repr=False, compare=False, default_factory=dict)
    """Results of `once`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", vocabulary_in(self.feature_names))

    def once(self, key: Hashable, compute: Callable[..., T], *given: Any) -> T:
        """Return what `compute` returns for this key, computed once while the model is in use; of
        more than MOST_KEPT keys, some are computed again."""
        found: T | None = self.kept.get(key)
        if found is None:
            if len(self.kept) >= MOST_KEPT:
                self.kept.clear()
            found = self.kept[key] = compute(*given)
        return found


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as recorded in SQL."""

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
    """When it was last promoted, microseconds since 1970 (UTC); `None` if never."""
    serving: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    """Training data of the manifest: "recipe" (recipe.py), "served_blend" (the
    recipe's, or the one learned from impressions), "ablation" (a list of additions,
    learning/training/ablation.py), "base" (version from which it continued; empty if none),
    "trials" (number of recipes tried), "read_micros", and INPUTS. Empty for models of older
    releases."""
    verdict: ModelVerdict | None = None
    """Verdict of its newest evaluation; `None` if not evaluated."""
    verdict_summary: str = ""
    """Reasons for the verdict."""
    compared_with: str = ""
    """Version that served when it was evaluated; empty if none or not evaluated."""
    forced: bool = False
    """True if its last promotion was forced."""
    pruned_micros: int | None = None
    """When its files were deleted, microseconds since 1970 (UTC); `None` if they exist."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Catalog, version and manifest hash, which identify the files."""
        return self.catalog_id, self.version, self.manifest_sha256

    @property
    def read_micros(self) -> int:
        """When its events were read, microseconds since 1970 (UTC): it learned from no shopper who
        was erased before. That of its base, if it continued from one; 0 if unknown."""
        return int(self.training.get("read_micros", 0))


INPUTS = "inputs"
"""Entry of a model's training: digest of what it learned from (learning/training/unchanged.py),
until a shopper is removed from its files."""

ROBOTS_METRIC = "robots"
"""Name of a model's metric: number of its shoppers classified as robots; omitted if 0."""

UNMATCHED_METRIC = "unmatched_events"
"""Name of a model's metric: number of its training's events whose products the catalog does not
have, usually for ids of another system; omitted if 0."""


@dataclass(frozen=True, slots=True)
class ModelMetric:
    """A quality figure of a model."""

    name: str
    value: float
    sample_count: int
    """Number of shoppers."""
