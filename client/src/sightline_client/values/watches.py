"""Watches: rules that are checked on the frames of a camera, and their alerts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.signals import Box


class WatchDirection(StrEnum):
    """Direction of a presence condition."""

    UNKNOWN = "UNKNOWN"
    """Added after this client was built."""
    APPEARS = "APPEARS"
    GONE = "GONE"


class PictureFault(StrEnum):
    """Fault of a picture."""

    UNKNOWN = "UNKNOWN"
    """Added after this client was built."""
    BLACK = "BLACK"
    FROZEN = "FROZEN"
    BLURRED = "BLURRED"
    SILENT = "SILENT"
    """No frame was checked for the rule's ``hold``."""


class AlertKind(StrEnum):
    """Kind of an alert."""

    UNKNOWN = "UNKNOWN"
    """Added after this client was built."""
    STARTED = "STARTED"
    ENDED = "ENDED"


class FrameOutcome(StrEnum):
    """Outcome of a frame."""

    UNKNOWN = "UNKNOWN"
    """Added after this client was built."""
    PROCESSED = "PROCESSED"
    DROPPED = "DROPPED"
    """Newer frames of other calls waited."""
    REPEATED = "REPEATED"
    """A frame with the time of a checked one."""
    LATE = "LATE"
    """A frame older than a checked one."""
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class WatchRegion:
    """A part of the frame."""

    region_id: str
    """1 to 64 characters of a-z, 0-9, - and _."""
    box: Box


@dataclass(frozen=True, slots=True)
class WatchTarget:
    """Target of a rule: a product, or anything that looks like a photo."""

    product_id: str = ""
    image: bytes = b""
    """A photo; never in answers."""
    image_id: str = ""
    """Id of the photo, in answers. In an update: keep it."""
    min_similarity: float = 0.0
    """0.05 to 1; 0 = 0.6 for a product, 0.75 for a photo, 0.7 for one whose objects are
    counted."""


@dataclass(frozen=True, slots=True)
class PresenceCondition:
    """A target appears, or is gone."""

    target: WatchTarget
    direction: WatchDirection
    region_ids: tuple[str, ...] = ()
    """Empty: the whole frame."""


@dataclass(frozen=True, slots=True)
class CountCondition:
    """Fewer regions than ``below`` show the target."""

    target: WatchTarget
    region_ids: tuple[str, ...]
    below: int


@dataclass(frozen=True, slots=True)
class DetectedCondition:
    """Fewer objects than ``below`` are found in the frame, wherever they stand."""

    below: int
    """1 to 64."""
    target: WatchTarget | None = None
    """Objects that look like it are counted; None: all objects."""
    region_id: str = ""
    """Region in which the middles of the objects lie; empty: the whole frame."""


@dataclass(frozen=True, slots=True)
class UnusualCondition:
    """The frame is unlike those of its hour of the day."""

    region_id: str = ""
    """Empty: the whole frame."""
    min_deviations: float = 0.0
    """3 to 100; 0 = 10."""
    min_frames: int = 0
    """20 to 100,000; 0 = 100."""


@dataclass(frozen=True, slots=True)
class FaultCondition:
    """The picture shows nothing usable."""

    fault: PictureFault


@dataclass(frozen=True, slots=True)
class WatchRule:
    """One condition, and when it becomes an alert."""

    rule_id: str
    presence: PresenceCondition | None = None
    count: CountCondition | None = None
    unusual: UnusualCondition | None = None
    fault: FaultCondition | None = None
    detected: DetectedCondition | None = None
    hold: timedelta | None = None
    """Time for which the condition has to hold; None = 10 s."""
    release: timedelta | None = None
    """Time for which it has to be over; None = as ``hold``."""
    cool_down: timedelta | None = None
    """Least time between the starts of two alerts; None = 5 minutes."""


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """Frames of a watch since it was created."""

    processed: int
    dropped: int
    ignored: int
    frame_time: datetime | None
    """None: no frame was checked."""


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """State of the address from which a watch takes its frames."""

    fetch_time: datetime | None
    """When it last gave a picture; None: never."""
    failure_count: int
    """Times in a row that it gave none; 0: it works."""
    error_time: datetime | None
    """When it last gave none."""
    error_reason: str
    """Such as URI_UNREADABLE; "": it always gave one."""
    error_message: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Rules that are checked on the frames of one camera."""

    watch_id: str
    rules: tuple[WatchRule, ...]
    regions: tuple[WatchRegion, ...] = ()
    display_name: str = ""
    photo_days: int = 0
    """Days for which the part of a frame that an alert is about is kept, with faces blurred; 0
    keeps none."""
    utc_offset_minutes: int = 0
    etag: str = ""
    """In an update: the required version; "" = any."""
    create_time: datetime | None = None
    update_time: datetime | None = None
    counts: WatchCounts | None = None
    snapshot_uri: str = ""
    """Address from which the service takes frames; "": frames are sent."""
    snapshot_seconds: int = 0
    """1 to 3,600; 0 = 5 with an address."""
    snapshot: SnapshotStatus | None = None
    whole_frames: bool = False
    """Keep the whole frames of alerts."""


@dataclass(frozen=True, slots=True)
class WatchFrame:
    """A frame of a camera."""

    image: bytes
    frame_time: datetime | None = None
    """None = when it arrives."""


@dataclass(frozen=True, slots=True)
class RuleReading:
    """Measurement of a frame by a rule."""

    rule_id: str
    unknown: bool
    """The frame can't tell."""
    score: float
    holds: bool
    alerting: bool


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Outcome of a frame."""

    outcome: FrameOutcome
    status: SightlineError | None
    """Reason for a rejection."""
    readings: tuple[RuleReading, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition has held, or was over, for long enough."""

    alert_id: str
    watch_id: str
    rule_id: str
    sequence: int
    kind: AlertKind
    create_time: datetime | None
    frame_time: datetime | None
    since_time: datetime | None
    score: float
    product_id: str
    started_alert_id: str
    image_id: str
    """Photo of ``box``, or of the whole frame, for ``get_alert_photo``; "" = not kept."""
    box: Box | None = None
    """Part of the frame that it is about; None: the whole frame."""


@dataclass(frozen=True, slots=True)
class FramesAnswer:
    """Results of frames, in order, and the alerts that they caused."""

    results: tuple[FrameResult, ...]
    alerts: tuple[Alert, ...]
    embedded_count: int
    detected_count: int = 0
    """Frames in which objects were looked for."""
    detected_view_count: int = 0
    """Views of these objects that were embedded."""


@dataclass(frozen=True, slots=True)
class FollowedAlert:
    """An alert of a stream."""

    alert: Alert
    resume_token: str
    """Continues the stream behind this alert."""
