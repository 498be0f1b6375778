"""Scenes: named configurations of answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from gateway.model.controls import ControlRule, consistent
from gateway.model.diversity import Diversity, Share
from gateway.model.match import Thresholds
from gateway.model.quality import NamedQuality, Quality
from sightline_core.branch import BRANCHES, BY_HISTORY, SCORED, WEIGHED, Branch
from sightline_core.parts import BEHAVIOUR, NUMBERS
from sightline_core.ranking import AnchorSource, AppliedObjective, Objective
from sightline_rules.categories import MAX_LEVELS


class Fusion(StrEnum):
    """How several signals of one branch are combined."""

    RANK = "rank"
    """Each signal is searched separately, and the lists are fused by rank."""
    VECTOR = "vector"
    """Positive signals are combined into one vector of the space and searched once."""


Part = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

_FILES = ConfigDict(extra="forbid")

KEPT_SCENES = 1_024
"""Scenes of which what follows from their files is kept."""

LABELS_PART = 0.3
"""Default weight of the part `labels` (`python -m lab labels`)."""

LABELS_WEIGHT = 0.5
"""Weight of the branch `labels` in the fusion, where a request has labels read and its scene gives
the branch no weight."""

ATTRIBUTE = "attribute."
"""Prefix of parts by number attributes."""

AFFINITY = "affinity"
"""Part of a raw score by the categories and brands of a shopper's last products."""


def _each_branch(weights: Mapping[Branch, float]) -> Mapping[Branch, float]:
    if unknown := weights.keys() - set(WEIGHED):
        raise ValueError(
            f"{sorted(map(str, unknown))} have no weight; there are {list(map(str, WEIGHED))}"
        )
    return {branch: weights.get(branch, BRANCHES[branch].usual) for branch in WEIGHED}


PARTS = frozenset({*SCORED, Branch.COLLABORATIVE, Branch.GIVEN, AFFINITY, *NUMBERS, *BEHAVIOUR})
"""Parts of raw scores, beside those by number attributes."""


def _known_parts(weights: Mapping[str, float]) -> Mapping[str, float]:
    unknown = [part for part in weights if part not in PARTS and not part.startswith(ATTRIBUTE)]
    if unknown:
        parts = [*sorted(map(str, PARTS)), f"{ATTRIBUTE}NAME"]
        raise ValueError(f"unknown parts {sorted(unknown)}; there are {parts}")
    return weights


