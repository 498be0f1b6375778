"""Watches: rules that are checked on the frames of a camera, and their alerts.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sightline_client.errors import SightlineError
from sightline_client.values.signals import Box


class WatchDirection(StrEnum):
    """Direction of a condition."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    APPEARS = "APPEARS"
    """At least one of the regions shows the target."""
    GONE = "GONE"
    """None of the regions shows the target."""


class PictureFault(StrEnum):
    """Fault of a picture."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    BLACK = "BLACK"
    """Nearly all of the frame is nearly black."""
    FROZEN = "FROZEN"
    """The frame is the previous one again: even a still scene has the noise of the sensor."""
    BLURRED = "BLURRED"
    """The frame is much less sharp than the frames before. Known from the 20th frame on."""
    SILENT = "SILENT"
    """No frame was checked for the rule's ``hold``, which is at least 1 s and longer than
    ``snapshot_seconds``, since the last one or since the watch was created or changed. Frames that
    are dropped, late or rejected do not count."""


class AlertKind(StrEnum):
    """Kind of an alert."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    STARTED = "STARTED"
    """The condition has held for the rule's ``hold``."""
    ENDED = "ENDED"
    """The condition was over for the rule's ``release``, or the rule was changed or removed."""


class FrameOutcome(StrEnum):
    """Outcome of a frame."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    PROCESSED = "PROCESSED"
    """The rules were checked on it."""
    DROPPED = "DROPPED"
    """It was dropped: two newer frames of the watch waited, from other calls."""
    REPEATED = "REPEATED"
    """It was ignored: it has the time of a checked frame. A repeated call has no further effect."""
    LATE = "LATE"
    """It was ignored: it is older than a checked frame."""
    REJECTED = "REJECTED"
    """It was rejected; see ``status``."""


@dataclass(frozen=True, slots=True)
class WatchRegion:
    """A part of the frame, such as the place of one bottle on a shelf."""

    region_id: str
    """Id: 1 to 64 characters of a-z, 0-9, - and _."""
    box: Box
    """The part. Each side is at least 0.02."""


@dataclass(frozen=True, slots=True)
class WatchTarget:
    """Target of a rule: a product, or something that looks like a photo. Exactly one of
    ``product_id`` and ``image`` is required. A photo that the camera itself took is recognised
    best."""

    product_id: str = ""
    """Product of the catalog. A part of the frame is compared with each of its photos."""
    image: bytes = b""
    """A photo, as in ProductImage.content. Never in responses. In an update, empty with an
    ``image_id`` of the stored watch: keep that photo."""
    image_id: str = ""
    """Id of the photo. Set by the service."""
    min_similarity: float = 0.0
    """Similarity (cosine) from which a part of the frame shows the target, 0.05 to 1. Default: 0.6
    for a product, 0.75 for a photo, 0.7 for a photo whose objects are counted wherever they stand.
    """


@dataclass(frozen=True, slots=True)
class UnusualCondition:
    """The frame is unlike those that the watch saw at this hour of the day."""

    region_id: str = ""
    """Region to compare. Default: the whole frame."""
    min_deviations: float = 0.0
    """Distance from the mean of the hour, in standard deviations of such distances, from which a
    frame is unusual: 3 to 100. Default: 10."""
    min_frames: int = 0
    """Number of frames of an hour from which it can be told what is usual, 20 to 100,000. Default:
    100. Hours with fewer are compared with all hours; until these have as many, nothing is unusual.
    """


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """Numbers of frames of a watch since it was created."""

    processed: int
    """Frames that were checked."""
    dropped: int
    """Frames that were dropped because newer ones arrived before they could be checked, by the
    service or by their sender."""
    ignored: int
    """Frames that were ignored: they were as old as a checked frame, or older."""
    frame_time: datetime | None
    """Time of the newest checked frame (UTC). None before the first."""


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """State of the address from which a watch takes its frames."""

    fetch_time: datetime | None
    """When it last gave a picture that was checked (UTC). None: never."""
    failure_count: int
    """Times in a row that it gave none, 0 or more. 0: it works. While it fails, it is fetched less
    often, every 5 minutes in the end, or every ``snapshot_seconds`` if these are more."""
    error_time: datetime | None
    """When it last gave none (UTC). None: it always did."""
    error_reason: str
    """Reason for that: URI_FORBIDDEN, URI_UNREADABLE, IMAGE_UNDECODABLE, IMAGE_TOO_LARGE,
    SNAPSHOT_UNCHANGED (the same picture as before, which is checked only by a rule for frozen
    pictures), or a reason that is not the camera's, such as EMBEDDER_UNAVAILABLE. Empty: none."""
    error_message: str
    """The error for people, up to 1,000 characters."""


