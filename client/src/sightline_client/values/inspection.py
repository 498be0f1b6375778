"""References of good pieces, and pieces compared with them, as plain values.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.signals import Box


class ReferenceState(StrEnum):
    """State of a version."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    DRAFT = "DRAFT"
    """Photos that are not fitted yet. It has no version."""
    CANDIDATE = "CANDIDATE"
    """Fitted, but not promoted. No photo is compared with it unless the request names its
    version."""
    SERVING = "SERVING"
    """Photos are compared with it."""
    RETIRED = "RETIRED"
    """Replaced by another version."""


class PieceVerdict(StrEnum):
    """Verdict on the piece."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    LIKE = "LIKE"
    """The score is not above the threshold: as unlike as good pieces are."""
    UNLIKE = "UNLIKE"
    """The score is above the threshold: at most ``false_alarm_rate`` of the good pieces score that
    high."""
    CANNOT_SAY = "CANNOT_SAY"
    """The reference allows no verdict; see ``doubt``."""


class VerdictDoubt(StrEnum):
    """Reason why there is no verdict."""

    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    """The reference has too few photos for the false-alarm rate: see ``least_false_alarm_rate``."""
    PHOTOS_TOO_UNLIKE = "PHOTOS_TOO_UNLIKE"
    """The photos of the reference are too unlike one another: defects drawn on them are not told
    from good photos."""


class ReferenceVerdict(StrEnum):
    """Whether the fitted version is better than the one that served."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    BETTER = "BETTER"
    """The whole interval of the gain in separation is above 0."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """The interval contains 0: too few photos to decide, or no difference. It may be promoted."""
    WORSE = "WORSE"
    """The whole interval is below 0. It is promoted only with ``force``, as long as the same
    version serves."""


@dataclass(frozen=True, slots=True)
class ReferenceFigures:
    """Figures of a version of a reference on given photos."""

    separation: float
    """Area under the ROC curve: the share of pairs of a drawn defect and a good photo in which the
    defect has the higher score, 0 to 1."""
    false_alarms: float | None
    """Share of the good photos that are called unlike at a false-alarm rate of 0.05. None if the
    version has fewer than 19 photos."""
    threshold: float | None
    """Threshold at that rate, as in InspectResponse. None if the version has fewer than 19
    photos."""
    threshold_low: float | None
    """Lower bound of the 95% interval of the threshold. None if the photos do not determine it."""
    threshold_high: float | None
    """Upper bound of the same interval. None if the photos do not determine it."""


@dataclass(frozen=True, slots=True)
class AnomalousPart:
    """A part of a photo that is unlike the good photos."""

    box: Box
    """The rectangle."""
    score: float
    """Highest score of its positions, as ``InspectResponse.score``."""


@dataclass(frozen=True, slots=True)
class ReferenceEvaluation:
    """Comparison of a version of a reference with the one that served at its fit. Both are tested
    on the good photos of the fit that the serving version was not fitted on, and on defects drawn
    on them. The fitted version is tested on each photo while it is left out."""

    verdict: ReferenceVerdict
    """Whether the fitted version is better than the one that served."""
    compared_version: str
    """Version that served."""
    photo_count: int
    """Number of good photos that both are tested on, 10 to 500."""
    defect_count: int
    """Number of drawn defects that both are tested on, at most 60."""
    fitted: ReferenceFigures
    """Figures of the fitted version."""
    compared: ReferenceFigures
    """Figures of the version that served."""
    gain_low: float
    """Lower bound of the 95% interval of the gain: separation of the fitted version less that of
    the other, −1 to 1, by resampling the photos."""
    gain_high: float
    """Upper bound of the same interval."""


@dataclass(frozen=True, slots=True)
class InspectedPiece:
    """Comparison of a photo with a reference."""

    verdict: PieceVerdict
    doubt: VerdictDoubt | None
    """Reason for CANNOT_SAY."""
    score: float
    """Anomaly score of the photo: that of its most anomalous part. 1 is the mean of good photos."""
    threshold: float | None
    """Score above which a piece is unlike at this false-alarm rate. None with TOO_FEW_PHOTOS."""
    threshold_low: float | None
    """Lower bound of the 95% interval of the threshold that endlessly many good photos would give,
    by the order of the scores alone. None if the photos do not determine it."""
    threshold_high: float | None
    """Upper bound of the same interval. None if the photos do not determine it."""
    p_value: float
    """Conformal p-value, above 0, at most 1: a good piece has one this small with at most this
    probability."""
    false_alarm_rate: float
    """The false-alarm rate of the request, or its default."""
    least_false_alarm_rate: float
    """Least false-alarm rate that the reference allows a verdict for."""
    parts: tuple[AnomalousPart, ...]
    """Anomalous parts, the most anomalous first, at most 10: rectangles of the photo whose scores
    are above the threshold. Empty unless the verdict is UNLIKE."""
    heat_map_png: bytes
    """The photo as the model sees it, with the anomalous parts coloured (PNG). Empty unless
    requested."""
    reference_id: str
    """Name of the reference."""
    version: str
    """Version of the reference."""
    product_id: str
    """Product of the reference. Empty: none."""
    request_id: str
    """Id of this request in logs."""


@dataclass(frozen=True, slots=True)
class InspectionReference:
    """A version of a reference."""

    reference_id: str
    """Name of the reference."""
    version: str
    """Version: 16 hexadecimal digits. Empty for a draft."""
    state: ReferenceState
    product_id: str
    """Product that the pieces are. Empty: none."""
    photo_count: int
    """Number of photos of good pieces."""
    least_false_alarm_rate: float
    """Least false-alarm rate that a verdict can be given for, 0 to 1: 1 / (``photo_count`` + 1).
    Unset for a draft."""
    separation: float
    """Share of the middle-sized defects, drawn on good photos at the fit, that score higher than
    good photos: area under the ROC curve, 0 to 1. Below 0.75 the photos are too unlike one another
    for a verdict. Unset for a draft."""
    size_bytes: int
    """Size of the version in bytes."""
    model: str
    """Model that computes the features, with its version."""
    create_time: datetime | None
    """Time of the fit or, of a draft, of its last photo."""
    evaluation: ReferenceEvaluation | None = None
    """Comparison with the version that served at the fit. None if none served, if another model
    made it, or if fewer than 10 photos are new to it."""
