"""Watches, frames and alerts as messages, and back."""

from dataclasses import replace

from servicekit.rpc.messages import MessageWriter, UnknownMember, message_of, micros_of, value_of
from servicekit.status import to_status
from sightline.vision.v1 import watch_pb2 as pb
from sightline.vision.v1 import watch_service_pb2 as service_pb
from vision.domain import watches as domain
from vision.domain.errors import WatchInvalid
from vision.domain.watch_state import WatchState
from vision.domain.watches import Alert, StoredWatch, WatchRule
from vision.watching.frames import FrameReport, FramesReport, SentFrame

_snapshot_status = MessageWriter(
    {
        "fetch_time": "fetched",
        "failure_count": "failures",
        "error_time": "failed",
        "error_reason": "reason",
        "error_message": "message",
    }
)


def watch_draft(message: pb.Watch) -> domain.WatchDraft:
    """Return the watch of a message. Raises WatchInvalid for rules without a condition."""
    rules, images = list[WatchRule](), dict[str, bytes]()
    for place, each in enumerate(message.rules[: domain.MOST_RULES + 1]):
        rules.append(_rule(each, f"watch.rules[{place}]"))
        if data := _image(each):
            images[each.rule_id] = data
    default = domain.DEFAULT_SNAPSHOT_SECONDS if message.snapshot_uri else 0
    seconds = message.snapshot_seconds or default
    watch = value_of(domain.Watch, message, rules=tuple(rules), snapshot_seconds=seconds)
    return domain.WatchDraft(watch, message.etag, images)


def watch_message(stored: StoredWatch, state: WatchState) -> pb.Watch:
    """Return a watch and what it counted."""
    watch, snapshot = stored.watch, pb.SnapshotStatus()
    if state.snapshot.uri == watch.snapshot_uri:  # else nothing is known of this address yet
        snapshot = _snapshot_status(pb.SnapshotStatus, state.snapshot)
    return message_of(
        pb.Watch,
        watch,
        rules=[message_of(pb.WatchRule, r, **{r.condition.kind: r.condition}) for r in watch.rules],
        etag=stored.etag,
        create_time=stored.create_micros,
        update_time=stored.update_micros,
        counts=message_of(pb.WatchCounts, state, frame_time=state.newest),
        snapshot=snapshot if watch.snapshot_uri else None,
    )


def sent_frame(message: pb.WatchFrame) -> SentFrame:
    """Return the frame of a message. A time before 1970, or at its first moment, is negative:
    invalid."""
    if not message.HasField("frame_time"):
        return SentFrame(message.image)
    return SentFrame(message.image, micros_of(message.frame_time) or -1)


def frames_response(report: FramesReport) -> service_pb.SendFramesResponse:
    """Return what happened to frames."""
    return service_pb.SendFramesResponse(
        results=map(_frame_result, report.frames),
        alerts=map(alert_message, report.alerts),
        embedded_count=report.embedded,
        detected_count=report.detected,
        detected_view_count=report.views,
    )


def alert_message(alert: Alert) -> pb.Alert:
    """Return an alert."""
    return message_of(pb.Alert, alert)


def _frame_result(report: FrameReport) -> pb.FrameResult:
    return message_of(
        pb.FrameResult,
        report,
        status=None if report.error is None else to_status(report.error),
        readings=[
            message_of(pb.RuleReading, each, unknown=each.holds is None) for each in report.readings
        ],
    )


def _rule(message: pb.WatchRule, path: str) -> WatchRule:
    rule = value_of(WatchRule, message, condition=_condition(message, path))
    return rule if message.HasField("release") else replace(rule, release=rule.hold)


def _condition(message: pb.WatchRule, path: str) -> domain.Condition:
    name = message.WhichOneof("condition")
    if name is None:
        raise WatchInvalid.at(
            path, "has no condition: presence, count, detected, unusual or fault is required"
        )
    kind, given = domain.CONDITIONS[name], getattr(message, name)
    targets = {"target": _target(given)} if "target" in given.DESCRIPTOR.fields_by_name else {}
    try:
        return value_of(kind, given, **targets)
    except UnknownMember as error:
        raise WatchInvalid.at(f"{path}.{name}.{error.field}", "is required") from error


def _target(
    message: pb.PresenceCondition | pb.CountCondition | pb.DetectedCondition,
) -> domain.WatchTarget | None:
    similarity, target = domain.PHOTO_SIMILARITY, message.target
    if isinstance(message, pb.DetectedCondition):
        if not message.HasField("target"):
            return None
        similarity = domain.OBJECT_SIMILARITY
    if target.product_id:
        similarity = domain.PRODUCT_SIMILARITY
    # New photos replace the former one, whose id callers send back.
    kept = "" if target.image else target.image_id
    return domain.WatchTarget(target.product_id, kept, target.min_similarity or similarity)


def _image(message: pb.WatchRule) -> bytes:
    given = getattr(message, message.WhichOneof("condition") or "fault")
    return bytes(given.target.image) if hasattr(given, "target") else b""