@dataclass(frozen=True, slots=True)
class WatchFrame:
    """A frame of a camera."""

    image: bytes
    """A photo, as in ProductImage.content: at most 10 MiB."""
    frame_time: datetime | None = None
    """When it was taken (UTC). Default: when it arrives. More than 5 minutes ahead is rejected
    (FRAME_TIME_INVALID)."""


@dataclass(frozen=True, slots=True)
class RuleReading:
    """Measurement of a frame by a rule."""

    rule_id: str
    unknown: bool
    """True if the frame can't tell: the picture has a fault, the product has no vector, or too
    little is known yet."""
    score: float
    """The measurement: the highest similarity of a region (−1 to 1), the number of regions that
    show the target, or of objects that were found, the deviations from the usual (0 or more), or
    the fault's measure (see Alert). 0 if unknown."""
    holds: bool
    """True if the condition holds."""
    alerting: bool
    """True if the rule's alert has started and not ended."""


@dataclass(frozen=True, slots=True)
class PresenceCondition:
    """A target appears, or is gone."""

    target: WatchTarget
    direction: WatchDirection
    region_ids: tuple[str, ...] = ()
    """Regions that are compared with the target, 0 to 64. Default: the whole frame."""


@dataclass(frozen=True, slots=True)
class CountCondition:
    """Fewer regions than wanted show a target: each region is the place of one piece."""

    target: WatchTarget
    region_ids: tuple[str, ...]
    """Places, 1 to 64 regions."""
    below: int
    """The condition holds if fewer places than this show the target: 1 to the number of places."""


@dataclass(frozen=True, slots=True)
class DetectedCondition:
    """Fewer objects than wanted are found in the frame, wherever they stand: those that
    DetectProducts finds, without its search for their products. They are found once for all rules
    of a watch."""

    below: int
    """The condition holds if fewer objects than this are found: 1 to 64. At most 64 are found in a
    frame, the clearest."""
    target: WatchTarget | None = None
    """What is counted: objects that look like the target. None: all objects."""
    region_id: str = ""
    """Region in which the middles of the objects lie. Default: the whole frame."""


@dataclass(frozen=True, slots=True)
class FaultCondition:
    """The picture shows nothing usable. While it does, other rules keep their state."""

    fault: PictureFault


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Outcome of a frame."""

    outcome: FrameOutcome
    status: SightlineError | None
    """Reason for a rejection: IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, FRAME_TIME_INVALID. None
    otherwise."""
    readings: tuple[RuleReading, ...]
    """Measurements by the rules. Empty unless processed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition of a watch has held, or was over, for long enough."""

    alert_id: str
    """Id, unique in the catalog: 32 hexadecimal digits. The same frames give the same id."""
    watch_id: str
    rule_id: str
    sequence: int
    """Number that rises with every alert of the catalog, with gaps."""
    kind: AlertKind
    create_time: datetime | None
    """When it was stored (UTC)."""
    frame_time: datetime | None
    """Time of the frame that decided it (UTC). Silent: when the service noticed it."""
    since_time: datetime | None
    """Time of the first frame of the period (UTC): when the condition began to hold, or was over.
    Silent: when the last frame, or the first one again, was checked."""
    score: float
    """Measurement on the frame, as RuleReading.score. Black: brightness of the frame, 0 to 1.
    Frozen: difference from the previous frame, 0 to 1. Blurred: sharpness as a share of the usual,
    0 or more. Silent: seconds since the previous frame."""
    product_id: str
    """Product of the rule's target; empty: none."""
    started_alert_id: str
    """Alert that this one ends. Empty for a start."""
    image_id: str
    """Photo of ``box``, or of the frame if the watch keeps whole ones, with faces blurred, for
    ``get_alert_photo``; empty: not kept."""
    box: Box | None = None
    """Part of the frame that it is about: the rectangle around the regions of its rule that show
    the target if it appears, and otherwise around those that do not; around all of them if there is
    none. None: the whole frame."""