Parts = Annotated[Mapping[str, Weight], AfterValidator(_known_parts)]


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class Budgets:
    """Share of a request's time at which each stage must end, 0 to 1, ascending."""

    embed: Part = 0.5
    candidates: Part = 0.65
    fallback: Part = 0.8
    rank: Part = 0.9
    hydrate: Part = 0.95

    def __post_init__(self) -> None:
        if not self.embed <= self.candidates <= self.fallback <= self.rank:
            raise ValueError("must rise: embed ≤ candidates ≤ fallback ≤ rank")


Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class AttributeScale:
    """Numbers of an attribute that are 0 and 1 as a part of the raw score."""

    least: Number
    most: Number

    def __post_init__(self) -> None:
        if not self.least < self.most:
            raise ValueError("least must be below most")


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class NumberScales:
    """Scales of the parts of raw scores by numbers of a product."""

    usual_rating: Annotated[float, Field(ge=0, le=5)] = 4.0
    usual_rating_count: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Number of ratings of `usual_rating` that each rating is averaged with."""
    plenty_of_stock: Annotated[int, Field(ge=1, le=1_000_000_000)] = 20
    attributes: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,54}$")], AttributeScale],
        Field(max_length=8),
    ] = field(default_factory=dict)
    """By attribute."""


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class SceneRanking:
    """Ranking of a scene."""

    model: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]{1,64})?$")] = ""
    """Version of the ranking model; empty: the promoted one."""


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class Scene:
    """A named configuration of answers from a file; scenes/default.toml documents each entry."""

    name: str
    version: str
    """Hash of the content."""
    objective: Objective = Objective.UNSPECIFIED
    """In reports; affects the order by `objective_strength`."""
    objective_strength: Share = 0.0
    """0: the objective is a label; 1: products are ordered by their expected values."""
    over_fetch: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 5.0
    least_candidates: Annotated[int, Field(ge=1, le=1000)] = 100
    most_candidates: Annotated[int, Field(ge=1, le=2000)] = 1000
    buyable_only: bool = True
    drop_seen: bool = False
    min_quality: Annotated[float, Field(ge=0, le=1)] = 0.0
    min_answer_quality: NamedQuality = Quality.ANY
    popular_fallback: bool = True
    new_fallback: bool = True
    new_candidates: bool = False
    """If true, products of the last `exploration_days` are candidates for a shopper without
    signals, so that products that no model knows are ranked by their features."""
    branches: Annotated[Mapping[Branch, Weight], AfterValidator(_each_branch)] = field(
        default_factory=lambda: _each_branch({})
    )
    """Weight of each branch in the fusion; 0 disables it."""
    parts_with_signals: Parts = field(default_factory=lambda: {"visual": 1.0})
    """Weight of each part of the raw score if the signals supplied candidates."""
    parts_without_signals: Parts = field(default_factory=lambda: dict.fromkeys(BEHAVIOUR, 1.0))
    """Weight of each part of the raw score if they did not."""
    parts_with_history: Parts = field(default_factory=dict)
    """Weight of each part of the raw score, and of BY_HISTORY in the fusion, if a request names
    nothing but a shopper with whom no model was trained: their last products find others, beside a
    model by counts alone. Empty: unused."""
    numbers: NumberScales = field(default_factory=NumberScales)
    ranking: SceneRanking = field(default_factory=SceneRanking)
    budgets: Budgets = field(default_factory=Budgets)
    diversity: Diversity = field(default_factory=Diversity)
    match: Thresholds = field(default_factory=Thresholds)
    fusion: Fusion = Fusion.VECTOR
    """How several signals of one branch are combined."""
    views: Annotated[int, Field(ge=0, le=4)] = 0
    """Number of views of each photo that are embedded and averaged, 1 to 4; 0: the space's default.
    """
    category_weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """Weight of the category that a photo shows, against the cosine; 0 disables it. See
    retrieval/category_fit.py."""
    record_photo_vectors: bool = False
    """Without effect since 0.40, which records no vectors; files of before may have it."""
    controls: Annotated[tuple[ControlRule, ...], AfterValidator(consistent)] = ()
    anchors_from: AnchorSource = AnchorSource.REQUEST
    anchors_look_alike: bool = False
    """If true, the first anchors are also searched by visual similarity."""
    answer_anchors: bool = False
    """If true, anchors may be part of the answer."""
    other_categories: Annotated[int, Field(ge=0, le=MAX_LEVELS)] = 0
    """Exclude the anchors' categories, truncated to this level of their paths; 0 disables this."""
    followed_attribute: Annotated[str, Field(pattern=r"^([a-z0-9_.-]{1,64})?$")] = ""
    """Attribute whose values a request's `followed` contains; empty: `followed` is rejected."""
    half_life_hours: Annotated[float, Field(gt=0, le=87_600, allow_inf_nan=False)] = 168.0
    """Time in hours after which a product's freshness has halved."""

    # Plans are kept by the object: its mappings can't be hashed.
    __hash__ = object.__hash__

    @property
    def parts_by_signals(self) -> Mapping[str, float]:
        """Weight of each part of the raw score if the signals supplied candidates, also of labels,
        which have one where their branch is used."""
        if self.branches[Branch.LABELS] > 0:
            return {Branch.LABELS: LABELS_PART, **self.parts_with_signals}
        return self.parts_with_signals

    @property
    def branches_by_history(self) -> Mapping[Branch, float]:
        """Weight of each branch in the fusion if the shopper's last products find others."""
        return _by_history(self)

    @property
    def reading_labels(self) -> "Scene":
        """The scene, with a weight for the branch `labels`."""
        if self.branches[Branch.LABELS] > 0:
            return self
        return replace(self, branches={**self.branches, Branch.LABELS: LABELS_WEIGHT})

    @property
    def used(self) -> frozenset[Branch]:
        """The branches that have a weight."""
        return _used(self)

    @property
    def applied_objective(self) -> AppliedObjective:
        """The objective as it affects the order."""
        return _objective(self)

    @property
    def labels(self) -> Mapping[str, str]:
        """Fields of an answer's Versions that describe its scene."""
        return {"scene": self.name, "scene_version": self.version, "objective": self.objective}


@dataclass(frozen=True, slots=True)
class SceneInUse:
    """A scene, and what it was read from."""

    scene: Scene
    text: str
    number: int = 0
    """Published version of the record; 0: a file."""


@dataclass(frozen=True, slots=True)
class PublishedScene:
    """A published version of the record."""

    name: str
    number: int
    toml: str


@dataclass(frozen=True, slots=True)
class PublishedScenes:
    """The published versions of a catalog."""

    scenes: Sequence[PublishedScene]
    planned_micros: int = 0
    """When the next planned version is published (UTC); 0: none is planned."""


@lru_cache(KEPT_SCENES)
def _used(scene: Scene) -> frozenset[Branch]:
    return frozenset([branch for branch, weight in scene.branches.items() if weight > 0])


@lru_cache(KEPT_SCENES)
def _by_history(scene: Scene) -> Mapping[Branch, float]:
    weights = {branch: scene.parts_with_history.get(branch, 0.0) for branch in BY_HISTORY}
    return MappingProxyType({**scene.branches, **weights})


@lru_cache(KEPT_SCENES)
def _objective(scene: Scene) -> AppliedObjective:
    return AppliedObjective(scene.objective, scene.objective_strength)
