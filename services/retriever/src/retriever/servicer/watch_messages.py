"""Watches, frames and alerts as messages, and back."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.duration_pb2 import Duration

from retriever.domain import watches as domain
from retriever.domain.errors import WatchInvalid
from retriever.domain.watch_state import SnapshotState, WatchState
from retriever.domain.watches import Alert, StoredWatch, WatchRule
from retriever.watching.frames import FrameReport, FramesReport, SentFrame
from servicekit.rpc.requests import timestamp
from servicekit.status import to_status
from sightline.common.v1 import photo_pb2
from sightline.retriever.v1 import watch_pb2 as pb
from sightline.retriever.v1 import watch_service_pb2 as service_pb

_DIRECTIONS: Mapping[int, domain.Direction] = MappingProxyType(
    {
        pb.PresenceCondition.DIRECTION_APPEARS: domain.Direction.APPEARS,
        pb.PresenceCondition.DIRECTION_GONE: domain.Direction.GONE,
    }
)
_FAULTS: Mapping[int, domain.Fault] = MappingProxyType(
    {
        pb.FaultCondition.FAULT_BLACK: domain.Fault.BLACK,
        pb.FaultCondition.FAULT_FROZEN: domain.Fault.FROZEN,
        pb.FaultCondition.FAULT_BLURRED: domain.Fault.BLURRED,
        pb.FaultCondition.FAULT_SILENT: domain.Fault.SILENT,
    }
)
_DIRECTION_NUMBERS = {value: number for number, value in _DIRECTIONS.items()}
_FAULT_NUMBERS = {value: number for number, value in _FAULTS.items()}
_MOST_SECONDS = 10_000_000
"""Seconds that fit microseconds; more is invalid in every field."""


def watch_draft(message: pb.Watch) -> domain.WatchDraft:
    """Return the watch of a message. Raises WatchInvalid for rules without a condition."""
    rules, images = list[WatchRule](), dict[str, bytes]()
    for place, each in enumerate(message.rules[: domain.MOST_RULES + 1]):
        path = f"watch.rules[{place}]"
        rules.append(_rule(each, path))
        if data := _image(each):
            images[each.rule_id] = data
    regions = (domain.WatchRegion(each.region_id, _box(each.box)) for each in message.regions)
    watch = domain.Watch(
        watch_id=message.watch_id,
        display_name=message.display_name,
        regions=tuple(regions),
        rules=tuple(rules),
        photo_days=message.photo_days,
        utc_offset_minutes=message.utc_offset_minutes,
        snapshot_uri=message.snapshot_uri,
        snapshot_seconds=message.snapshot_seconds
        or (domain.DEFAULT_SNAPSHOT_SECONDS if message.snapshot_uri else 0),
        whole_frames=message.whole_frames,
    )
    return domain.WatchDraft(watch, message.etag, images)


def watch_message(stored: StoredWatch, state: WatchState) -> pb.Watch:
    """Return a watch and what it counted."""
    watch = stored.watch
    counts = pb.WatchCounts(
        processed=state.processed,
        dropped=state.dropped,
        ignored=state.ignored,
        frame_time=timestamp(state.newest) if state.newest else None,
    )
    return pb.Watch(
        watch_id=watch.watch_id,
        display_name=watch.display_name,
        regions=[
            pb.WatchRegion(region_id=each.region_id, box=_box_message(each.box))
            for each in watch.regions
        ],
        rules=map(_rule_message, watch.rules),
        photo_days=watch.photo_days,
        utc_offset_minutes=watch.utc_offset_minutes,
        etag=stored.etag,
        create_time=timestamp(stored.create_micros),
        update_time=timestamp(stored.update_micros),
        counts=counts,
        snapshot_uri=watch.snapshot_uri,
        snapshot_seconds=watch.snapshot_seconds,
        snapshot=_snapshot_status(watch, state.snapshot) if watch.snapshot_uri else None,
        whole_frames=watch.whole_frames,
    )


def _snapshot_status(watch: domain.Watch, state: SnapshotState) -> pb.SnapshotStatus:
    if state.uri != watch.snapshot_uri:  # nothing is known of this address yet
        return pb.SnapshotStatus()
    return pb.SnapshotStatus(
        fetch_time=timestamp(state.fetched) if state.fetched else None,
        failure_count=state.failures,
        error_time=timestamp(state.failed) if state.failed else None,
        error_reason=state.reason,
        error_message=state.message,
    )


def sent_frame(message: pb.WatchFrame) -> SentFrame:
    """Return the frame of a message. A time before 1970, or at its first moment, is negative:
    invalid."""
    if not message.HasField("frame_time"):
        return SentFrame(message.image)
    seconds, nanos = message.frame_time.seconds, message.frame_time.nanos
    if not (0 <= seconds < 2**40 and 0 <= nanos < 10**9):
        return SentFrame(message.image, -1)
    return SentFrame(message.image, seconds * 1_000_000 + nanos // 1_000 or -1)


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
    return pb.Alert(
        alert_id=alert.alert_id,
        watch_id=alert.watch_id,
        rule_id=alert.rule_id,
        sequence=alert.sequence,
        kind=pb.Alert.Kind.Value(f"KIND_{alert.kind.name}"),
        create_time=timestamp(alert.create_micros),
        frame_time=timestamp(alert.frame_micros),
        since_time=timestamp(alert.since_micros),
        score=alert.score,
        product_id=alert.product_id,
        started_alert_id=alert.started_alert_id,
        image_id=alert.image_id,
        box=None if alert.box is None else _box_message(alert.box),
    )


def _frame_result(report: FrameReport) -> pb.FrameResult:
    return pb.FrameResult(
        outcome=pb.FrameResult.Outcome.Value(f"OUTCOME_{report.outcome.name}"),
        status=None if report.error is None else to_status(report.error),
        readings=[
            pb.RuleReading(
                rule_id=each.rule_id,
                unknown=each.holds is None,
                score=each.score,
                holds=bool(each.holds),
                alerting=each.alerting,
            )
            for each in report.readings
        ],
    )


def _rule(message: pb.WatchRule, path: str) -> WatchRule:
    hold = _micros(message, "hold", domain.DEFAULT_HOLD)
    return WatchRule(
        rule_id=message.rule_id,
        condition=_condition(message, path),
        hold=hold,
        release=_micros(message, "release", hold),
        cool_down=_micros(message, "cool_down", domain.DEFAULT_COOL_DOWN),
    )


def _condition(message: pb.WatchRule, path: str) -> domain.Condition:
    match message.WhichOneof("condition"):
        case "presence":
            presence = message.presence
            direction = _DIRECTIONS.get(presence.direction)
            if direction is None:
                raise WatchInvalid.at(f"{path}.presence.direction", "is required")
            return domain.PresenceCondition(
                _target(presence.target), direction, tuple(presence.region_ids)
            )
        case "count":
            count = message.count
            return domain.CountCondition(
                _target(count.target), tuple(count.region_ids), count.below
            )
        case "detected":
            detected = message.detected
            target = None
            if detected.HasField("target"):
                target = _target(detected.target, domain.OBJECT_SIMILARITY)
            return domain.DetectedCondition(target, detected.region_id, detected.below)
        case "unusual":
            unusual = message.unusual
            return domain.UnusualCondition(
                unusual.region_id,
                unusual.min_deviations or domain.DEFAULT_DEVIATIONS,
                unusual.min_frames or domain.DEFAULT_FRAMES,
            )
        case "fault":
            fault = _FAULTS.get(message.fault.fault)
            if fault is None:
                raise WatchInvalid.at(f"{path}.fault.fault", "is required")
            return domain.FaultCondition(fault)
        case _:
            raise WatchInvalid.at(
                path, "has no condition: presence, count, detected, unusual or fault is required"
            )


def _target(
    message: pb.WatchTarget, photo_similarity: float = domain.PHOTO_SIMILARITY
) -> domain.WatchTarget:
    # New photos replace the former one, whose id callers send back.
    kept = "" if message.image else message.image_id
    is_product = bool(message.product_id)
    default = domain.PRODUCT_SIMILARITY if is_product else photo_similarity
    similarity = message.min_similarity or default
    return domain.WatchTarget(message.product_id, kept, similarity)


def _image(message: pb.WatchRule) -> bytes:
    kind = message.WhichOneof("condition")
    if kind in ("presence", "count", "detected"):
        image: bytes = getattr(message, kind).target.image
        return image
    return b""


def _micros(message: pb.WatchRule, name: str, default: int) -> int:
    """Return a duration in microseconds; values that are none are negative: invalid."""
    if not message.HasField(name):  # type: ignore[arg-type]
        return default
    value: Duration = getattr(message, name)
    if not (0 <= value.seconds <= _MOST_SECONDS and 0 <= value.nanos < 10**9):
        return -1
    return value.seconds * 1_000_000 + value.nanos // 1_000


def _rule_message(rule: WatchRule) -> pb.WatchRule:
    return pb.WatchRule(
        rule_id=rule.rule_id,
        hold=_duration(rule.hold),
        release=_duration(rule.release),
        cool_down=_duration(rule.cool_down),
        **_condition_message(rule.condition),
    )


def _condition_message(condition: domain.Condition) -> dict[str, Any]:
    match condition:
        case domain.PresenceCondition(target, direction, region_ids):
            return {
                "presence": pb.PresenceCondition(
                    target=_target_message(target),
                    direction=_DIRECTION_NUMBERS[direction],  # type: ignore[arg-type]
                    region_ids=region_ids,
                )
            }
        case domain.CountCondition(target, region_ids, below):
            return {
                "count": pb.CountCondition(
                    target=_target_message(target), region_ids=region_ids, below=below
                )
            }
        case domain.DetectedCondition(counted, region_id, below):
            return {
                "detected": pb.DetectedCondition(
                    target=None if counted is None else _target_message(counted),
                    region_id=region_id,
                    below=below,
                )
            }
        case domain.UnusualCondition(region_id, deviations, frames):
            return {
                "unusual": pb.UnusualCondition(
                    region_id=region_id, min_deviations=deviations, min_frames=frames
                )
            }
        case domain.FaultCondition(fault):
            number = _FAULT_NUMBERS[fault]
            return {"fault": pb.FaultCondition(fault=number)}  # type: ignore[arg-type]


def _target_message(target: domain.WatchTarget) -> pb.WatchTarget:
    return pb.WatchTarget(
        product_id=target.product_id,
        image_id=target.image_id,
        min_similarity=target.min_similarity,
    )


def _duration(micros: int) -> Duration:
    message = Duration()
    message.FromMicroseconds(micros)
    return message


def _box(message: photo_pb2.Box) -> domain.WatchBox:
    return domain.WatchBox(message.left, message.top, message.right, message.bottom)


def _box_message(box: domain.WatchBox) -> photo_pb2.Box:
    return photo_pb2.Box(left=box.left, top=box.top, right=box.right, bottom=box.bottom)
