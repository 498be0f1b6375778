"""Requests to peers and their responses, as values."""

from collections.abc import Mapping, Sequence

from gateway.model.diversity import Diversity
from gateway.model.query import Signal
from sightline_core.opaque_messages import (
    Classification,
    LabelLine,
    ProductRow,
    RecallEstimate,
    Vector,
)
from sightline_core.ranking import AppliedObjective
from sightline_core.versions import Freshness, SpaceVersion
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.photo_areas import PhotoArea


@fast_dataclass(frozen=True, slots=True)
class ReadLabel:
    """The texts in a photo."""

    lines: Sequence[LabelLine]
    """In reading order."""
    unsure: int
    """Number of further lines in the photo that were found and not read with confidence."""
    work: float | None


@fast_dataclass(frozen=True, slots=True)
class EmbeddedSignal:
    """A signal with its vector."""

    signal: Signal
    vector: Vector
    classification: Classification | None = None
    """Predicted categories of a photo; `None`: not requested, or without a classification head."""
    match_cosines: Sequence[float] = ()
    """Cosines to the nearest photo that shares of good matches stay below, as the fit of its space
    measured them; empty: not measured. See EmbedResult.match_cosines."""


@fast_dataclass(frozen=True, slots=True)
class EmbeddedRegions:
    """Objects in a photo, with their vectors, best first."""

    boxes: Sequence[PhotoArea]
    objectness: Sequence[float]
    vectors: Sequence[Vector]
    views: int
    """Number of embedded views: VIEWS_A_DETECTION for each object, less where some look alike."""
    work: float | None


@fast_dataclass(frozen=True, slots=True)
class HeatMap:
    """Similarity of two photos by region."""

    png: bytes
    similarity: float
    """Cosine."""
    unplaced: float
    """Part of the similarity without a position in the first photo."""
    space_version: str


@fast_dataclass(frozen=True, slots=True)
class IndexState:
    """State of a space in record and index; −1 if unknown."""

    products: int = 0
    indexed: int = 0
    pending: int = 0
    failed: int = 0
    space: SpaceVersion | None = None
    """`None` if it has no index generation."""
    freshness: Freshness | None = None
    recall: Sequence[RecallEstimate] = ()
    advice: str = ""


@fast_dataclass(frozen=True, slots=True)
class ReplayRules:
    """Rules by which a recorded answer is ranked again."""

    weights: Mapping[str, float]
    diversity: Diversity
    products: Sequence[ProductRow]
    """Current data of the candidates."""
    objective: AppliedObjective = AppliedObjective()  # frozen
    costs: bool = True
    """False: the candidates' costs are left out, because the caller may not read them."""
