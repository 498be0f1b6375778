"""References of good pieces, and pieces compared with them, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.signals import Box


class ReferenceState(StrEnum):
    """State of a version of a reference."""

    UNKNOWN = "UNKNOWN"
    DRAFT = "DRAFT"
    """Photos that are not fitted yet."""
    CANDIDATE = "CANDIDATE"
    """Fitted, but not promoted."""
    SERVING = "SERVING"
    """Photos are compared with it."""
    RETIRED = "RETIRED"
    """Replaced by another version; it can be promoted again."""


class PieceVerdict(StrEnum):
    """Verdict on a piece."""

    UNKNOWN = "UNKNOWN"
    LIKE = "LIKE"
    UNLIKE = "UNLIKE"
    CANNOT_SAY = "CANNOT_SAY"
    """The reference allows no verdict; see ``InspectedPiece.doubt``."""


class VerdictDoubt(StrEnum):
    """Reason why there is no verdict."""

    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    """Add photos, or accept more false alarms."""
    PHOTOS_TOO_UNLIKE = "PHOTOS_TOO_UNLIKE"
    """Take all photos with one camera, at one place and distance."""


class ReferenceVerdict(StrEnum):
    """Verdict on a fitted version against the one that served."""

    UNKNOWN = "UNKNOWN"
    BETTER = "BETTER"
    """The whole interval of the gain is above 0."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval contains 0: too few photos to decide, or no difference."""
    WORSE = "WORSE"
    """The whole interval is below 0."""


@dataclass(frozen=True, slots=True)
class ReferenceFigures:
    """Figures of a version on given photos, at a false-alarm rate of 0.05."""

    separation: float
    """Share of pairs of a drawn defect and a good photo in which the defect scores higher."""
    false_alarms: float | None
    """Share of the good photos that are called unlike; None: too few photos."""
    threshold: float | None
    """None: too few photos."""
    threshold_low: float | None
    threshold_high: float | None
    """95% interval of the threshold; None: not determined by so few photos."""


@dataclass(frozen=True, slots=True)
class ReferenceEvaluation:
    """Comparison of a fitted version with the one that served, on good photos that the latter was
    not fitted on; the former is tested on each while it is left out."""

    verdict: ReferenceVerdict
    compared_version: str
    """Version that served."""
    photo_count: int
    """Good photos that both are tested on."""
    defect_count: int
    """Defects, drawn on these photos."""
    fitted: ReferenceFigures
    compared: ReferenceFigures
    gain_low: float
    gain_high: float
    """95% interval of the gain in separation."""


@dataclass(frozen=True, slots=True)
class InspectionReference:
    """A version of a reference, or its draft."""

    reference_id: str
    version: str
    """Empty: a draft."""
    state: ReferenceState
    product_id: str
    """Product that the pieces are; empty: none."""
    photo_count: int
    least_false_alarm_rate: float
    """Least false-alarm rate that it allows a verdict for; 0 for a draft."""
    separation: float
    """Share of drawn defects that score above good photos, 0 to 1; 0 for a draft."""
    size_bytes: int
    model: str
    """Model of the features."""
    create_time: datetime | None
    evaluation: ReferenceEvaluation | None = None
    """Comparison with the version that served at the fit; None: not compared."""


@dataclass(frozen=True, slots=True)
class AnomalousPart:
    """A part of a photo that is unlike the good photos."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class InspectedPiece:
    """A photo compared with a reference."""

    verdict: PieceVerdict
    doubt: VerdictDoubt | None
    """Reason why there is no verdict; None: there is one."""
    score: float
    """Score of the most anomalous part; 1 is the mean of good photos."""
    threshold: float | None
    """Score above which a piece is unlike; None: too few photos."""
    threshold_low: float | None
    threshold_high: float | None
    """95% interval of the threshold; None: not determined by so few photos."""
    p_value: float
    """Conformal p-value, above 0, at most 1."""
    false_alarm_rate: float
    """The asked one, or its default."""
    least_false_alarm_rate: float
    parts: tuple[AnomalousPart, ...]
    """Anomalous parts, the most anomalous first."""
    heat_map_png: bytes
    """The photo with anomalous parts coloured; empty unless requested."""
    reference_id: str
    version: str
    product_id: str
    """Product of the reference; empty: none."""
    request_id: str


@dataclass(frozen=True, slots=True)
class AddedPhotos:
    """Outcome of adding photos to a draft."""

    photo_count: int
    """Photos of the draft."""
    failures: tuple[tuple[int, str], ...]
    """Photos that were not added: index, from 0, and why."""