@dataclass(frozen=True, slots=True)
class WatchRule:
    """A condition on frames, and when it becomes an alert."""

    rule_id: str
    """Id: 1 to 64 characters of a-z, 0-9, - and _."""
    presence: PresenceCondition | None = None
    """A product is seen, or is no longer seen."""
    count: CountCondition | None = None
    """Too few regions show a product."""
    unusual: UnusualCondition | None = None
    """The frame is unlike those that are usual at its hour of the day."""
    fault: FaultCondition | None = None
    """The picture is black, frozen or blurred, or none comes."""
    detected: DetectedCondition | None = None
    """Too few objects are found in the frame."""
    hold: timedelta | None = None
    """Time for which the condition has to hold before an alert starts, 0 s to 7 days. Default: 10
    s."""
    release: timedelta | None = None
    """Time for which the condition has to be over before the alert ends, 0 s to 7 days. Default: as
    ``hold``."""
    cool_down: timedelta | None = None
    """Least time from the start of an alert to the start of the next one, 0 s to 30 days. Default:
    5 minutes."""


@dataclass(frozen=True, slots=True)
class FramesAnswer:
    """Results of frames."""

    results: tuple[FrameResult, ...]
    """One result for each frame, in the same order."""
    alerts: tuple[Alert, ...]
    """Alerts that these frames caused, in order."""
    embedded_count: int
    """Number of pictures that were embedded, 0 or more: for each frame one for each region that a
    rule compares."""
    detected_count: int = 0
    """Number of frames in which objects were looked for, 0 or more."""
    detected_view_count: int = 0
    """Number of views of these objects that were embedded, 0 or more: two of each, less of those
    that look alike. A view is a tenth of the work of a picture."""


@dataclass(frozen=True, slots=True)
class FollowedAlert:
    """An alert of a stream."""

    alert: Alert
    resume_token: str
    """Continues the stream behind this alert."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch: rules that are checked on the frames of one camera, which does not move. A catalog
    has at most 100."""

    watch_id: str
    """Id, chosen by the caller: 1 to 64 characters of a-z, 0-9, - and _."""
    rules: tuple[WatchRule, ...]
    """Rules, 1 to 16, each id once."""
    regions: tuple[WatchRegion, ...] = ()
    """Parts of the frame that rules refer to, 0 to 64, each id once."""
    display_name: str = ""
    """Name for readers, up to 200 characters. Default: empty."""
    photo_days: int = 0
    """For how many days the part of the frame that an alert is about is kept as a photo, with faces
    blurred: 0 to 90. Default: 0, which keeps none. Other frames are never kept."""
    utc_offset_minutes: int = 0
    """Offset of the camera's local time from UTC in minutes, −840 to 840, by which hours of the day
    are told. Default: 0."""
    etag: str = ""
    """Version of the watch. In an update: the required version; empty: any."""
    create_time: datetime | None = None
    """When the watch was created (UTC). Set by the service."""
    update_time: datetime | None = None
    """When the watch was last changed (UTC). Set by the service."""
    counts: WatchCounts | None = None
    """Numbers of its frames. Set by the service; about as old as the last 10 seconds of frames."""
    snapshot_uri: str = ""
    """Address of the camera's current picture, http or https, up to 2,048 characters. The service
    fetches it again and again and checks it as a sent frame. Its host must be allowed by
    VISION_FETCH_HOSTS. Callers who may read watches can read it: name no secret in it. Default:
    empty; frames are sent."""
    snapshot_seconds: int = 0
    """Seconds from the beginning of one fetch of ``snapshot_uri`` to that of the next, 1 to 3,600.
    Default: 5."""
    snapshot: SnapshotStatus | None = None
    """State of ``snapshot_uri``. Set by the service; unset without an address."""
    whole_frames: bool = False
    """True if photos of alerts show the whole frame, not only the part that the alert is about.
    Default: False."""
