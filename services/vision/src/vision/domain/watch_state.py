"""State of a watch, learned from its frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from vision.domain.objects import Floats
from vision.domain.watches import Alert, StoredWatch, WatchPhoto

KNOWN_TIMES: Final = 16
"""Times of checked frames that are kept, by which a repeated call is told."""


class Phase(StrEnum):
    """Phase of a rule's alert."""

    QUIET = "quiet"
    PENDING = "pending"
    """The condition holds, but not for long enough yet."""
    ALERTING = "alerting"
    ENDING = "ending"
    """The condition is over, but not for long enough yet."""


@dataclass(frozen=True, slots=True)
class Period:
    """State of a rule's alert. Times are microseconds since 1970 (UTC)."""

    phase: Phase = Phase.QUIET
    since: int = 0
    """Time of the first frame of the phase."""
    last: int = 0
    """Time of the newest frame that could tell."""
    started: int = 0
    """When the newest alert started; 0: none did."""
    alert_id: str = ""
    """The alert that has started and not ended."""


@dataclass(frozen=True, slots=True)
class Track:
    """One measured value over time."""

    recent: tuple[float, ...] = ()
    """The newest values, at most 2."""
    above: bool = False
    """True if the value is above its threshold, with hysteresis."""
    known: bool = False
    """True if any value was measured."""


@dataclass(frozen=True, slots=True)
class UsualHour:
    """Frames of an hour of the day."""

    frames: int = 0
    mean: tuple[float, ...] = ()
    """Mean of the projected vectors."""
    distance: float = 0.0
    """Mean distance of a frame from the mean."""
    variance: float = 0.0
    """Variance of these distances."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """State of a rule."""

    key: str
    """Key of the condition that was measured (Watch.condition_key)."""
    period: Period = Period()
    tracks: tuple[Track, ...] = ()
    """One for each part of the frame that the rule compares."""
    usual: Mapping[int, UsualHour] = field(default_factory=dict)
    """By hour of the day, 0 to 23; 24: all hours."""
    usual_version: str = ""
    """Version of the space of `usual`."""


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """Properties of a decoded frame."""

    cells: tuple[float, ...]
    """Mean brightness of 16 × 12 parts, 0 to 1."""
    bright: float
    """Brightness of the brightest hundredth of the pixels, 0 to 1."""
    sharpness: float
    """Variance of the Laplacian of the brightness, 0 or more."""


@dataclass(frozen=True, slots=True)
class ProductReferences:
    """Vectors of products in the index."""

    version: str = ""
    """Version of the visual space; empty: nothing is indexed yet."""
    vectors: Mapping[str, Sequence[Floats]] = field(default_factory=dict)
    """By product: those of its photos. Products without any are left out."""


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """State of the address from which a watch takes its frames. Times are microseconds since 1970
    (UTC); 0: never."""

    uri: str = ""
    """The address; the state of another one tells nothing."""
    fetched: int = 0
    """When it last gave a picture that was checked."""
    failures: int = 0
    """Times in a row that it gave none."""
    failed: int = 0
    """When it last gave none."""
    reason: str = ""
    """Reason for that."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class WatchState:
    """State of a watch."""

    rules: Mapping[str, RuleState] = field(default_factory=dict)
    """By rule."""
    times: tuple[int, ...] = ()
    """Times of the newest checked frames, ascending."""
    received: int = 0
    """Time at which the newest one was checked, by the service's clock; 0: none was."""
    processed: int = 0
    dropped: int = 0
    ignored: int = 0
    cells: tuple[float, ...] = ()
    """Brightness of the parts of the previous frame; see FrameFacts."""
    sharpness: float = 0.0
    """Mean logarithm of the sharpness of frames that were not blurred."""
    sharp_frames: int = 0
    snapshot: SnapshotState = SnapshotState()

    @property
    def newest(self) -> int:
        """Return the time of the newest checked frame; 0: none."""
        return self.times[-1] if self.times else 0


@dataclass(frozen=True, slots=True)
class RevisedState:
    """The state of a watch in the record."""

    state: WatchState = WatchState()
    revision: int = 0
    """Number of writes; 0: never written."""


@dataclass(frozen=True, slots=True)
class WatchProgress:
    """Changes by frames, to be stored at once."""

    stored: StoredWatch
    """The watch by whose rules they were checked."""
    known: int
    """Revision of the state before them."""
    state: WatchState
    """The state after them."""
    alerts: Sequence[Alert] = ()
    photos: Sequence[WatchPhoto] = ()
    """Photos of the alerts' frames."""
